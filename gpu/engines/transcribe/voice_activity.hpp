#pragma once

// Where somebody speaks: Silero's detector, and the cutting of its answers into spans that the recogniser takes at
// once.

#include "common/result.hpp"
#include "gpu/engines/onnx/runtime.hpp"

#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace troupe::engines {

inline constexpr int speech_rate = 16'000; // samples a second, of all that transcribes
inline constexpr std::size_t window = 512; // samples that the detector judges at once

/// Part of a sound, in seconds.
struct span_s {
  double start = 0;
  double end = 0;

  friend bool operator==(const span_s&, const span_s&) = default;
};

struct span_limits {
  double pause_s = 0.45;  // a shorter silence does not part two spans
  double margin_s = 0.16; // kept before and after
  double least_s = 0.15;  // a shorter noise is no speech
  double most_s = 20;     // longer speech is cut where it is quietest
};

/// Spans of speech out of one probability a window.
std::vector<span_s> speech_spans(std::span<const float> probabilities, const span_limits& limits = {});

/// The probability of speech in each whole window. Errors: as session::run().
result<std::vector<float>> speech_probabilities(const onnx::session& silero, std::span<const float> samples,
                                                const onnx::breaker& stop, const std::function<void(double)>& done);

} // namespace troupe::engines

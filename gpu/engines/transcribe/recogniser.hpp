#pragma once

// Speech to words by Moonshine tiny (English): an encoder, and a decoder that says one piece of a word at a time.

#include "common/result.hpp"
#include "gpu/engines/onnx/runtime.hpp"
#include "gpu/engines/transcribe/words.hpp"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::engines {

/// Thread-safe.
class recogniser {
public:
  /// The files it needs in models/.
  static const std::vector<std::string>& files();
  /// Errors: `unavailable`.
  static result<std::shared_ptr<const recogniser>> open(onnx::runtime& library, const std::filesystem::path& prefix,
                                                        unsigned threads);

  /// The words of at most half a minute of speech at 16 kHz; their times are not set. Errors: as session::run().
  result<std::vector<word>> words(std::span<const float> samples, const onnx::breaker& stop) const;

private:
  struct piece {
    std::int64_t token;
    double probability;
  };
  result<std::vector<piece>> pieces(std::span<const float> samples, const onnx::breaker& stop) const;
  std::vector<word> spell(std::span<const piece> said) const;

  std::shared_ptr<const onnx::session> encoder_;
  std::shared_ptr<const onnx::session> decoder_;
  std::vector<std::string> vocabulary_;
};

} // namespace troupe::engines

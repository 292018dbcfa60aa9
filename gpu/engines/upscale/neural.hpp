#pragma once

// Pictures made twice as large by a small convolutional net (Anime4K-L with WebSR's weights for real-life pictures),
// tile by tile: a tile's features stay in a core's cache, and tiles are what threads share out.

#include "common/result.hpp"
#include "gpu/engines/onnx/runtime.hpp"
#include "gpu/media/media.hpp"

#include <filesystem>
#include <functional>
#include <memory>

namespace troupe::engines {

inline constexpr const char* upscale_model = "websr_l.onnx";

/// Thread-safe.
class neural_upscaler {
public:
  /// Errors: `unavailable`.
  static result<std::shared_ptr<const neural_upscaler>> open(const std::filesystem::path& prefix);

  /// `picture` at twice its size; `stop` is asked before each tile, from several threads. The bytes do not depend on
  /// `threads`. Errors: `cancelled`, `out_of_memory`, `model`.
  result<media::frame> twice(const media::frame& picture, unsigned threads, const std::function<bool()>& stop) const;

private:
  neural_upscaler(std::shared_ptr<onnx::runtime> library, std::shared_ptr<const onnx::session> net);

  std::shared_ptr<onnx::runtime> library_;
  std::shared_ptr<const onnx::session> net_;
};

} // namespace troupe::engines

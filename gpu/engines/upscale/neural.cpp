#include "gpu/engines/upscale/neural.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <optional>
#include <thread>

namespace troupe::engines {

namespace {

// Seven convolutions of 3x3 see seven pixels around; a tile is computed with that border and cut. At this size its
// sixteen channels of features fit a core's second-level cache, and the border costs a sixth.
constexpr int border = 7;
constexpr int tile_width_max = 212;
constexpr int tile_height_max = 120;

struct area {
  int left, top, right, bottom;
  int width() const { return right - left; }
  int height() const { return bottom - top; }
};

/// Tiles of nearly equal size that cover the picture.
std::vector<area> tiles_of(int width, int height) {
  const int columns = (width + tile_width_max - 1) / tile_width_max;
  const int rows = (height + tile_height_max - 1) / tile_height_max;
  const auto part = [](int whole, int index, int count) {
    return static_cast<int>(static_cast<std::int64_t>(whole) * index / count);
  };
  std::vector<area> out;
  for (int row = 0; row < rows; ++row)
    for (int column = 0; column < columns; ++column)
      out.push_back({part(width, column, columns), part(height, row, rows), part(width, column + 1, columns),
                     part(height, row + 1, rows)});
  return out;
}

/// What the net reads: three planes in 0 … 1.
std::vector<float> planes(const media::frame& picture, const area& from) {
  static const auto as_float = [] {
    std::array<float, 256> table{};
    for (std::size_t i = 0; i < table.size(); ++i)
      table[i] = static_cast<float>(i) / 255.0F;
    return table;
  }();
  const auto plane = static_cast<std::size_t>(from.width()) * static_cast<std::size_t>(from.height());
  std::vector<float> out(3 * plane);
  float* red = out.data();
  for (int y = from.top; y < from.bottom; ++y) {
    const auto* in = picture.rgb.data() + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(picture.width) +
                                               static_cast<std::size_t>(from.left));
    for (int x = from.left; x < from.right; ++x, ++red, in += 3) {
      red[0] = as_float[in[0]];
      red[plane] = as_float[in[1]];
      red[2 * plane] = as_float[in[2]];
    }
  }
  return out;
}

/// One row of the picture enlarged downwards (a quarter of the way to its neighbour), still as wide as it was.
void blend_rows(const media::frame& picture, int y, int neighbour, std::vector<float>& out) {
  const auto row = 3 * static_cast<std::size_t>(picture.width);
  const auto* near = picture.rgb.data() + row * static_cast<std::size_t>(y);
  const auto* far = picture.rgb.data() + row * static_cast<std::size_t>(std::clamp(neighbour, 0, picture.height - 1));
  for (std::size_t i = 0; i < row; ++i)
    out[i] = 0.75F * static_cast<float>(near[i]) + 0.25F * static_cast<float>(far[i]);
}

std::uint8_t to_byte(float value) { return static_cast<std::uint8_t>(std::clamp(value, 0.0F, 255.0F) + 0.5F); }

/// Writes the enlarged tile: the picture enlarged bilinearly, plus the detail. `detail` covers `around`: for each
/// colour four planes, the upper left of the four new pixels first.
void add_detail(const media::frame& picture, const area& tile, const area& around, std::span<const float> detail,
                media::frame& larger) {
  const auto plane = static_cast<std::size_t>(around.width()) * static_cast<std::size_t>(around.height());
  std::vector<float> row(3 * static_cast<std::size_t>(picture.width));
  for (int y = 2 * tile.top; y < 2 * tile.bottom; ++y) {
    blend_rows(picture, y / 2, y / 2 + (y % 2 ? 1 : -1), row);
    auto* out = larger.rgb.data() + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(larger.width) +
                                         static_cast<std::size_t>(2 * tile.left));
    const float* of_row = detail.data() + (y % 2 ? 2 * plane : 0) +
                          static_cast<std::size_t>(y / 2 - around.top) * static_cast<std::size_t>(around.width());
    for (int x = tile.left; x < tile.right; ++x, out += 6) {
      const float* here = row.data() + 3 * static_cast<std::size_t>(x);
      const float* before = x > 0 ? here - 3 : here;
      const float* after = x + 1 < picture.width ? here + 3 : here;
      const float* more = of_row + (x - around.left);
      for (std::size_t c = 0; c < 3; ++c, more += 4 * plane) {
        out[c] = to_byte(0.75F * here[c] + 0.25F * before[c] + 255.0F * more[0]);
        out[c + 3] = to_byte(0.75F * here[c] + 0.25F * after[c] + 255.0F * more[plane]);
      }
    }
  }
}

/// The first failure of several threads.
class first_failure {
public:
  void set(failure why) {
    std::lock_guard lock(mutex_);
    if (!why_)
      why_ = std::move(why);
    any_ = true;
  }
  bool any() const { return any_; }
  std::optional<failure> take() { return std::move(why_); }

private:
  std::mutex mutex_;
  std::atomic<bool> any_{false};
  std::optional<failure> why_;
};

} // namespace

neural_upscaler::neural_upscaler(std::shared_ptr<onnx::runtime> library, std::shared_ptr<const onnx::session> net)
  : library_(std::move(library)), net_(std::move(net)) {}

result<std::shared_ptr<const neural_upscaler>> neural_upscaler::open(const std::filesystem::path& prefix) {
  auto library = onnx::runtime::load(prefix);
  if (!library)
    return library.error();
  auto net = (*library)->model(upscale_model, 1); // a tile is one thread's work
  if (!net)
    return net.error();
  return std::shared_ptr<const neural_upscaler>(new neural_upscaler(std::move(*library), std::move(*net)));
}

result<media::frame> neural_upscaler::twice(const media::frame& picture, unsigned threads,
                                            const std::function<bool()>& stop) const {
  media::frame larger{2 * picture.width, 2 * picture.height, {}};
  larger.rgb.resize(4 * picture.rgb.size());
  const auto tiles = tiles_of(picture.width, picture.height);
  const onnx::breaker never(*library_); // a tile is short: `stop` between tiles is enough
  std::atomic<std::size_t> next{0};
  first_failure wrong;

  const auto enlarge = [&](const area& tile) -> result<void> {
    const area around{std::max(0, tile.left - border), std::max(0, tile.top - border),
                      std::min(picture.width, tile.right + border), std::min(picture.height, tile.bottom + border)};
    const auto given = onnx::tensor::floats(planes(picture, around), {1, 3, around.height(), around.width()});
    const onnx::session::input inputs[] = {{"picture", &given}};
    const char* const wanted[] = {"detail"};
    const auto detail = net_->run(inputs, wanted, never);
    if (!detail)
      return detail.error();
    add_detail(picture, tile, around, detail->front().as_floats(), larger);
    return {};
  };
  const auto work = [&] {
    try {
      for (std::size_t i; !wrong.any() && (i = next++) < tiles.size();) {
        if (stop())
          return wrong.set(fail("cancelled", "cancelled"));
        if (auto done = enlarge(tiles[i]); !done)
          return wrong.set(done.error());
      }
    } catch (const std::bad_alloc&) {
      wrong.set(fail("out_of_memory", "not enough memory for this picture"));
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min<std::size_t>(threads, tiles.size()); ++i)
      others.emplace_back(work);
    work();
  }
  if (auto why = wrong.take())
    return *why;
  return larger;
}

} // namespace troupe::engines

#include "gpu/media/portrait.hpp"

#include "gpu/media/media.hpp"

#include <algorithm>

namespace troupe::media {

namespace {

constexpr int quality = 90;

frame middle_square(const frame& picture) {
  auto side = std::min(picture.width, picture.height);
  auto left = static_cast<std::size_t>(picture.width - side) / 2,
       top = static_cast<std::size_t>(picture.height - side) / 2;
  auto stride = static_cast<std::size_t>(picture.width) * 3, row = static_cast<std::size_t>(side) * 3;
  frame out{side, side, {}};
  out.rgb.reserve(row * static_cast<std::size_t>(side));
  for (std::size_t y = 0; y < static_cast<std::size_t>(side); ++y) {
    auto from = picture.rgb.begin() + static_cast<std::ptrdiff_t>((top + y) * stride + left * 3);
    out.rgb.insert(out.rgb.end(), from, from + static_cast<std::ptrdiff_t>(row));
  }
  return out;
}

} // namespace

result<std::string> portrait_of(const std::filesystem::path& path) {
  auto picture = read_image(path);
  if (!picture)
    return picture.error();
  auto small = resize(middle_square(*picture), portrait_side, portrait_side);
  if (!small)
    return small.error();
  return encode_jpeg(*small, portrait_side, quality);
}

} // namespace troupe::media

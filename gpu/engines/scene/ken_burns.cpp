#include "gpu/engines/scene/ken_burns.hpp"

#include "gpu/engines/scene/shade.hpp"

#include <algorithm>

namespace troupe::engines::scene {
namespace {

/// The middle of `picture` in the proportions asked for.
media::frame cut(const media::frame& picture, int width, int height) {
  const auto w64 = static_cast<std::int64_t>(picture.width), h64 = static_cast<std::int64_t>(picture.height);
  const int w = static_cast<int>(std::max<std::int64_t>(1, std::min(w64, h64 * width / height)));
  const int h = static_cast<int>(std::max<std::int64_t>(1, std::min(h64, w64 * height / width)));
  const int left = (picture.width - w) / 2, top = (picture.height - h) / 2;
  media::frame made{w, h, {}};
  made.rgb.reserve(static_cast<std::size_t>(w) * static_cast<std::size_t>(h) * 3);
  for (int y = 0; y < h; ++y) {
    const auto* row =
        picture.rgb.data() +
        (static_cast<std::size_t>(top + y) * static_cast<std::size_t>(picture.width) + static_cast<std::size_t>(left)) *
            3;
    made.rgb.insert(made.rgb.end(), row, row + static_cast<std::ptrdiff_t>(w) * 3);
  }
  return made;
}

} // namespace

result<ken_burns> ken_burns::open(const scene_plan& plan, const media::frame& picture, int width, int height) {
  auto fitted = media::resize(cut(picture, width, height), width, height);
  if (!fitted)
    return fitted.error();
  ken_burns made;
  made.plan_ = plan;
  made.picture_ = std::move(*fitted);
  made.width_ = width;
  made.height_ = height;
  return made;
}

void ken_burns::render(double seconds, const row_runner& run, std::uint8_t* pixels) {
  const view at = view_at(plan_, static_cast<float>(seconds));
  run(height_, [this, &at, pixels](int from, int to) { draw(at, from, to, pixels); });
}

rgb ken_burns::sample(float x, float y) const {
  const float gx = clamp(x, 0, static_cast<float>(width_ - 1)), gy = clamp(y, 0, static_cast<float>(height_ - 1));
  const int i = std::min(static_cast<int>(gx), std::max(0, width_ - 2)),
            j = std::min(static_cast<int>(gy), std::max(0, height_ - 2));
  const float u = gx - static_cast<float>(i), w = gy - static_cast<float>(j);
  const auto pixel = [this](int column, int row) {
    const auto* p = picture_.rgb.data() + (static_cast<std::ptrdiff_t>(row) * width_ + column) * 3;
    return rgb{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2])} * (1.0F / 255.0F);
  };
  return mix(mix(pixel(i, j), pixel(i + 1, j), u), mix(pixel(i, j + 1), pixel(i + 1, j + 1), u), w);
}

void ken_burns::draw(const view& at, int from, int to, std::uint8_t* pixels) const {
  // The lens pushes in far enough that the way to the side never leaves the picture.
  const float k = saturate(at.t / plan_.duration_s);
  const float ease = k * k * (3.0F - 2.0F * k);
  const float depth = 0.06F + 0.5F * saturate(absolute(plan_.zoom_to - plan_.zoom_from));
  const float zoom = 1.0F + ease * depth;
  const float room = 0.5F * (1.0F - 1.0F / zoom);
  const float way_x = (plan_.pan_x < 0 ? -1.0F : 1.0F) * room * 0.8F, way_y = (unit(hash(plan_.seed)) - 0.5F) * room;
  for (int row = from; row < to; ++row) {
    std::uint8_t* out = pixels + static_cast<std::ptrdiff_t>(row) * width_ * 3;
    for (int column = 0; column < width_; ++column) {
      const float fx = (static_cast<float>(column) + 0.5F) / static_cast<float>(width_) - 0.5F;
      const float fy = (static_cast<float>(row) + 0.5F) / static_cast<float>(height_) - 0.5F;
      layers on;
      const float x = fx * plan_.aspect, y = -fy;
      if (plan_.embers > 0 || plan_.petals > 0)
        drifting(plan_, at, on, x, y);
      if (plan_.snow > 0)
        put(on, rgb{0.95F, 0.97F, 1.0F}, snow_at(plan_, at, x, y) * smoothstep(0, 0.15F, k));
      if (plan_.rain > 0)
        glow(on, rgb{0.55F, 0.58F, 0.62F} * (rain_at(plan_, at, x, y) * smoothstep(0, 0.15F, k)));
      put(on,
          sample((fx / zoom + way_x + 0.5F) * static_cast<float>(width_) - 0.5F,
                 (fy / zoom + way_y + 0.5F) * static_cast<float>(height_) - 0.5F),
          1);
      const rgb c = on.sum * 255.0F + rgb{0.5F, 0.5F, 0.5F};
      *out++ = static_cast<std::uint8_t>(clamp(c.r, 0, 255));
      *out++ = static_cast<std::uint8_t>(clamp(c.g, 0, 255));
      *out++ = static_cast<std::uint8_t>(clamp(c.b, 0, 255));
    }
  }
}

} // namespace troupe::engines::scene

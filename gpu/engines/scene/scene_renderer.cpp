#include "gpu/engines/scene/scene_renderer.hpp"

#include "gpu/engines/scene/shade.hpp"

#include <algorithm>

namespace troupe::engines::scene {
namespace {

/// Water mirrors a little more than the picture shows.
constexpr float margin = 0.12F;

/// An ordered dither (Bayer, 4 x 4): gradients of a dark sky would show bands.
std::uint8_t to_byte(float value, int x, int y) {
  constexpr std::uint8_t order[16] = {0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5};
  const float threshold = (static_cast<float>(order[(y & 3) * 4 + (x & 3)]) + 0.5F) / 16.0F;
  return static_cast<std::uint8_t>(clamp(value * 255.0F + threshold, 0.0F, 255.0F));
}

} // namespace

scene_renderer::scene_renderer(const scene_plan& plan, int width, int height)
  : plan_(plan), width_(width), height_(height) {
  const int step = std::max(2, height / 160);
  view_.soft_step = static_cast<float>(step) * plan.pixel;
  view_.soft_left = -plan.aspect * 0.5F - margin;
  view_.soft_bottom = -0.5F - margin;
  view_.soft_columns = static_cast<int>((plan.aspect + 2 * margin) / view_.soft_step) + 2;
  view_.soft_rows = static_cast<int>((1.0F + 2 * margin) / view_.soft_step) + 2;
  view_.ridge_step = plan.pixel;
  view_.ridge_left = view_.soft_left;
  view_.ridge_columns = static_cast<int>((plan.aspect + 2 * margin) / view_.ridge_step) + 2;
  soft_.resize(static_cast<std::size_t>(view_.soft_columns) * static_cast<std::size_t>(view_.soft_rows));
  ridges_.resize(static_cast<std::size_t>(view_.ridge_columns) * land_layers);
}

void scene_renderer::render(double seconds, const row_runner& run, std::uint8_t* pixels) {
  const view fresh = view_at(plan_, static_cast<float>(seconds));
  view_.t = fresh.t;
  view_.x = fresh.x;
  view_.y = fresh.y;
  view_.zoom = fresh.zoom;
  view_.flash = fresh.flash;
  view_.soft = soft_.data();
  view_.ridges = ridges_.data();
  if (plan_.place == world::land || plan_.place == world::sea)
    run(view_.ridge_columns, [this](int from, int to) { draw_ridges(from, to); });
  run(view_.soft_rows, [this](int from, int to) { draw_soft(from, to); });
  run(height_, [this, pixels](int from, int to) { draw(from, to, pixels); });
}

void scene_renderer::draw_ridges(int from, int to) {
  for (int layer = 0; layer < land_layers; ++layer)
    for (int column = from; column < to; ++column) {
      const float x = view_.ridge_left + static_cast<float>(column) * view_.ridge_step;
      ridges_[static_cast<std::size_t>(layer * view_.ridge_columns + column)] =
          land_height(plan_, layer, at_depth(view_, x, 0, land_depth(layer)).x);
    }
}

void scene_renderer::draw_soft(int from, int to) {
  for (int row = from; row < to; ++row)
    for (int column = 0; column < view_.soft_columns; ++column)
      soft_[static_cast<std::size_t>(row * view_.soft_columns + column)] =
          shade_soft(plan_, view_, view_.soft_left + static_cast<float>(column) * view_.soft_step,
                     view_.soft_bottom + static_cast<float>(row) * view_.soft_step);
}

void scene_renderer::draw(int from, int to, std::uint8_t* pixels) const {
  for (int row = from; row < to; ++row) {
    const float y = 0.5F - (static_cast<float>(row) + 0.5F) * plan_.pixel;
    std::uint8_t* out = pixels + static_cast<std::ptrdiff_t>(row) * width_ * 3;
    for (int column = 0; column < width_; ++column) {
      const float x = (static_cast<float>(column) + 0.5F - static_cast<float>(width_) * 0.5F) * plan_.pixel;
      const rgb c = shade(plan_, view_, x, y);
      *out++ = to_byte(c.r, column, row);
      *out++ = to_byte(c.g, column, row);
      *out++ = to_byte(c.b, column, row);
    }
  }
}

} // namespace troupe::engines::scene

#pragma once

// Where the camera is at a moment, and how layers of paint are put on each other.

#include "gpu/engines/scene/scene_plan.hpp"

#include <cstddef>

namespace troupe::engines::scene {

constexpr int land_layers = 5;

/// What is smooth, worked out on a grid of a few pixels' width and blended between.
struct soft_cell {
  rgb colour;
  float cover = 0; // how much of the stars, the sun and the moon clouds hide
  float mist = 0;
};

/// The camera at one moment, and what was worked out beforehand for the whole picture.
struct view {
  float t = 0; // seconds
  float x = 0, y = 0, zoom = 1;
  float flash = 0; // of lightning, 0 … 1

  const soft_cell* soft = nullptr; // rows from the bottom
  int soft_columns = 0, soft_rows = 0;
  float soft_left = 0, soft_bottom = 0, soft_step = 1;
  const float* ridges = nullptr; // land_layers rows of heights by column
  int ridge_columns = 0;
  float ridge_left = 0, ridge_step = 1;
};

/// The smooth things at a screen point.
TROUPE_PIXEL soft_cell soft_at(const view& v, float x, float y) {
  const float gx = clamp((x - v.soft_left) / v.soft_step, 0, static_cast<float>(v.soft_columns) - 1.001F);
  const float gy = clamp((y - v.soft_bottom) / v.soft_step, 0, static_cast<float>(v.soft_rows) - 1.001F);
  const int i = static_cast<int>(gx), j = static_cast<int>(gy);
  const float u = gx - static_cast<float>(i), w = gy - static_cast<float>(j);
  const soft_cell* at = v.soft + static_cast<std::ptrdiff_t>(j) * v.soft_columns + i;
  const soft_cell &a = at[0], &b = at[1], &c = at[v.soft_columns], &d = at[v.soft_columns + 1];
  return {mix(mix(a.colour, b.colour, u), mix(c.colour, d.colour, u), w),
          mix(mix(a.cover, b.cover, u), mix(c.cover, d.cover, u), w),
          mix(mix(a.mist, b.mist, u), mix(c.mist, d.mist, u), w)};
}

/// The height of a layer of land above a screen column.
TROUPE_PIXEL float ridge_at(const view& v, int layer, float x) {
  const float gx = clamp((x - v.ridge_left) / v.ridge_step, 0, static_cast<float>(v.ridge_columns) - 1.001F);
  const int i = static_cast<int>(gx);
  const float* at = v.ridges + static_cast<std::ptrdiff_t>(layer) * v.ridge_columns + i;
  return mix(at[0], at[1], gx - static_cast<float>(i));
}

TROUPE_PIXEL view view_at(const scene_plan& plan, float t) {
  const float k = saturate(t / plan.duration_s);
  view v;
  v.t = t;
  v.x = plan.pan_x * k + plan.sway * sine(t * 0.11F);
  v.y = plan.pan_y * k;
  v.zoom = mix(plan.zoom_from, plan.zoom_to, k);
  if (plan.shake > 0) {
    v.x += plan.shake * (noise(t * 2.3F, plan.seed + 900) - 0.5F) * 4.0F;
    v.y += plan.shake * (noise(t * 2.9F, plan.seed + 901) - 0.5F) * 4.0F;
  }
  if (plan.lightning > 0) {
    const float beat = t * 0.9F;
    const bool struck = random_cell(floor_int(beat), 5, plan.seed) < 0.55F;
    const float since = fraction(beat);
    v.flash = struck ? plan.lightning * (decay(since * 9.0F) + 0.6F * decay(absolute(since - 0.22F) * 22.0F)) : 0.0F;
  }
  return v;
}

struct point {
  float x, y;
};

/// A screen point as a layer sees it: `depth` 0 is the far sky, 1 right before the camera.
TROUPE_PIXEL point at_depth(const view& v, float x, float y, float depth) {
  const float zoom = 1.0F + (v.zoom - 1.0F) * (0.25F + 0.75F * depth);
  return {x / zoom + v.x * (0.06F + 0.94F * depth), y / zoom + v.y * (0.2F + 0.8F * depth)};
}

/// Layers put on from the front to the back, until nothing behind shows.
struct layers {
  rgb sum;
  float left = 1; // how much of what lies behind shows
};

TROUPE_PIXEL void put(layers& on, rgb colour, float cover) {
  const float k = on.left * saturate(cover);
  on.sum = on.sum + colour * k;
  on.left -= k;
}
/// Light that covers nothing.
TROUPE_PIXEL void glow(layers& on, rgb colour) { on.sum = on.sum + colour * on.left; }
TROUPE_PIXEL bool full(const layers& on) { return on.left < 0.004F; }

} // namespace troupe::engines::scene

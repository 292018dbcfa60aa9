#pragma once

// Ridges, hills and dunes in layers, with the trees and houses on them.

#include "gpu/engines/scene/sky.hpp"

namespace troupe::engines::scene {

/// How near a layer of land is, for the camera.
TROUPE_PIXEL float land_depth(int layer) { return 0.08F + 0.8F * static_cast<float>(layer) / (land_layers - 1); }

/// How high layer `i` (0 far … 4 near) stands at x.
TROUPE_PIXEL float land_height(const scene_plan& plan, int i, float x) {
  const float depth = static_cast<float>(i) / (land_layers - 1);
  const std::uint32_t seed = plan.seed + 100 + static_cast<std::uint32_t>(i) * 16;
  const float base = plan.horizon - 0.31F * depth * depth;
  const float amplitude = plan.relief_height * (1.0F - 0.55F * depth);
  if (plan.ground == relief::dunes) {
    // One soft side, one steep: the crest leans.
    const float n = noise(x * (1.1F + depth) + 0.35F * fbm(x * 1.7F, 2, seed + 7), seed);
    return base + amplitude * (1.0F - absolute(2.0F * n - 1.0F)) + 0.02F * fbm(x * 3, 2, seed + 3);
  }
  if (plan.ground == relief::mountains && i < 3) {
    // Every octave has a crease, so that peaks are sharp at every scale.
    float sum = 0, weight = 0.5F, at = x * (1.15F + 0.35F * depth) + static_cast<float>(i) * 7.3F;
    for (std::uint32_t octave = 0; octave < 6; ++octave) {
      const float crease = 1.0F - absolute(2.0F * noise(at, seed + octave) - 1.0F);
      sum += weight * (octave == 0 ? crease * crease : crease);
      at = at * 2.07F + 3.7F;
      weight *= 0.47F;
    }
    return base + amplitude * (1.25F * sum - 0.12F) * (0.75F + 0.35F * noise(x * 0.8F, seed + 9));
  }
  return base + amplitude * 1.2F * (fbm(x * (1.1F + 0.6F * depth) + static_cast<float>(i) * 3.1F, 4, seed) - 0.35F);
}

/// How much of (x, y) a row of trees on ground of height `base` covers.
TROUPE_PIXEL float tree_cover(const scene_plan& plan, float x, float y, float base, float size, std::uint32_t seed,
                              float& shade, float& pick) {
  const float up = y - base;
  if (up > size * 1.35F || up < -0.01F)
    return 0;
  const float cell = size * 0.42F;
  const int middle = floor_int(x / cell);
  float cover = 0;
  for (int i = middle - 1; i <= middle + 1; ++i) {
    const std::uint32_t h = hash_cell(i, 0, seed);
    if (unit(h) > 0.35F + 0.65F * plan.trees)
      continue;
    const float tall = size * (0.55F + 0.75F * unit(hash(h + 1)));
    const float dx = x - (static_cast<float>(i) + 0.2F + 0.6F * unit(hash(h + 2))) * cell;
    const float rel = up / tall;
    if (rel > 1.05F)
      continue;
    float one = 0;
    if (plan.conifers > 0.5F) {
      const float tier = 1.0F - fraction(rel * 6.0F + unit(h));
      const float half = tall * 0.22F * (1.02F - rel) * (0.62F + 0.5F * tier);
      one = smoothstep(plan.pixel, -plan.pixel, absolute(dx) - half);
    } else {
      const float trunk = smoothstep(plan.pixel, -plan.pixel, absolute(dx) - tall * 0.03F) * (rel < 0.5F ? 1.0F : 0.0F);
      const float ragged = 0.34F * tall * (0.75F + 0.5F * noise(x * 60, y * 60, seed + 5));
      one = larger(trunk, smoothstep(plan.pixel, -plan.pixel, length(dx, up - tall * 0.66F) - ragged));
    }
    if (one > cover) {
      cover = one;
      pick = unit(hash(h + 5));
      shade = unit(hash(h + 4)) * 0.5F + 0.5F * saturate(rel + dx / tall * (plan.light_x > 0 ? 2.0F : -2.0F));
    }
  }
  return cover;
}

/// Houses with lit windows, few and far between.
TROUPE_PIXEL void houses(const scene_plan& plan, layers& on, float x, float y, int layer, rgb body) {
  const float depth = static_cast<float>(layer) / (land_layers - 1);
  const float cell = 0.10F + 0.10F * depth, size = 0.022F + 0.035F * depth;
  const int i = floor_int(x / cell);
  const std::uint32_t h = hash_cell(i, layer, plan.seed + 170);
  if (unit(h) > 0.75F * plan.village)
    return;
  const float cx = (static_cast<float>(i) + 0.3F + 0.4F * unit(hash(h + 1))) * cell;
  const float dx = x - cx, up = y - land_height(plan, layer, cx) + size * 0.2F;
  const float wall = larger(absolute(dx) - size * 0.62F, absolute(up - size * 0.3F) - size * 0.45F);
  const float roof = larger(absolute(dx) * 0.8F + (up - size * 0.7F) - size * 0.62F, size * 0.65F - up);
  const float pane =
      larger(absolute(absolute(dx) - size * 0.28F) - size * 0.1F, absolute(up - size * 0.3F) - size * 0.13F);
  const float soft = plan.pixel;
  put(on, rgb{1.0F, 0.74F, 0.36F} * (0.35F + 0.9F * plan.night), smoothstep(soft, -soft, pane));
  put(on, body * 0.55F + rgb{0.10F, 0.02F, 0.01F} * (1.0F - plan.night), smoothstep(soft, -soft, roof));
  put(on, body * 0.85F + rgb{0.16F, 0.14F, 0.11F} * (1.0F - plan.night), smoothstep(soft, -soft, wall));
  glow(on, rgb{1.0F, 0.6F, 0.25F} * (0.14F * plan.night * decay(length(dx, up - size * 0.3F) / size * 1.4F)));
}

TROUPE_PIXEL rgb land_colour(const scene_plan& plan, const view& v, int i, float x, float y, float top, float slope) {
  const float depth = static_cast<float>(i) / (land_layers - 1);
  const std::uint32_t seed = plan.seed + 100 + static_cast<std::uint32_t>(i) * 16;
  const float below = top - y;
  const float from_right = clamp((plan.light_x - x) * 5.0F, -1.0F, 1.0F);
  const float lit = saturate(0.5F - 0.45F * from_right * clamp(slope, -1.4F, 1.4F));
  rgb body = mix(plan.far_ground, plan.near_ground, saturate(0.15F + depth * 1.1F));
  float texture = 0;
  if (plan.ground == relief::dunes) {
    const float ripples = sine(below * (70.0F - 30.0F * depth) + fbm(x * 4, below * 6, 3, seed + 2) * 3.0F);
    texture =
        0.05F * ripples * depth * saturate(below * 12.0F) + 0.2F * (fbm(x * 3 + below * 4, below * 3, 3, seed) - 0.5F);
    body = body * (0.62F + 0.75F * mix(lit, 0.6F, saturate(below * 6)));
  } else if (plan.ground == relief::mountains && i < 3) {
    // Rock: creased at every scale, each crease with one side in the light.
    const float across = x * 8.0F + below * 1.5F, down = below * 6.5F;
    const float here = fbm(across, down, 4, seed + 3), beside = fbm(across + 0.22F, down + 0.10F, 4, seed + 3);
    const float side = saturate(0.5F - from_right * (beside - here) * 6.0F);
    const float light = mix(lit, side, saturate(0.35F + below * 8));
    body = body * (0.38F + 1.05F * light) + plan.light * (0.13F * light * plan.glow * (1.0F - 0.7F * plan.night));
    const float line = 0.20F * plan.snowcaps * (1.0F - 0.3F * depth) + 0.22F * (here - 0.5F);
    const float snowy = smoothstep(0.025F, -0.025F, below - line) * smoothstep(0.05F, 0.35F, plan.snowcaps);
    const rgb white = mix(plan.sky_mid * 0.70F + plan.sky_top * 0.15F, plan.light * (1.0F - 0.72F * plan.night),
                          0.15F + 0.85F * light);
    body = mix(body, white, saturate(snowy));
  } else {
    const float squash = 1.0F / (0.06F + larger(0, below));
    texture = 0.9F * (fbm(x * (26.0F - 8.0F * depth), below * 60 + squash * 0.2F, 3, seed + 4) - 0.5F);
    body = body * (0.75F + 0.45F * mix(lit, 0.55F, saturate(below * 5)));
  }
  body = body * (1.0F + texture);
  body = body * (1.0F - 0.35F * saturate(below * 1.3F));
  body = body + rgb{0.3F, 0.32F, 0.42F} * (v.flash * 0.35F);
  // The air between: thick for far layers, thicker in their valleys.
  const float haze = saturate((0.74F - 0.80F * depth) * (0.62F + 1.5F * below) + plan.fog * (0.85F - 0.6F * depth));
  return mix(body, mix(plan.sky_low, plan.sky_mid, 0.5F) * 0.92F, saturate(haze));
}

/// Flowers on the nearest ground, upright, in rows that come closer.
TROUPE_PIXEL void flowers(const scene_plan& plan, const view& v, layers& on, float x, float below, std::uint32_t seed) {
  for (int lane = 0; lane < 3; ++lane) {
    const float spread = 1.0F + 0.23F * static_cast<float>(lane);
    const float z = 2.3F / (larger(0, below) * spread + 0.085F);
    const int j = floor_int(z);
    const float at = 2.3F / (static_cast<float>(j) + 0.5F);
    const float size = at * 0.16F;
    const float foot = (at - 0.085F) / spread;
    const float sway = 0.05F * sine(v.t * 0.45F + static_cast<float>(j) * 0.37F + x * 2) * (0.4F + plan.wind);
    const float gx = x / size + sway + static_cast<float>(j * 7 + lane * 3) * 0.37F;
    const int i = floor_int(gx);
    const std::uint32_t h = hash_cell(i, j, seed + static_cast<std::uint32_t>(lane));
    if (unit(h) > 0.15F + 0.55F * plan.flowers)
      continue;
    const float dx = gx - static_cast<float>(i) - 0.3F - 0.4F * unit(hash(h + 1));
    const float dy = (foot - below) / size + 0.15F * (unit(hash(h + 4)) - 0.5F);
    const float d = length(dx, dy * 1.25F);
    if (d > 0.3F)
      continue;
    const float petals = 0.19F + 0.06F * cosine(angle(dx, dy) * 5.0F);
    const float other = unit(hash(h + 2)) < 0.22F ? 1.0F : 0.0F;
    const rgb colour = mix(mix(plan.accent, rgb{1, 1, 1}, 0.10F), mix(plan.accent2, rgb{1, 0.95F, 0.8F}, 0.6F), other);
    const float light = (0.6F + 0.5F * unit(hash(h + 3)) + 0.8F * dy) * (1.0F - 0.8F * plan.night);
    put(on, rgb{0.95F, 0.75F, 0.2F} * light, smoothstep(0.07F, 0.04F, d));
    put(on, colour * light, smoothstep(petals, petals - 0.05F, d) * saturate(plan.flowers * 1.5F));
  }
}

/// All layers from `near` to `far`, those above a water line at the horizon if `shore`.
TROUPE_PIXEL void land(const scene_plan& plan, const view& v, layers& on, float x, float y, int near, int far,
                       bool fine) {
  for (int i = near; i >= far && !full(on); --i) {
    const float depth = static_cast<float>(i) / (land_layers - 1);
    if (y > plan.horizon + plan.relief_height * 1.25F + 0.2F)
      break;
    const point p = at_depth(v, x, y, land_depth(i));
    const float top = ridge_at(v, i, x);
    const rgb body = mix(plan.far_ground, plan.near_ground, 0.4F + 0.6F * depth);
    if (plan.village > 0 && fine && (i == 2 || i == 3))
      houses(plan, on, p.x, p.y, i, body);
    if (plan.trees > 0.02F && i > 0 && plan.ground != relief::dunes) {
      float shade = 0, pick = 0;
      const float size = (0.035F + 0.17F * depth * depth) * (0.6F + 0.6F * plan.trees);
      const float cover =
          tree_cover(plan, p.x, p.y, top - 0.006F, size, plan.seed + 140 + static_cast<std::uint32_t>(i), shade, pick);
      if (cover > 0) {
        rgb leaf = mix(plan.near_ground * 0.55F, plan.near_ground * 1.25F, shade);
        if (plan.conifers < 0.5F && plan.petals < 0.7F) // every tree turns in its own time
          leaf = mix(leaf,
                     mix(rgb{0.62F, 0.12F, 0.04F}, rgb{0.92F, 0.62F, 0.10F}, pick) *
                         ((0.4F + 0.75F * shade) * (1.0F - 0.85F * plan.night)),
                     0.75F);
        if (plan.snow > 0 || plan.snowcaps > 0.6F)
          leaf = mix(rgb{0.03F, 0.06F, 0.07F}, leaf, 0.35F + 0.65F * shade);
        const float haze = saturate(0.55F - 0.55F * depth + plan.fog * (0.8F - 0.6F * depth));
        put(on, mix(leaf, mix(plan.sky_low, plan.sky_mid, 0.4F), haze), cover);
      }
    }
    const float cover = smoothstep(-plan.pixel, plan.pixel, top - p.y);
    if (cover <= 0)
      continue;
    if (plan.flowers > 0.05F && fine && i >= land_layers - 2)
      flowers(plan, v, on, p.x, top - p.y, plan.seed + 150 + static_cast<std::uint32_t>(i) * 4);
    const float slope = (ridge_at(v, i, x + 0.012F) - top) / 0.012F;
    put(on, land_colour(plan, v, i, p.x, p.y, top, slope), cover);
  }
}

} // namespace troupe::engines::scene

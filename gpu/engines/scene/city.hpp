#pragma once

// A city's skyline: three rows of buildings, their windows and signs.

#include "gpu/engines/scene/sky.hpp"

namespace troupe::engines::scene {

TROUPE_PIXEL void windows(const scene_plan& plan, layers& on, float dx, float up, float width, float tall, int row,
                          std::uint32_t h, float haze) {
  const float pane = row == 0 ? 0.010F : row == 1 ? 0.014F : 0.020F;
  const float gx = (dx + width) / pane, gy = up / (pane * 1.35F);
  const int i = floor_int(gx), j = floor_int(gy);
  const float fx = gx - static_cast<float>(i), fy = gy - static_cast<float>(j);
  if (absolute(dx) > width - pane * 0.5F || up > tall - pane || up < pane)
    return;
  const std::uint32_t w = hash_cell(i, j, h);
  // Whole floors are dark or lit more often than single rooms.
  const float floor_mood = random_cell(j, 1, h) * 0.6F + 0.7F;
  const bool lit = unit(w) < plan.lit_windows * floor_mood;
  const float soft = plan.pixel / pane;
  const float mask = smoothstep(0.16F - soft, 0.16F + soft, fx) * smoothstep(0.16F - soft, 0.16F + soft, 1.0F - fx) *
                     smoothstep(0.2F - soft, 0.2F + soft, fy) * smoothstep(0.2F - soft, 0.2F + soft, 1.0F - fy);
  const rgb warm = mix(rgb{1.0F, 0.72F, 0.36F}, rgb{0.70F, 0.85F, 1.0F}, unit(hash(w + 1)) < 0.28F ? 1.0F : 0.0F);
  const rgb tinted = plan.neon > 0 && unit(hash(w + 3)) < 0.10F * plan.neon ? plan.accent : warm;
  const rgb glass = mix(plan.sky_mid, plan.sky_top, 0.4F) * 0.55F;
  const rgb colour = lit ? tinted * (0.45F + 0.65F * unit(hash(w + 2))) : glass;
  put(on, mix(colour, plan.sky_low, haze), mask * (lit ? 0.95F : 0.45F));
}

TROUPE_PIXEL void neon_sign(const scene_plan& plan, layers& on, float dx, float up, float width, float tall, float t,
                            std::uint32_t h) {
  if (unit(hash(h + 20)) > 0.75F)
    return;
  const float at = (unit(hash(h + 21)) - 0.5F) * width * 1.4F;
  const float low = tall * (0.15F + 0.3F * unit(hash(h + 22))),
              high = low + tall * (0.15F + 0.25F * unit(hash(h + 23)));
  const bool flat = unit(hash(h + 24)) < 0.4F;
  const float half_x = flat ? width * 0.55F : 0.007F, mid = (low + high) * 0.5F;
  const float half_y = flat ? 0.007F : (high - low) * 0.5F;
  const float ox = larger(0, absolute(dx - at) - half_x), oy = larger(0, absolute(up - mid) - half_y);
  const float d = length(ox, oy);
  const float pick = unit(hash(h + 25));
  const rgb colour = pick < 0.4F ? plan.accent : pick < 0.75F ? plan.accent2 : hue(pick * 7.0F);
  const float flicker =
      0.85F + 0.15F * sine(t * (0.7F + pick)) - (random_cell(floor_int(t * 9), 3, h) < 0.04F ? 0.5F : 0.0F);
  const float bars = flat ? fraction((dx - at) * 90.0F) : fraction(up * 90.0F);
  const float glyph = bars > 0.25F ? 1.0F : 0.25F;
  put(on, mix(colour, rgb{1, 1, 1}, 0.35F) * (flicker * 1.3F * glyph), smoothstep(plan.pixel, 0, d) * plan.neon);
  glow(on, colour * (0.38F * plan.neon * flicker * decay(d * 38.0F)));
}

TROUPE_PIXEL void buildings(const scene_plan& plan, const view& v, layers& on, float x, float y, bool fine) {
  for (int row = 2; row >= 0 && !full(on); --row) {
    const float depth = static_cast<float>(row) * 0.3F + 0.1F;
    const point p = at_depth(v, x, y, depth);
    const float foot = plan.horizon;
    const float cell = row == 0 ? 0.085F : row == 1 ? 0.13F : 0.21F;
    const int i = floor_int(p.x / cell);
    const std::uint32_t h = hash_cell(i, row, plan.seed + 200);
    const float width = cell * (0.34F + 0.17F * unit(hash(h + 1)));
    const float cx = (static_cast<float>(i) + 0.5F) * cell;
    const float centre = decay(cx * cx * 1.1F);
    const float r = unit(hash(h + 2));
    const float tall = (row == 0   ? 0.16F
                        : row == 1 ? 0.13F
                                   : 0.07F) +
                       (row == 0   ? 0.42F
                        : row == 1 ? 0.40F
                                   : 0.34F) *
                           r * r * (0.35F + 0.65F * centre);
    const float dx = p.x - cx, up = p.y - foot;
    if (row == 2 && unit(hash(h + 3)) < 0.30F && plan.who != subject::none)
      continue; // gaps to see through
    if (up > tall + 0.12F)
      continue;
    const float haze = saturate((row == 0   ? 0.62F
                                 : row == 1 ? 0.34F
                                            : 0.08F) *
                                    (0.65F + 0.35F * (1.0F - up)) +
                                plan.fog * (0.5F - 0.2F * static_cast<float>(row)));
    const rgb air = plan.sky_low * (1.0F - 0.30F * plan.night);
    if (plan.neon > 0 && row > 0)
      neon_sign(plan, on, dx, up, width, tall, v.t, h);
    const bool stepped = unit(hash(h + 5)) < 0.45F;
    const float narrow = stepped && up > tall * 0.72F ? width * 0.62F : width;
    const float inside = smaller(narrow - absolute(dx), tall - up);
    const float mast =
        unit(hash(h + 6)) < 0.4F && tall > 0.25F ? smaller(0.0022F - absolute(dx), tall + 0.07F - up) : -1.0F;
    const float cover = smoothstep(-plan.pixel, plan.pixel, larger(inside, mast));
    if (mast > -0.01F && fine) {
      const float blink = 0.5F + 0.5F * sine(v.t * 0.5F + r * 9);
      glow(on, rgb{1.0F, 0.12F, 0.08F} * (1.1F * blink * plan.night * decay(length(dx, up - tall - 0.07F) * 150.0F)));
    }
    if (cover <= 0 || up < -0.01F)
      continue;
    if (inside > 0)
      windows(plan, on, dx, up, narrow, tall, row, h, haze * 0.75F);
    const float side = saturate(0.5F + (plan.light_x > cx ? 1.0F : -1.0F) * dx / width * 0.5F);
    rgb wall = mix(rgb{0.30F, 0.32F, 0.37F}, rgb{0.46F, 0.40F, 0.36F}, unit(hash(h + 7)));
    wall = wall * (1.0F - 0.90F * plan.night) * (0.45F + 0.65F * side) + plan.sky_top * 0.22F +
           plan.sky_low * (0.10F * plan.night) + plan.light * (0.10F * side * plan.glow * (1.0F - plan.night));
    put(on, mix(wall, air, haze) + rgb{0.3F, 0.3F, 0.4F} * (v.flash * 0.3F), cover);
  }
}

} // namespace troupe::engines::scene

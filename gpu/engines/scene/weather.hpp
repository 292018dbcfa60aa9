#pragma once

// What falls, drifts and burns before everything else.

#include "gpu/engines/scene/view.hpp"

namespace troupe::engines::scene {

TROUPE_PIXEL float rain_at(const scene_plan& plan, const view& v, float x, float y) {
  float sum = 0;
  const float lean = 0.10F + 0.35F * plan.wind;
  for (int i = 0; i < 3; ++i) {
    const float k = static_cast<float>(i);
    const float cell = 0.016F + 0.012F * k, tall = 0.16F + 0.14F * k;
    const float fx = x + y * lean + v.x * (0.4F + 0.3F * k), fy = y + v.t * (1.1F + 0.5F * k);
    const int column = floor_int(fx / cell);
    const float offset = random_cell(column, i, plan.seed + 500) * 7.0F;
    const float gy = fy / tall + offset;
    const std::uint32_t h = hash_cell(column, floor_int(gy), plan.seed + 501 + static_cast<std::uint32_t>(i));
    if (unit(h) > 0.30F + 0.25F * plan.rain)
      continue;
    const float across = absolute(fraction(fx / cell) - 0.5F) * cell, along = fraction(gy);
    const float width = larger(plan.pixel * 0.7F, 0.0007F + 0.0004F * k);
    sum += smoothstep(width * 1.6F, 0.0F, across) * smoothstep(0.0F, 0.35F, along) * smoothstep(0.55F, 0.4F, along) *
           (0.16F + 0.10F * k);
  }
  return sum * plan.rain;
}

TROUPE_PIXEL float snow_at(const scene_plan& plan, const view& v, float x, float y) {
  float sum = 0;
  for (int i = 0; i < 3; ++i) {
    const float k = static_cast<float>(i) * 1.3F;
    const float cell = 0.030F + 0.030F * k * (1.0F + 0.35F * k);
    const float speed = 0.05F + 0.055F * k;
    const float fy = y + v.t * speed;
    const float fx = x + v.x * (0.3F + 0.25F * k) - v.t * plan.wind * speed * 0.9F +
                     0.012F * (1.0F + k) * sine(v.t * 0.13F + fy * 2.2F + k * 0.3F);
    const int ci = floor_int(fx / cell), cj = floor_int(fy / cell);
    const std::uint32_t h = hash_cell(ci, cj, plan.seed + 510 + static_cast<std::uint32_t>(i));
    if (unit(h) > 0.35F + 0.35F * plan.snow)
      continue;
    const float dx = fraction(fx / cell) - 0.25F - 0.5F * unit(hash(h + 1)),
                dy = fraction(fy / cell) - 0.25F - 0.5F * unit(hash(h + 2));
    const float radius = (0.055F + 0.075F * unit(hash(h + 3))), soft = i == 2 ? 0.9F : 0.45F;
    sum += smoothstep(radius, radius * (1.0F - soft), length(dx, dy)) * (i == 2 ? 0.5F : 0.85F);
  }
  return saturate(sum) * saturate(plan.snow * 1.4F);
}

/// Sparks that rise, or petals that fall: both are cells that drift.
TROUPE_PIXEL void drifting(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  for (int i = 0; i < 2 && (plan.embers > 0 || plan.petals > 0); ++i) {
    const float k = static_cast<float>(i);
    const bool sparks = plan.embers > plan.petals;
    const float cell = (sparks ? 0.07F : 0.10F) + 0.05F * k;
    const float fy = y + v.t * (sparks ? -0.10F - 0.06F * k : 0.06F + 0.04F * k);
    const float fx =
        x + v.x * (0.5F + 0.3F * k) - v.t * 0.05F * plan.wind + 0.03F * sine(v.t * 0.21F + fy * 1.9F + k * 0.4F);
    const int ci = floor_int(fx / cell), cj = floor_int(fy / cell);
    const std::uint32_t h = hash_cell(ci, cj, plan.seed + 520 + static_cast<std::uint32_t>(i));
    if (unit(h) > 0.45F * larger(plan.embers, plan.petals))
      continue;
    const float dx = fraction(fx / cell) - 0.25F - 0.5F * unit(hash(h + 1)),
                dy = fraction(fy / cell) - 0.25F - 0.5F * unit(hash(h + 2));
    if (sparks) {
      const float pulse = 0.5F + 0.5F * sine(v.t * (0.5F + unit(h)) + unit(hash(h + 3)));
      const float d = length(dx, dy);
      glow(on, rgb{1.0F, 0.55F, 0.15F} *
                   (pulse * plan.embers * (decay(d * d * 2500.0F) * 1.4F + 0.25F * decay(d * 26.0F))));
    } else {
      const float turn = v.t * (0.2F + 0.3F * unit(h)) + unit(hash(h + 3));
      const float s = sine(turn), c = cosine(turn), tumble = 0.35F + 0.65F * absolute(sine(turn * 1.7F));
      const float px = dx * c - dy * s, py = (dx * s + dy * c) / tumble;
      const rgb colour = plan.conifers > 0.5F || luma(plan.near_ground) > 0.25F
                             ? mix(plan.accent, rgb{1.0F, 0.72F, 0.80F}, 0.6F)
                             : mix(rgb{0.85F, 0.35F, 0.06F}, rgb{0.85F, 0.60F, 0.10F}, unit(hash(h + 4)));
      put(on, colour * (1.0F - 0.6F * plan.night),
          smoothstep(0.011F, 0.007F, px * px * 1.0F + py * py * 3.0F) * plan.petals);
    }
  }
}

/// A fire on the ground, with the light it throws.
TROUPE_PIXEL void campfire(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const point p = at_depth(v, x, y, 0.8F);
  const float px = (p.x + plan.who_x * 0.5F) / 0.11F, py = (p.y + 0.36F) / 0.11F;
  const float pulse = 0.85F + 0.15F * noise(v.t * 5, plan.seed + 530);
  if (absolute(px) < 1.6F && py > -0.4F && py < 3.2F) {
    const float lick = fbm(px * 1.6F + 3, py * 1.1F - v.t * 2.6F, 4, plan.seed + 531);
    const float reach = 1.7F + 1.1F * (lick - 0.4F) - 0.9F * px * px;
    const float heat = saturate(1.0F - py / larger(reach, 0.05F)) *
                       smoothstep(0.95F, 0.35F, absolute(px + (lick - 0.5F) * 0.7F * py)) * smoothstep(-0.1F, 0.1F, py);
    put(on, mix(rgb{0.95F, 0.22F, 0.02F}, rgb{1.25F, 0.92F, 0.45F}, smoothstep(0.15F, 0.7F, heat)) * pulse,
        smoothstep(0.02F, 0.30F, heat) * plan.fire);
    const float log = smaller(larger(absolute(py + 0.05F + px * 0.16F) - 0.11F, absolute(px) - 0.95F),
                              larger(absolute(py + 0.02F - px * 0.18F) - 0.10F, absolute(px) - 0.9F));
    put(on,
        rgb{0.09F, 0.04F, 0.02F} +
            rgb{0.5F, 0.12F, 0.02F} * (0.5F * pulse * noise(px * 9, py * 9 + v.t, plan.seed + 532)),
        smoothstep(0.03F, -0.03F, log));
  }
  glow(on, rgb{1.0F, 0.42F, 0.12F} *
               (plan.fire * pulse *
                (0.40F * decay(length(px, py - 0.5F) * 0.75F) + 0.10F * decay(length(px * 0.4F, py) * 0.5F))));
}

} // namespace troupe::engines::scene

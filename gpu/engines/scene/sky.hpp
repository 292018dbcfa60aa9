#pragma once

// The sky: gradient, sun or moon, stars, clouds, aurora, rainbow.

#include "gpu/engines/scene/view.hpp"

namespace troupe::engines::scene {

/// Stars in a grid of cells, one in some of them; few are bright.
TROUPE_PIXEL float star_field(float x, float y, float cell, float share, float t, float pixel, std::uint32_t seed) {
  const float gx = x / cell, gy = y / cell;
  const int i = floor_int(gx), j = floor_int(gy);
  const std::uint32_t h = hash_cell(i, j, seed);
  if (unit(h) > share)
    return 0;
  const float sx = 0.1F + 0.8F * unit(hash(h + 1)), sy = 0.1F + 0.8F * unit(hash(h + 2));
  const float size = unit(hash(h + 3)), bright = size * size * size * size;
  const float d = length(gx - static_cast<float>(i) - sx, gy - static_cast<float>(j) - sy) * cell;
  const float radius = pixel * (0.75F + 0.65F * bright);
  const float twinkle = 0.78F + 0.22F * sine(t * (0.3F + size) + sx * 7.0F);
  const float halo = bright > 0.5F ? 0.25F * decay(d / (pixel * 2.2F)) : 0.0F;
  return ((1.0F - smoothstep(radius * 0.3F, radius * 1.6F, d)) * (0.16F + 1.1F * bright) + halo * bright) * twinkle;
}

TROUPE_PIXEL rgb stars(const scene_plan& plan, float x, float y, float t) {
  const float far = star_field(x, y, 0.021F, 0.42F, t, plan.pixel, plan.seed + 11);
  const float near = star_field(x + 3.1F, y, 0.075F, 0.42F, t, plan.pixel * 1.35F, plan.seed + 12);
  if (far + near <= 0)
    return {};
  const float warm = random_cell(floor_int((x + 3.1F) / 0.075F), floor_int(y / 0.075F), plan.seed + 13);
  return rgb{0.85F, 0.90F, 1.0F} * far + mix(rgb{0.75F, 0.85F, 1.0F}, rgb{1.0F, 0.85F, 0.65F}, warm) * near;
}

TROUPE_PIXEL rgb aurora(const scene_plan& plan, float x, float h, float t) {
  rgb sum{};
  for (int i = 0; i < 3; ++i) {
    const float at = static_cast<float>(i);
    const float bend = fbm(x * 1.3F + at * 3.7F + t * 0.06F, at + t * 0.03F, 3, plan.seed + 20);
    const float foot = 0.10F + 0.11F * at + (bend - 0.5F) * 0.35F;
    const float up = h - foot;
    const float curtain = up < 0 ? decay(-up * 45.0F) : decay(up * 6.5F);
    const float rays = 0.45F + 0.9F * noise(x * 22.0F + bend * 18.0F, t * 0.35F + at, plan.seed + 21);
    const float strength =
        curtain * rays * (0.55F + 0.45F * noise(x * 1.7F + t * 0.1F, plan.seed + 22 + static_cast<std::uint32_t>(i)));
    sum = sum + mix(rgb{0.10F, 0.95F, 0.50F}, mix(rgb{0.55F, 0.20F, 0.85F}, plan.accent, 0.3F), saturate(up * 3.2F)) *
                    strength;
  }
  return sum * (0.62F * plan.aurora);
}

TROUPE_PIXEL rgb moon_disc(const scene_plan& plan, float dx, float dy) {
  const float r = plan.light_radius;
  const float craters = fbm(dx / r * 1.6F + 5, dy / r * 1.6F, 3, plan.seed + 30);
  const float limb = 1.0F - 0.35F * (dx * dx + dy * dy) / (r * r);
  return plan.light * (limb * (0.72F + 0.5F * smoothstep(0.35F, 0.6F, craters)));
}

/// All of the sky at (x, y) that is smooth.
TROUPE_PIXEL soft_cell soft_sky(const scene_plan& plan, const view& v, float x, float y) {
  const float h = larger(0, y - plan.horizon);
  const float k = saturate(h / 0.62F);
  rgb c = k < 0.35F ? mix(plan.sky_low, plan.sky_mid, smoothstep(0, 0.35F, k))
                    : mix(plan.sky_mid, plan.sky_top, (k - 0.35F) / 0.65F);
  const float dx = x - plan.light_x, dy = y - plan.light_y;
  const float d = length(dx, dy);
  c = c + plan.light * (plan.glow * (0.50F * decay(d * 6.0F) + 0.22F * decay(d * 1.9F)));
  if (plan.galaxy > 0) { // the milky way, a slanting band
    const float across = y - 0.25F - x * 0.55F + 0.1F * (fbm(x * 2, y * 2, 3, plan.seed + 15) - 0.5F);
    c = c + rgb{0.32F, 0.30F, 0.42F} *
                (decay(across * across * 28.0F) * fbm(x * 5, y * 5, 4, plan.seed + 16) * plan.galaxy);
  }
  if (plan.aurora > 0)
    c = c + aurora(plan, x, h, v.t);
  if (plan.rainbow > 0) {
    const float arc = (length(x + plan.light_x * 0.8F, y - plan.horizon + 0.25F) - 0.58F) / 0.05F;
    if (arc > 0 && arc < 1)
      c = c + hue(0.78F * (1.0F - arc)) * (0.28F * plan.rainbow * arc * (1.0F - arc) * 4.0F);
  }
  float cover = 0;
  if (plan.clouds > 0.02F && h > 0.005F) {
    const float flat = 1.0F / (h + 0.11F);
    const float drift = v.t * plan.time_lapse * (0.02F + 0.07F * plan.wind);
    const float cx = x * flat * 0.42F + drift, cy = flat * 0.95F - v.t * plan.time_lapse * 0.008F;
    const float n = fbm(cx, cy, 5, plan.seed + 40);
    const float edge = 0.70F - 0.38F * plan.clouds;
    cover = smoothstep(edge, edge + 0.20F, n) * smoothstep(0.0F, 0.07F, h) * (0.95F - 0.25F * k);
    const float behind = fbm(cx + clamp(-0.8F * dx, -0.16F, 0.16F), cy + 0.10F, 3, plan.seed + 40);
    const float lit = saturate(0.55F + (n - behind) * -2.4F + 0.25F * (1.0F - n));
    const rgb body =
        mix(plan.cloud_dark, plan.cloud_lit, lit) + plan.light * (plan.glow * 0.45F * decay(d * 3.2F) * (1.2F - cover));
    c = mix(c, body, cover);
  }
  return {c + rgb{0.55F, 0.58F, 0.75F} * (v.flash * (0.35F + 0.65F * k)), cover, 0};
}

/// The sky behind a screen point: the smooth part, and on it the sun or the moon, and, if `fine`, the stars.
TROUPE_PIXEL rgb sky(const scene_plan& plan, const view& v, float x, float y, bool fine) {
  const soft_cell soft = soft_at(v, x, y);
  const point p = at_depth(v, x, y, 0);
  const float clear = 1.0F - soft.cover;
  rgb c = soft.colour;
  if (plan.stars > 0 && fine)
    c = c + stars(plan, p.x, p.y, v.t) * (plan.stars * clear * smoothstep(0.02F, 0.25F, p.y - plan.horizon));
  const float dx = p.x - plan.light_x, dy = p.y - plan.light_y;
  const float reach = plan.light_radius + 2 * plan.pixel;
  if (plan.light_radius > 0 && dx * dx + dy * dy < reach * reach) {
    const float edge =
        1.0F - smoothstep(plan.light_radius - plan.pixel, plan.light_radius + plan.pixel, length(dx, dy));
    c = mix(c, plan.moon ? moon_disc(plan, dx, dy) : plan.light * 1.25F + rgb{0.1F, 0.1F, 0.08F}, edge * clear);
  }
  return c;
}

} // namespace troupe::engines::scene

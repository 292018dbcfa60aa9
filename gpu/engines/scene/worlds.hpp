#pragma once

// Places without a horizon: space, under water, and the abstract.

#include "gpu/engines/scene/sky.hpp"

namespace troupe::engines::scene {

TROUPE_PIXEL void planet(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const float r = plan.planet_radius;
  const float dx = x - plan.planet_x, dy = y - plan.planet_y;
  const float d = length(dx, dy);
  const float lx = plan.light_x > plan.planet_x ? 0.62F : -0.62F, ly = 0.42F, lz = 0.66F;
  if (plan.ring > 0) {
    // An ellipse; its near half passes before the planet.
    const float tx = dx * 0.96F + dy * 0.28F, ty = (dy * 0.96F - dx * 0.28F) * 3.6F;
    const float ring = length(tx, ty) / r;
    const bool before = ty < 0;
    if (ring > 1.35F && ring < 2.25F && (before || d > r)) {
      const float bands = 0.35F + 0.65F * noise(ring * 26.0F, plan.seed + 300);
      const float edge = smoothstep(1.35F, 1.42F, ring) * smoothstep(2.25F, 2.1F, ring) *
                         (absolute(ring - 1.86F) < 0.03F ? 0.2F : 1.0F);
      put(on, mix(plan.planet_b, plan.planet_a, bands) * (0.35F + 0.6F * bands), edge * bands * 0.85F);
    }
  }
  if (d < r + 2 * plan.pixel) {
    const float nx = dx / r, ny = dy / r;
    const float nz = std::sqrt(larger(0, 1.0F - nx * nx - ny * ny));
    const float turn = v.t * 0.02F;
    // Unrolling the sphere: sideways by its angle, so that the surface turns.
    const float lon = angle(nz + 0.0001F, nx * 0.96F + ny * 0.28F) + turn, lat = ny * 0.96F - nx * 0.28F;
    const float warp = fbm(lon * 7, lat * 3, 4, plan.seed + 301);
    const float bands = fbm(lat * 7.0F + warp * 1.6F, lon * 2.0F, 4, plan.seed + 302);
    const float land = smoothstep(0.47F, 0.56F, plan.ring > 0 ? bands : mix(bands, warp, 0.6F));
    const float sun = saturate(nx * lx + ny * ly + nz * lz);
    rgb c = mix(plan.planet_a, plan.planet_b, land) * (0.6F + 0.7F * bands);
    const float cloud = smoothstep(0.52F, 0.68F, fbm(lon * 11 + turn, lat * 8 + warp, 4, plan.seed + 303));
    c = mix(c, rgb{0.95F, 0.96F, 1.0F}, cloud * 0.5F);
    c = c * (0.02F + 1.05F * sun);
    const float rim = 1.0F - nz;
    c = c + mix(plan.planet_b, rgb{0.5F, 0.7F, 1.0F}, 0.6F) * (rim * rim * rim * 0.9F * saturate(sun * 1.6F + 0.08F));
    put(on, c, smoothstep(r + plan.pixel, r - plan.pixel, d));
  }
  const float halo = larger(0, d - r);
  const float facing = saturate(0.35F + (dx * lx + dy * ly) / larger(d, 0.001F));
  glow(on, mix(plan.planet_b, rgb{0.45F, 0.65F, 1.0F}, 0.6F) * (0.32F * facing * decay(halo * 30.0F)));
}

TROUPE_PIXEL rgb nebula(const scene_plan& plan, const view& v, float x, float y) {
  const float drift = v.t * 0.006F;
  const float wx = fbm(x * 1.3F + drift, y * 1.3F, 3, plan.seed + 310),
              wy = fbm(x * 1.3F + 5.2F, y * 1.3F - drift, 3, plan.seed + 311);
  const float n = fbm(x * 1.6F + 2.1F * wx, y * 1.6F + 2.1F * wy, 5, plan.seed + 312);
  const float veins =
      1.0F - absolute(2.0F * fbm(x * 2.7F + wx * 3.0F, y * 2.7F + wy * 3.0F, 4, plan.seed + 313) - 1.0F);
  const float body = smoothstep(0.36F, 0.78F, n) * plan.nebula;
  rgb c =
      mix(plan.accent, plan.accent2, smoothstep(0.35F, 0.65F, wx)) * (body * (0.35F + 0.85F * veins * veins * veins));
  c = c + rgb{1.0F, 0.82F, 0.68F} * (smoothstep(0.60F, 0.82F, n) * veins * 0.45F * plan.nebula);
  return c * (0.55F + 0.75F * smoothstep(0.3F, 0.6F, wy));
}

TROUPE_PIXEL rgb galaxy(const scene_plan& plan, const view& v, float x, float y) {
  const float cx = x + plan.planet_x * 0.4F, cy = y;
  const float px = cx * 0.9F + cy * 0.43F, py = (cy * 0.9F - cx * 0.43F) * 2.1F;
  const float r = length(px, py);
  const float turns = angle(px, py) + v.t * 0.008F;
  const float twist = std::sqrt(r) * 1.35F;
  const float arm = 0.5F + 0.5F * cosine((turns + twist) * 2.0F);
  const float dust = fbm(px * 9, py * 9, 4, plan.seed + 320);
  const float disc = decay(r * 4.2F);
  rgb c = mix(plan.accent, rgb{0.55F, 0.68F, 1.0F}, 0.55F) * (arm * arm * disc * (0.35F + 1.5F * dust) * 1.5F);
  c = c + rgb{1.0F, 0.86F, 0.62F} * (1.5F * decay(r * r * 70.0F) + 0.5F * decay(r * 9.0F));
  return c * plan.galaxy;
}

/// How far a rocket has taken us.
TROUPE_PIXEL float travelled(const scene_plan& plan, const view& v) {
  return plan.who == subject::rocket ? v.t * 0.10F : 0.0F;
}

TROUPE_PIXEL rgb soft_space(const scene_plan& plan, const view& v, float x, float y) {
  const point far = at_depth(v, x, y, 0.05F);
  const float speed = travelled(plan, v);
  rgb c = rgb{0.006F, 0.008F, 0.020F} + nebula(plan, v, far.x + speed * 0.25F * plan.facing, far.y + speed * 0.12F);
  if (plan.galaxy > 0)
    c = c + galaxy(plan, v, far.x, far.y);
  return c;
}

TROUPE_PIXEL rgb space(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  if (plan.planet > 0) {
    const point p = at_depth(v, x, y, 0.35F);
    planet(plan, v, on, p.x, p.y);
  }
  const point far = at_depth(v, x, y, 0.05F), near = at_depth(v, x, y, 0.3F);
  const float speed = travelled(plan, v);
  rgb c = soft_at(v, x, y).colour;
  c = c +
      rgb{0.8F, 0.86F, 1.0F} * (0.7F * star_field(far.x + 9, far.y, 0.021F, 0.25F, v.t, plan.pixel, plan.seed + 331));
  c = c + stars(plan, near.x + speed * plan.facing, near.y + speed * 0.5F, v.t);
  const float bright = star_field(near.x + 7 + speed * 1.6F * plan.facing, near.y + 2 + speed * 0.8F, 0.23F, 0.35F, v.t,
                                  plan.pixel * 2.2F, plan.seed + 332);
  return c + rgb{1.0F, 0.95F, 0.88F} * bright;
}

TROUPE_PIXEL void fish(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  for (int school = 0; school < 2; ++school) {
    const float at = static_cast<float>(school);
    const float cell = 0.13F - 0.045F * at;
    const float dir = school == 0 ? plan.facing : -plan.facing;
    const float gx = (x - dir * v.t * (0.10F + 0.05F * at)) / cell;
    const int i = floor_int(gx);
    // Columns stand apart in height, or the school would look drilled.
    const float gy = (y + 0.02F * sine(v.t * 0.12F + at)) / cell + 2.0F * random_cell(i, school, plan.seed + 343);
    const int j = floor_int(gy);
    const std::uint32_t h = hash_cell(i, j, plan.seed + 340 + static_cast<std::uint32_t>(school));
    const float band = noise(static_cast<float>(j) * 0.7F + at * 5, static_cast<float>(i) * 0.22F, plan.seed + 342);
    if (unit(h) > smoothstep(0.40F, 0.8F, band) * 0.55F)
      continue;
    const float size = 0.24F + 0.1F * unit(hash(h + 1));
    const float beat = sine(v.t * (1.1F + unit(hash(h + 2))) + unit(h));
    const float aside = 0.35F * (unit(hash(h + 4)) - 0.5F), above = 0.5F * (unit(hash(h + 5)) - 0.5F);
    const float fx = (gx - static_cast<float>(i) - 0.5F - aside) / size * dir,
                fy = (gy - static_cast<float>(j) - 0.5F - above) / size;
    const float bend = fy + 0.10F * beat * (0.5F - fx);
    const float body = fx * fx * 1.1F + bend * bend * 7.0F - 0.8F;
    const float tail = larger(absolute(bend) - (-0.55F - fx) * 0.9F, larger(fx + 0.6F, -1.25F - fx));
    const float soft = plan.pixel / (cell * size) * 2.0F;
    const float cover = larger(smoothstep(soft, -soft, body), smoothstep(soft, -soft, tail));
    const rgb colour =
        mix(plan.accent, plan.accent2, unit(hash(h + 3))) * (0.35F + 0.65F * saturate(0.6F + bend * 1.8F));
    put(on, mix(colour, plan.sky_mid, 0.25F + 0.4F * at), cover);
  }
}

TROUPE_PIXEL rgb shallow_water(const scene_plan& plan) { return mix(rgb{0.16F, 0.72F, 0.82F}, plan.accent, 0.12F); }

TROUPE_PIXEL rgb soft_underwater(const scene_plan& plan, const view& v, float x, float y) {
  const rgb shallow = shallow_water(plan), deep = mix(rgb{0.005F, 0.07F, 0.19F}, plan.accent2, 0.05F);
  const float light = 1.0F - 0.6F * plan.night;
  const point mid = at_depth(v, x, y, 0.5F);
  rgb c = mix(deep, shallow, saturate(0.42F + y * 0.95F) * saturate(0.42F + y * 0.95F)) * light;
  // Shafts of light from above, and what they draw on the ground.
  const float slant = mid.x + (0.6F - y) * 0.35F * (plan.light_x > 0 ? -1.0F : 1.0F);
  const float shafts = fbm(slant * 5.0F + v.t * 0.05F, v.t * 0.11F, 3, plan.seed + 354);
  c = c + rgb{0.55F, 0.95F, 0.95F} * (smoothstep(0.48F, 0.75F, shafts) * saturate(y + 0.55F) * 0.42F * light);
  for (int i = 0; i < 2; ++i) { // rocks or reefs in the distance
    const float depth = 0.3F + 0.3F * static_cast<float>(i);
    const point p = at_depth(v, x, y, depth);
    const float top = -0.34F - 0.06F * static_cast<float>(i) +
                      (0.42F - 0.12F * static_cast<float>(i)) *
                          smoothstep(0.42F, 0.85F, fbm(p.x * 1.5F + static_cast<float>(i) * 4, 4, plan.seed + 355));
    const float grain = fbm(p.x * 14, p.y * 14, 3, plan.seed + 357);
    const rgb reef = mix(c, mix(rgb{0.03F, 0.12F, 0.18F}, plan.accent * 0.35F, smoothstep(0.5F, 0.7F, grain)),
                         0.35F + 0.4F * static_cast<float>(i));
    c = mix(c, reef * (0.75F + 0.6F * grain), smoothstep(-plan.pixel * 2, plan.pixel * 2, top - p.y));
  }
  return c;
}

TROUPE_PIXEL rgb underwater(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const rgb shallow = shallow_water(plan);
  const float light = 1.0F - 0.6F * plan.night;
  // Weed before everything, swaying.
  const point near = at_depth(v, x, y, 0.95F);
  for (int row = 0; row < 2; ++row) {
    const float cell = 0.055F + 0.03F * static_cast<float>(row);
    const float up = near.y + 0.52F;
    const float sway = 0.045F * sine(v.t * 0.22F + up * 1.6F + static_cast<float>(row)) * saturate(up * 3);
    const float gx = (near.x + sway) / cell + static_cast<float>(row) * 0.5F;
    const int i = floor_int(gx);
    const std::uint32_t h = hash_cell(i, row, plan.seed + 350);
    const float tall = 0.05F + 0.36F * unit(h) * unit(h) * noise(static_cast<float>(i) * 0.3F, plan.seed + 352) * 1.8F;
    const float wide = 0.20F * (1.0F - up / larger(tall, 0.01F)) * (0.8F + 0.3F * sine(up * 22.0F + unit(h)));
    const float dx = absolute(gx - static_cast<float>(i) - 0.5F);
    if (up < tall) {
      const rgb weed =
          mix(rgb{0.02F, 0.13F, 0.09F}, mix(plan.accent, rgb{0.1F, 0.3F, 0.1F}, 0.6F) * 0.7F, unit(hash(h + 1)));
      put(on, weed * (0.35F + 1.2F * up) * light, smoothstep(wide, wide - 0.08F, dx));
    }
  }
  fish(plan, v, on, x, y);
  const float floor_y = -0.33F + 0.05F * (fbm(near.x * 1.4F, 3, plan.seed + 353) - 0.5F);
  rgb c = soft_at(v, x, y).colour;
  if (near.y < floor_y) {
    const float down = floor_y - near.y, z = 1.0F / (down + 0.10F);
    const float a = absolute(fbm(near.x * z * 0.9F + v.t * 0.12F, z * 2 - v.t * 0.1F, 3, plan.seed + 358) - 0.5F);
    const float caustic = 1.0F - smoothstep(0.0F, 0.09F, a);
    const rgb sand =
        mix(rgb{0.30F, 0.42F, 0.40F}, shallow, 0.2F) * (0.45F + 0.5F * fbm(near.x * z * 3, z * 9, 2, plan.seed + 359)) +
        rgb{0.30F, 0.55F, 0.5F} * (0.55F * caustic);
    c = mix(c, sand * light, saturate(down * 9.0F) * 0.85F);
  }
  // Bubbles rising.
  const float by = y - v.t * 0.11F, cell = 0.085F;
  const float wob = 0.15F * sine(v.t * 0.4F + y * 3);
  const int bi = floor_int(x / cell + wob * 0.2F), bj = floor_int(by / cell);
  const std::uint32_t h = hash_cell(bi, bj, plan.seed + 360);
  if (unit(h) < 0.16F) {
    const float d =
        length(x / cell + wob * 0.2F - static_cast<float>(bi) - 0.5F, by / cell - static_cast<float>(bj) - 0.5F);
    const float r = 0.06F + 0.14F * unit(hash(h + 1));
    c = c + rgb{0.6F, 0.9F, 0.95F} * (smoothstep(r, r * 0.8F, d) * (0.12F + 0.55F * smoothstep(r * 0.55F, r, d)));
  }
  return c;
}

TROUPE_PIXEL rgb abstract(const scene_plan& plan, const view& v, float x, float y) {
  const point p = at_depth(v, x, y, 0.6F);
  const float t = v.t * 0.14F * plan.time_lapse;
  const float ax = fbm(p.x * 1.1F + t, p.y * 1.1F - t * 0.6F, 4, plan.seed + 370),
              ay = fbm(p.x * 1.1F + 4.7F, p.y * 1.1F + t * 0.8F, 4, plan.seed + 371);
  const float bx = fbm(p.x * 1.2F + 3.4F * ax + t * 0.5F, p.y * 1.2F + 3.4F * ay, 4, plan.seed + 372);
  const float ridge =
      1.0F - absolute(2.0F * fbm(p.x * 1.4F + 2.6F * ay, p.y * 1.4F + 2.6F * bx - t, 4, plan.seed + 373) - 1.0F);
  rgb c = mix(plan.sky_top + plan.accent * 0.18F, plan.accent, smoothstep(0.35F, 0.62F, bx));
  c = mix(c, plan.accent2, smoothstep(0.45F, 0.68F, ay) * 0.8F);
  c = mix(c, plan.sky_low, smoothstep(0.40F, 0.66F, ax) * 0.45F);
  c = c * (0.35F + 0.75F * ridge) + rgb{1.0F, 0.95F, 0.88F} * (smoothstep(0.88F, 1.0F, ridge) * 0.5F);
  return c;
}

} // namespace troupe::engines::scene

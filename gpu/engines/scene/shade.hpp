#pragma once

// One pixel: what stands before what, and how the camera develops it.

#include "gpu/engines/scene/subjects.hpp"
#include "gpu/engines/scene/water.hpp"
#include "gpu/engines/scene/weather.hpp"
#include "gpu/engines/scene/worlds.hpp"

namespace troupe::engines::scene {

/// Banks of fog that drift along the ground.
TROUPE_PIXEL float mist(const scene_plan& plan, const view& v, float x, float y) {
  const point p = at_depth(v, x, y, 0.6F);
  const float banks = fbm(p.x * 1.4F + v.t * 0.04F * (0.4F + plan.wind), p.y * 3.2F, 3, plan.seed + 540);
  const float low = decay(absolute(p.y - plan.horizon + 0.05F) * 4.5F);
  return plan.fog * low * smoothstep(0.25F, 0.75F, banks) * 0.75F;
}

/// The first pass: what is smooth at a screen point. It is read back by soft_at().
TROUPE_PIXEL soft_cell shade_soft(const scene_plan& plan, const view& v, float x, float y) {
  const point far = at_depth(v, x, y, 0);
  switch (plan.place) {
    case world::space: return {soft_space(plan, v, x, y), 0, 0};
    case world::underwater: return {soft_underwater(plan, v, x, y), 0, 0};
    case world::abstract: return {abstract(plan, v, x, y), 0, 0};
    case world::land:
    case world::sea:
    case world::city: break;
  }
  soft_cell cell = soft_sky(plan, v, far.x, far.y);
  if (plan.fog > 0.03F)
    cell.mist = mist(plan, v, x, y);
  return cell;
}

/// Everything behind the subjects of an earthly scene.
TROUPE_PIXEL void earth(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  if (plan.place == world::land) {
    land(plan, v, on, x, y, land_layers - 1, 0, true);
    if (!full(on))
      put(on, sky(plan, v, x, y, true), 1);
    return;
  }
  const float above = at_depth(v, x, y, 0.1F).y - plan.horizon;
  if (above >= 0) {
    put(on, backdrop(plan, v, x, y, true), 1);
    return;
  }
  const float yy = plan.horizon + above;
  put(on, plan.place == world::city ? wet_ground(plan, v, x, yy) : sea(plan, v, x, yy), 1);
}

TROUPE_PIXEL rgb develop(const scene_plan& plan, rgb c, float x, float y) {
  c = c * plan.exposure;
  const float l = luma(c);
  c = mix(rgb{l, l, l}, c, plan.saturation);
  if (plan.sepia > 0)
    c = mix(c, rgb{l * 1.12F, l * 0.92F, l * 0.68F}, plan.sepia);
  const float vx = x / plan.aspect * 2, vy = y * 2;
  c = c * (1.0F - plan.vignette * 0.5F * (vx * vx + vy * vy) * 0.6F);
  // Shadows a little deeper, highlights rolled off instead of cut.
  const auto tone = [&plan](float k) {
    k = larger(0, (k - 0.18F) * plan.contrast + 0.18F);
    return k < 0.75F ? k : 0.75F + 0.25F * (1.0F - 1.0F / (1.0F + (k - 0.75F) * 4.0F));
  };
  return {tone(c.r), tone(c.g), tone(c.b)};
}

/// The second pass.
TROUPE_PIXEL rgb shade(const scene_plan& plan, const view& v, float x, float y) {
  layers on;
  const bool water = plan.place == world::underwater;
  if (plan.embers > 0 || plan.petals > 0)
    drifting(plan, v, on, x, y);
  if (plan.snow > 0 && !water) {
    const float flakes = snow_at(plan, v, x, y);
    put(on, mix(rgb{0.92F, 0.95F, 1.0F}, plan.sky_low, 0.25F + 0.35F * plan.night), flakes);
  }
  if (plan.rain > 0 && !water)
    glow(on, (plan.sky_low + rgb{0.25F, 0.27F, 0.30F}) * rain_at(plan, v, x, y));
  if (plan.fire > 0 && plan.place == world::land && plan.who != subject::rocket)
    campfire(plan, v, on, x, y);
  draw_subject(plan, v, on, plan.who, x, y);
  draw_subject(plan, v, on, plan.also, x, y);
  if (plan.fog > 0.03F && !water && plan.place != world::space)
    put(on, mix(plan.sky_low, plan.sky_mid, 0.45F), soft_at(v, x, y).mist);
  if (!full(on))
    switch (plan.place) {
      case world::space: put(on, space(plan, v, on, x, y), 1); break;
      case world::underwater: put(on, underwater(plan, v, on, x, y), 1); break;
      case world::abstract: put(on, soft_at(v, x, y).colour, 1); break;
      case world::land:
      case world::sea:
      case world::city: earth(plan, v, on, x, y); break;
    }
  return develop(plan, on.sum, x, y);
}

} // namespace troupe::engines::scene

#pragma once

// Water that mirrors what stands behind it: the sea, a lake, a wet street.

#include "gpu/engines/scene/city.hpp"
#include "gpu/engines/scene/land.hpp"

namespace troupe::engines::scene {

/// All that stands behind the water.
TROUPE_PIXEL rgb backdrop(const scene_plan& plan, const view& v, float x, float y, bool fine) {
  layers on;
  if (plan.skyline > 0 && (plan.place == world::city || plan.place == world::sea))
    buildings(plan, v, on, x, y, fine);
  if (plan.place == world::sea && plan.far_land > 0)
    land(plan, v, on, x, y, plan.far_land > 0.7F ? 1 : 0, 0, fine);
  if (!full(on))
    put(on, sky(plan, v, x, y, fine), 1);
  return on.sum;
}

TROUPE_PIXEL rgb sea(const scene_plan& plan, const view& v, float x, float y) {
  const float down = larger(0.0005F, plan.horizon - y);
  const float z = 1.0F / (down + 0.018F);
  const float wx = (x + v.x * 0.5F) * z, wz = z * 0.9F;
  const float roll = v.t * (0.25F + 0.55F * plan.waves);
  const float calm = saturate(down * 14.0F);
  const float a = fbm(wx * 0.55F + roll * 0.35F, wz * 1.5F - roll, 3, plan.seed + 60) - 0.5F;
  const float b = fbm(wx * 1.5F - roll * 0.5F, wz * 3.6F - roll * 1.7F, 3, plan.seed + 63) - 0.5F;
  const float slope = (a * 0.8F + b * 0.9F) * plan.waves;
  const float mirror_y = plan.horizon + down * 0.92F + slope * (0.05F + 0.55F * down);
  const float mirror_x = x + (b - a) * plan.waves * (0.02F + 0.25F * down);
  const rgb sky_seen = backdrop(plan, v, mirror_x, larger(plan.horizon + 0.002F, mirror_y), false);
  const float grazing = saturate(0.22F + 0.72F * decay(down * 4.2F) - slope * 1.3F * calm);
  rgb c = mix(plan.deep_water + plan.sky_mid * 0.07F, sky_seen, grazing);
  // The path of light below the sun or the moon.
  const float off = (at_depth(v, x, y, 0).x - plan.light_x) / (0.035F + 0.30F * down);
  const float path = decay(off * off * 1.3F) * (plan.light_radius > 0 ? 1.0F : 0.25F);
  const float sparkle = smoothstep(0.02F, 0.24F, b + a * 0.5F + 0.03F) * (0.35F + 0.65F * calm);
  c = c + plan.light * (path * sparkle * (plan.moon ? 0.55F : 0.85F) * (0.25F + plan.glow));
  if (plan.waves > 0.45F) {
    const float crest = smoothstep(0.12F, 0.26F, a + b * 0.35F) * calm;
    c = mix(c, plan.sky_low * 0.7F + rgb{0.25F, 0.27F, 0.28F} * (1.0F - 0.7F * plan.night),
            crest * (plan.waves - 0.45F) * 1.1F);
  }
  return mix(c, mix(plan.sky_low, plan.sky_mid, 0.3F),
             saturate(decay(down * 40.0F) * 0.55F + plan.fog * decay(down * 5.0F)));
}

/// A wet street, or the river before a skyline.
TROUPE_PIXEL rgb wet_ground(const scene_plan& plan, const view& v, float x, float y) {
  const float down = larger(0.0005F, plan.horizon - y);
  const float z = 1.0F / (down + 0.05F);
  const float ripple = fbm((x + v.x * 0.6F) * z * 1.1F, z * 2.2F - v.t * 0.35F, 3, plan.seed + 66) - 0.5F;
  const float smear = fbm((x + v.x * 0.6F) * 26.0F, down * 5.0F - v.t * 0.15F, 2, plan.seed + 67) - 0.5F;
  const rgb seen = backdrop(plan, v, x + ripple * (0.02F + 0.14F * down) + smear * 0.02F,
                            plan.horizon + down * 1.25F + ripple * 0.12F * down + absolute(smear) * 0.05F, false);
  const float wet = saturate(0.45F + 0.35F * plan.rain + 0.25F * plan.neon + 0.2F * plan.night);
  const rgb dry = mix(plan.deep_water, plan.sky_mid * 0.22F, 0.5F) * (0.8F + 0.5F * ripple);
  rgb c = mix(dry, seen, wet * (0.45F + 0.5F * decay(down * 3.0F)));
  if (plan.rain > 0) { // rings where drops fall
    const float gx = (x + v.x * 0.6F) * z * 0.9F, gz = z * 2.4F;
    const int i = floor_int(gx), j = floor_int(gz);
    const float phase = fraction(v.t * 0.8F + random_cell(i, j, plan.seed + 68));
    const float ring =
        absolute(length(gx - static_cast<float>(i) - 0.5F, gz - static_cast<float>(j) - 0.5F) - 0.45F * phase);
    c = c + plan.sky_low * (0.5F * plan.rain * (1.0F - phase) * smoothstep(0.07F, 0.0F, ring));
  }
  return c;
}

} // namespace troupe::engines::scene

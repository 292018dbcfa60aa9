#pragma once

// Who is in the picture. Shapes are signed distances, in units of the subject's own size, x forward and y up.

#include "gpu/engines/scene/view.hpp"

namespace troupe::engines::scene {

TROUPE_PIXEL float box(float x, float y, float half_x, float half_y) {
  return larger(absolute(x) - half_x, absolute(y) - half_y);
}

/// A line of thickness r from (ax, ay) to (bx, by).
TROUPE_PIXEL float limb(float x, float y, float ax, float ay, float bx, float by, float r) {
  const float px = x - ax, py = y - ay, dx = bx - ax, dy = by - ay;
  const float k = saturate((px * dx + py * dy) / larger(dx * dx + dy * dy, 1e-6F));
  return length(px - dx * k, py - dy * k) - r;
}

/// Paints distance d of a subject of size `size`.
TROUPE_PIXEL void shape(const scene_plan& plan, layers& on, float d, float size, rgb colour) {
  const float soft = plan.pixel / size;
  put(on, colour, smoothstep(soft, -soft, d));
}

TROUPE_PIXEL rgb silhouette(const scene_plan& plan, rgb colour, float lit) {
  const rgb day = colour * (0.45F + 0.75F * lit) + plan.light * (0.10F * lit);
  const rgb shadow = mix(plan.near_ground, plan.sky_top, 0.3F) * 0.35F + plan.light * (0.18F * lit * plan.glow);
  return mix(day, shadow, saturate(plan.night * 0.9F + (plan.light_y < plan.horizon + 0.15F ? 0.45F : 0.0F)));
}

TROUPE_PIXEL void boat(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const float size = 0.20F * plan.who_size;
  const point p = at_depth(v, x, y, 0.35F);
  const float bob = 0.012F * sine(v.t * 0.32F) * (0.5F + plan.waves),
              tilt = 0.04F * sine(v.t * 0.27F + 0.2F) * (0.4F + plan.waves);
  const float sail = plan.facing * v.t * 0.012F;
  float px = (p.x - plan.who_x - sail) / size * plan.facing, py = (p.y - plan.horizon + 0.055F - bob) / size;
  if (absolute(px) > 1.1F || py < -0.4F || py > 1.4F)
    return;
  const float tx = px + py * tilt;
  py -= px * tilt;
  px = tx;
  const float lit = saturate(0.5F + (plan.light_x > p.x ? 0.5F : -0.5F) * px * plan.facing * 1.5F);
  const float deck = 0.10F + 0.10F * px * px;
  const float hull = larger(larger(py - deck, -0.10F - py), absolute(px) - 0.50F - 0.55F * (py + 0.1F));
  const float mast = box(px, py - 0.60F, 0.012F, 0.52F);
  // Two sails, bellied by the wind.
  const float belly = 0.10F * (1.0F - (py - 0.62F) * (py - 0.62F) * 4.0F);
  const float main = larger(larger(0.20F - py, px + 0.02F), -(px + belly * 0.4F) - (1.08F - py) * 0.52F);
  const float jib = larger(larger(0.24F - py, 0.03F - px), px - belly - (1.0F - py) * 0.55F);
  const rgb cloth = silhouette(plan, mix(rgb{0.95F, 0.92F, 0.85F}, plan.who_colour, 0.25F), lit) +
                    plan.light * (0.12F * (1.0F - plan.night));
  shape(plan, on, hull, size, silhouette(plan, plan.who_colour * 0.6F, lit * 0.6F));
  if (plan.night > 0.5F)
    glow(on, rgb{1.0F, 0.7F, 0.3F} * (0.9F * decay(length(px + 0.35F, py - 0.2F) * 26.0F)));
  shape(plan, on, mast, size, silhouette(plan, rgb{0.25F, 0.16F, 0.10F}, 0.3F));
  shape(plan, on, main, size, cloth);
  shape(plan, on, jib, size, cloth * 0.92F);
}

TROUPE_PIXEL void birds(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const point p = at_depth(v, x, y, 0.3F);
  const float lead = -0.3F * plan.facing * plan.aspect * 0.5F + plan.facing * v.t * 0.055F;
  if (absolute(p.y - 0.24F) > 0.17F || absolute(p.x - lead + plan.facing * 0.11F) > 0.18F)
    return;
  for (int i = 0; i < 9; ++i) {
    const std::uint32_t h = hash(plan.seed + 400 + static_cast<std::uint32_t>(i));
    const float k = static_cast<float>(i);
    const float wing = (i % 2 == 0 ? 1.0F : -1.0F) * static_cast<float>((i + 1) / 2);
    const float size = 0.026F * (0.8F + 0.5F * unit(hash(h + 1))) * (i == 0 ? 1.15F : 1.0F);
    const float bx = lead - plan.facing * absolute(wing) * 0.055F + 0.02F * (unit(h) - 0.5F);
    const float by = 0.24F + wing * 0.026F + 0.02F * (unit(hash(h + 2)) - 0.5F) + 0.008F * sine(v.t * 0.3F + k * 0.13F);
    const float dx = (p.x - bx) / size, dy = (p.y - by) / size;
    if (absolute(dx) > 1.3F || absolute(dy) > 1.2F)
      continue;
    const float flap = sine(v.t * (1.25F + 0.3F * unit(hash(h + 3))) + k * 0.21F);
    const float ax = absolute(dx);
    // Each wing in two parts: up from the shoulder, then out.
    const float elbow = 0.26F + 0.22F * flap, tip = elbow - 0.10F + 0.34F * flap;
    const float inner = limb(ax, dy, 0, 0, 0.45F, elbow, 0.075F), outer = limb(ax, dy, 0.45F, elbow, 1.05F, tip, 0.04F);
    const float body = limb(dx * plan.facing, dy, -0.25F, -0.03F, 0.28F, 0.02F, 0.085F);
    const rgb colour =
        plan.night > 0.5F ? plan.sky_low * 0.35F : mix(plan.sky_top * 0.30F, plan.near_ground * 0.4F, 0.5F);
    shape(plan, on, smaller(body, smaller(inner, outer)), size, colour);
  }
}

TROUPE_PIXEL void rocket(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const float size = 0.17F * plan.who_size;
  const point p = at_depth(v, x, y, 0.55F);
  const bool flies = plan.place == world::space;
  // In space it leans into its way; from the ground it rises.
  const float lean = flies ? 0.135F * plan.facing : 0.0F;
  const float cx = flies ? plan.who_x * 0.3F + plan.facing * v.t * 0.02F : plan.who_x * 0.5F;
  const float rise = flies ? 0.02F * sine(v.t * 0.15F) + v.t * 0.008F : plan.horizon + 0.06F + 0.016F * v.t * v.t;
  const float rx = (p.x - cx) / size, ry = (p.y - rise) / size;
  const float s = sine(lean), c = cosine(lean);
  const float px = rx * c - ry * s, py = rx * s + ry * c;
  if (absolute(px) > 2.4F || py > 1.6F)
    return;
  const float lit = saturate(0.5F - px * 1.6F * (plan.light_x > cx ? -1.0F : 1.0F));
  const float k = saturate((py + 0.9F) / 2.0F);
  const float half = 0.30F * (1.0F - k * k * k) * (0.82F + 0.30F * k * (1.0F - k) * 4.0F * 0.5F);
  const float hull = larger(absolute(px) - half, larger(-0.85F - py, py - 1.08F));
  const float fin = larger(absolute(px) - 0.26F - (-0.20F - py) * 0.50F, larger(py + 0.25F, -1.05F - py));
  const float port = length(px, py - 0.32F);
  const rgb metal = rgb{0.86F, 0.88F, 0.92F} * (0.30F + 0.85F * lit) + plan.accent * 0.05F;
  const rgb paint = plan.who_colour * (0.35F + 0.9F * lit);
  shape(plan, on, port - 0.10F, size,
        mix(rgb{0.25F, 0.55F, 0.8F}, rgb{0.8F, 0.95F, 1.0F}, saturate(0.5F + (py - 0.32F - px) * 4)));
  shape(plan, on, port - 0.135F, size, rgb{0.25F, 0.26F, 0.3F});
  shape(plan, on, hull, size, py > 0.72F || absolute(py + 0.55F) < 0.06F ? paint : metal);
  shape(plan, on, fin, size, paint * 0.85F);
  // The flame flickers; its light reaches far.
  const float down = -0.85F - py;
  if (down > -0.1F) {
    const float lick = fbm(px * 4, py * 3 + v.t * 9, 3, plan.seed + 420);
    const float reach = 1.5F + 0.4F * sine(v.t * 3.1F) + lick * 0.8F;
    const float wide = 0.20F * (1.0F - down / reach) + 0.12F * down * (1.0F - down / reach) + (lick - 0.5F) * 0.10F;
    const float heat = saturate(1.0F - down / reach) * smoothstep(wide + 0.06F, wide - 0.10F, absolute(px));
    put(on, mix(rgb{1.0F, 0.28F, 0.05F}, rgb{1.0F, 0.95F, 0.75F}, heat) * (0.6F + 0.9F * heat), heat);
    if (!flies) {
      const float smoke = fbm(px * 1.5F, py * 1.1F + v.t * 1.4F, 4, plan.seed + 421);
      const float spread = 0.25F + down * 0.22F;
      put(on, mix(plan.cloud_dark, plan.cloud_lit, smoke),
          smoothstep(spread, spread * 0.3F, absolute(px)) * smoothstep(0.35F, 0.6F, smoke) * saturate(down * 0.6F));
    }
  }
  glow(on, rgb{1.0F, 0.5F, 0.18F} * (0.55F * decay(length(px, py + 1.15F) * 2.6F)));
}

TROUPE_PIXEL void balloon(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  for (int i = 0; i < 3; ++i) {
    const float k = static_cast<float>(i);
    const float size = 0.13F * plan.who_size * (i == 0 ? 1.0F : 0.5F - 0.12F * k);
    const point p = at_depth(v, x, y, i == 0 ? 0.4F : 0.15F);
    const float cx = i == 0 ? plan.who_x : plan.who_x + plan.facing * (0.30F + 0.22F * k),
                cy = 0.14F + 0.07F * k * (unit(hash(plan.seed + 430)) > 0.5F ? 1.0F : -0.6F) + v.t * 0.006F;
    const float px = (p.x - cx - plan.facing * v.t * 0.01F) / size,
                py = (p.y - cy - 0.01F * sine(v.t * 0.1F + k)) / size;
    if (absolute(px) > 1.1F || py > 1.1F || py < -1.9F)
      continue;
    const float taper = py < 0 ? 1.0F + py * py * 0.35F + absolute(px) * py * -0.2F : 1.0F;
    const float skin = larger(length(px * taper, py < 0 ? py * 0.82F : py) - 1.0F, -1.18F - py);
    const float basket = box(px, py + 1.58F, 0.16F, 0.12F);
    const float ropes =
        larger(absolute(absolute(px) - 0.15F - (py + 1.5F) * 0.22F) - 0.012F, absolute(py + 1.32F) - 0.17F);
    const float round = px / std::sqrt(larger(0.05F, 1.0F - py * py * 0.8F));
    const float stripe = fraction(round * 1.9F + 10.5F);
    const float lit = saturate(0.55F + 0.45F * (plan.light_x > p.x ? px : -px) + 0.25F * py);
    const rgb fabric =
        (stripe < 0.5F ? mix(plan.who_colour, hue(unit(hash(plan.seed + 431 + static_cast<std::uint32_t>(i)))),
                             i == 0 ? 0.0F : 0.7F)
                       : rgb{0.95F, 0.88F, 0.72F});
    const float fire = plan.night > 0.3F
                           ? (0.35F + 0.65F * noise(v.t * 3 + k, plan.seed + 432)) * decay(length(px, py + 1.0F) * 1.1F)
                           : 0.0F;
    shape(plan, on, skin, size,
          fabric * ((0.32F + 0.8F * lit) * (1.0F - 0.7F * plan.night)) + rgb{1.0F, 0.55F, 0.2F} * fire);
    shape(plan, on, ropes, size, rgb{0.12F, 0.09F, 0.07F});
    shape(plan, on, basket, size, rgb{0.30F, 0.19F, 0.10F} * (0.35F + 0.6F * lit));
  }
}

TROUPE_PIXEL void lighthouse(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const float size = 0.30F * plan.who_size;
  const point p = at_depth(v, x, y, 0.4F);
  const float px = (p.x - plan.who_x * 1.6F) / size, py = (p.y - plan.horizon - 0.03F) / size;
  const float lamp_y = 1.06F;
  const float lit = saturate(0.5F + (plan.light_x > p.x ? px : -px) * 4.0F);
  if (absolute(px) < 1.1F && py < 1.5F && py > -0.6F) {
    const float rock = py - 0.06F + 0.22F * px * px * 2.2F - 0.16F * (fbm(px * 4, 3, plan.seed + 440) - 0.5F);
    const float tower = larger(absolute(px) - (0.135F - 0.052F * py), larger(py - 0.96F, -py - 0.1F));
    const float gallery = box(px, py - 0.97F, 0.125F, 0.022F), room = box(px, py - 1.06F, 0.062F, 0.075F);
    const float dome = larger(length(px, py - 1.13F) - 0.085F, 1.13F - py);
    const rgb paint = fraction(py * 2.6F) < 0.5F ? plan.who_colour : rgb{0.94F, 0.93F, 0.90F};
    shape(plan, on, dome, size, silhouette(plan, plan.who_colour * 0.7F, lit));
    shape(plan, on, room, size, mix(rgb{0.35F, 0.38F, 0.4F}, rgb{1.0F, 0.92F, 0.65F}, 0.3F + 0.7F * plan.night));
    shape(plan, on, gallery, size, rgb{0.08F, 0.08F, 0.09F});
    shape(plan, on, tower, size, paint * ((0.35F + 0.7F * lit) * (1.0F - 0.75F * plan.night)) + plan.sky_low * 0.06F);
    shape(plan, on, larger(rock, -0.5F - py), size,
          mix(rgb{0.12F, 0.11F, 0.11F}, plan.near_ground, 0.4F) *
              (0.5F + 0.6F * fbm(px * 9, py * 9, 3, plan.seed + 441)));
  }
  // The beam sweeps around; seen from the side it grows and shrinks.
  const float sweep = cosine(v.t * 0.16F);
  const float dx = px * (sweep > 0 ? 1.0F : -1.0F), dy = py - lamp_y;
  const float power = saturate(0.25F + plan.night + plan.fog);
  if (dx > 0) {
    const float off = absolute(dy) / (0.02F + 0.10F * dx);
    glow(on,
         rgb{1.0F, 0.93F, 0.70F} * (0.55F * power * absolute(sweep) * smoothstep(1.0F, 0.0F, off) * decay(dx * 0.55F)));
  }
  glow(on, rgb{1.0F, 0.9F, 0.6F} *
               (1.2F * power * decay(length(px, dy) * 9.0F) * (0.6F + 0.4F * (1.0F - absolute(sweep)))));
}

/// Seen from behind, walking on.
TROUPE_PIXEL void person(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const float size = 0.17F * plan.who_size;
  const point p = at_depth(v, x, y, 0.75F);
  const bool floats = plan.place == world::space || plan.place == world::underwater;
  const float foot = floats                      ? -0.15F + 0.02F * sine(v.t * 0.14F)
                     : plan.place == world::land ? -0.34F
                                                 : plan.horizon - 0.14F;
  const float step = floats ? 0.2F : sine(v.t * 0.85F);
  float px = (p.x - plan.who_x - v.x * 0.5F) / size, py = (p.y - foot - 0.006F * absolute(step)) / size;
  if (absolute(px) > 0.8F || py < -0.3F || py > 1.5F)
    return;
  const float head = length(px, py - 1.02F) - 0.095F;
  const float hair = length(px, py - 1.04F) - 0.105F;
  const float torso = limb(px, py, 0, 0.56F, 0, 0.80F, 0.135F);
  const float coat = larger(larger(absolute(px) - 0.13F - 0.09F * (0.75F - py), py - 0.82F), 0.30F - py);
  const float legs = smaller(limb(px, py, -0.06F, 0.45F, -0.09F, 0.05F + 0.05F * larger(0, step), 0.055F),
                             limb(px, py, 0.06F, 0.45F, 0.09F, 0.05F + 0.05F * larger(0, -step), 0.055F));
  const float arms = smaller(limb(px, py, -0.15F, 0.80F, -0.20F, 0.45F + 0.03F * step, 0.045F),
                             limb(px, py, 0.15F, 0.80F, 0.20F, 0.45F - 0.03F * step, 0.045F));
  const float lit = saturate(0.45F + (plan.light_x > p.x ? px : -px) * 3.5F);
  shape(plan, on, smaller(smaller(hair, head), smaller(torso, coat)), size,
        silhouette(plan, py > 0.9F ? rgb{0.10F, 0.07F, 0.05F} : plan.who_colour * 0.7F, lit));
  shape(plan, on, smaller(arms, legs), size,
        silhouette(plan, py < 0.45F ? rgb{0.10F, 0.11F, 0.15F} : plan.who_colour * 0.6F, lit));
  if (!floats) {
    const float shadow = length(px * 1.4F, py * 5.0F) - 0.35F;
    put(on, plan.near_ground * 0.2F, smoothstep(0.15F, -0.3F, shadow) * 0.5F);
  }
}

/// A four-legged one, walking, seen from the side.
TROUPE_PIXEL void animal(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const float size = (0.15F + 0.09F * plan.bulk * plan.legs) * plan.who_size;
  const point p = at_depth(v, x, y, 0.75F);
  const float foot = plan.place == world::land ? -0.36F : plan.horizon - 0.12F;
  const float px = (p.x - plan.who_x - v.x * 0.5F - plan.facing * v.t * 0.025F) / size * plan.facing,
              py = (p.y - foot) / size;
  if (absolute(px) > 1.5F || py < -0.3F || py > 2.2F)
    return;
  const float pace = v.t * (1.15F - 0.4F * plan.legs);
  const float back = 0.25F + 0.50F * plan.legs, thick = 0.13F + 0.16F * plan.bulk;
  const float bob = 0.012F * sine(pace * 2.0F);
  const float body = smaller(limb(px, py, -0.38F, back + bob, 0.36F, back + 0.02F + bob, thick),
                             limb(px, py, 0.30F, back + bob, 0.36F, back + 0.05F + bob, thick * 1.12F));
  const float hx = 0.46F + 0.20F * (1.0F - plan.neck) + 0.08F * plan.neck,
              hy = back + thick * 0.5F + 0.12F + 0.50F * plan.neck + bob + 0.015F * sine(pace);
  const float neck = limb(px, py, 0.38F, back + thick * 0.3F + bob, hx, hy, 0.075F + 0.07F * plan.bulk);
  const float muzzle = 0.12F + 0.14F * plan.legs;
  const float head =
      smaller(length(px - hx, py - hy) - (0.105F + 0.045F * plan.bulk),
              limb(px, py, hx, hy - 0.02F, hx + muzzle, hy - 0.05F - 0.06F * plan.legs, 0.055F + 0.03F * plan.bulk));
  const float ear = smaller(limb(px, py, hx - 0.05F, hy + 0.06F, hx - 0.07F, hy + 0.15F, 0.032F),
                            limb(px, py, hx + 0.01F, hy + 0.07F, hx + 0.01F, hy + 0.15F, 0.028F));
  const float wag = 0.10F * sine(v.t * 0.5F);
  const float tail =
      smaller(limb(px, py, -0.42F, back + 0.05F + bob, -0.62F - 0.12F * plan.tail, back - 0.03F + wag,
                   0.035F + 0.02F * plan.tail),
              limb(px, py, -0.62F - 0.12F * plan.tail, back - 0.03F + wag, -0.68F - 0.25F * plan.tail,
                   back + (0.30F * (1.0F - plan.legs) - 0.1F) * plan.tail + wag, 0.03F + 0.02F * plan.tail));
  float legs = 9;
  for (int i = 0; i < 4; ++i) {
    const float hip = i < 2 ? -0.34F + 0.06F * static_cast<float>(i) : 0.28F + 0.06F * static_cast<float>(i - 2);
    const float swing = sine(pace + 0.25F * static_cast<float>(i) + (i % 2 == 0 ? 0.0F : 0.25F));
    const float lift = larger(0, cosine(pace + 0.25F * static_cast<float>(i) + (i % 2 == 0 ? 0.0F : 0.25F))) * 0.06F;
    const float knee_x = hip + 0.07F * swing, foot_x = hip + 0.16F * swing;
    const float width = 0.045F + 0.05F * plan.bulk;
    legs = smaller(legs, smaller(limb(px, py, hip, back - thick * 0.3F, knee_x, back * 0.5F, width),
                                 limb(px, py, knee_x, back * 0.5F, foot_x, 0.03F + lift, width * 0.75F)));
  }
  const float whole = smaller(smaller(body, neck), smaller(head, smaller(ear, smaller(tail, legs))));
  const float lit = saturate(0.35F + 0.9F * (py - back) / thick * 0.4F + 0.25F);
  shape(plan, on, length((px - hx - 0.05F) * 1.0F, py - hy - 0.02F) - 0.018F, size,
        rgb{0.9F, 0.85F, 0.6F} * (0.5F + 0.5F * plan.night));
  shape(plan, on, whole, size, silhouette(plan, plan.who_colour, lit));
  put(on, plan.near_ground * 0.2F, smoothstep(0.15F, -0.3F, length(px * 0.8F, py * 5.0F) - 0.55F) * 0.5F);
}

TROUPE_PIXEL void whale(const scene_plan& plan, const view& v, layers& on, float x, float y) {
  const float size = 0.26F * plan.who_size;
  const point p = at_depth(v, x, y, 0.5F);
  const float cx = plan.who_x + plan.facing * v.t * 0.03F, cy = 0.05F + 0.02F * sine(v.t * 0.1F);
  const float px = (p.x - cx) / size * plan.facing;
  float py = (p.y - cy) / size;
  if (absolute(px) > 1.7F || absolute(py) > 1.0F)
    return;
  const float beat = sine(v.t * 0.3F);
  py -= 0.14F * beat * larger(0, -px - 0.2F) * larger(0, -px - 0.2F);
  const float half =
      px > 0 ? 0.36F * std::sqrt(larger(0, 1.0F - px * px)) : 0.36F * saturate(1.0F + px * 0.72F) * (1.0F - 0.15F * px);
  const float body = larger(absolute(py) - half, absolute(px) - 1.35F);
  const float fluke = larger(absolute(py - 0.02F) - 0.09F * saturate(-px - 1.1F) * 4.0F, absolute(px + 1.42F) - 0.16F);
  const float fin = limb(px, py, 0.25F, -0.2F, 0.02F, -0.52F + 0.08F * beat, 0.07F);
  const float pattern = fraction(px * 3 + 0.5F) * 0.06F;
  const float belly = smoothstep(-0.05F, -0.22F, py);
  const rgb back = mix(plan.who_colour, rgb{0.10F, 0.20F, 0.30F}, 0.85F);
  const rgb colour =
      mix(back, rgb{0.62F, 0.72F, 0.75F}, belly * (0.75F - pattern * 4)) * (0.55F + 0.7F * saturate(0.5F + py * 1.6F));
  shape(plan, on, length(px - 0.72F, py + 0.05F) - 0.028F, size, rgb{0.01F, 0.02F, 0.03F});
  shape(plan, on, fin, size, back * 0.8F);
  shape(plan, on, smaller(body, fluke), size, mix(colour, plan.deep_water, 0.15F));
}

TROUPE_PIXEL void draw_subject(const scene_plan& plan, const view& v, layers& on, subject who, float x, float y) {
  switch (who) {
    case subject::none: break;
    case subject::boat: boat(plan, v, on, x, y); break;
    case subject::birds: birds(plan, v, on, x, y); break;
    case subject::rocket: rocket(plan, v, on, x, y); break;
    case subject::balloon: balloon(plan, v, on, x, y); break;
    case subject::lighthouse: lighthouse(plan, v, on, x, y); break;
    case subject::person: person(plan, v, on, x, y); break;
    case subject::animal: animal(plan, v, on, x, y); break;
    case subject::whale: whale(plan, v, on, x, y); break;
  }
}

} // namespace troupe::engines::scene

#pragma once

// What is to be seen: decided once from the words and the seed, then read by every pixel.

#include "gpu/engines/scene/pixel_math.hpp"

#include <cstdint>
#include <string>

namespace troupe::engines::scene {

enum class world : std::uint8_t { land, sea, city, space, underwater, abstract };
enum class relief : std::uint8_t { mountains, hills, dunes };
enum class subject : std::uint8_t { none, boat, birds, rocket, balloon, lighthouse, person, animal, whale };

/// Plain numbers only, so that it can be handed to a device as it is. Lengths are in picture heights, x to the right
/// from the middle, y upwards from the middle; strengths are 0 … 1 unless said otherwise.
struct scene_plan {
  std::uint32_t seed = 0;
  world place = world::land;
  relief ground = relief::mountains;
  float aspect = 16.0F / 9;
  float pixel = 1.0F / 480; // one pixel's height
  float duration_s = 1;

  // Light and colour.
  rgb sky_top, sky_mid, sky_low;
  rgb light; // of the sun or the moon
  rgb cloud_lit, cloud_dark;
  rgb near_ground, far_ground, deep_water;
  rgb accent, accent2; // neon, nebula, flowers
  float night = 0;
  bool moon = false; // the light in the sky is the moon
  float light_x = 0, light_y = 0.2F, light_radius = 0.04F, glow = 1;
  float exposure = 1, contrast = 1, saturation = 1, sepia = 0, vignette = 0.35F;

  // Air and sky.
  float clouds = 0.4F, stars = 0, aurora = 0, rain = 0, snow = 0, fog = 0, lightning = 0, rainbow = 0;
  float embers = 0, petals = 0, wind = 0.3F, time_lapse = 1;

  // Ground.
  float horizon = -0.1F;
  float relief_height = 0.3F, snowcaps = 0, trees = 0, conifers = 1, flowers = 0, far_land = 0, skyline = 0;
  float waves = 0.4F, neon = 0, lit_windows = 0, fire = 0, village = 0;

  // Space.
  float nebula = 0.7F, planet = 0, ring = 0, galaxy = 0;
  float planet_x = 0.4F, planet_y = 0, planet_radius = 0.3F;
  rgb planet_a, planet_b;

  // Who is in it.
  subject who = subject::none;
  subject also = subject::none;
  float who_x = 0, who_y = 0, who_size = 0.2F, facing = 1;
  float legs = 0.5F, neck = 0.3F, tail = 0.5F, bulk = 0.5F; // of the animal
  rgb who_colour;

  // Camera: from … to over the whole shot, with a sway.
  float pan_x = 0, pan_y = 0, zoom_from = 1, zoom_to = 1.1F, sway = 0, shake = 0;
};

/// What a shot is asked to be.
struct wish {
  std::string prompt;
  std::string negative_prompt;
  std::uint32_t seed = 0;
  int width = 848;
  int height = 480;
  double duration_s = 1;
};

/// The same wish gives the same plan; any other word, or another seed, gives another.
scene_plan make_plan(const wish& what);

} // namespace troupe::engines::scene

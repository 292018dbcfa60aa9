#pragma once

// What words mean for a picture.

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::engines::scene {

/// What a picture can have more or less of.
enum class feature : std::uint8_t {
  // time
  dawn,
  day,
  dusk,
  night,
  // place
  mountains,
  hills,
  desert,
  forest,
  field,
  sea,
  lake,
  city,
  space,
  underwater,
  abstract,
  village,
  // air
  clear,
  clouds,
  storm,
  rain,
  snow,
  fog,
  wind,
  aurora,
  stars,
  moon,
  sun,
  lightning,
  rainbow,
  // things
  fire,
  petals,
  autumn,
  flowers,
  neon,
  planet,
  ring,
  galaxy,
  nebula,
  snowcaps,
  palms,
  // who
  boat,
  birds,
  rocket,
  balloon,
  lighthouse,
  person,
  animal,
  whale,
  // colours
  red,
  orange,
  gold,
  green,
  teal,
  blue,
  purple,
  pink,
  white,
  black,
  // manner
  vivid,
  muted,
  noir,
  sepia,
  dark,
  bright,
  calm,
  // camera
  left,
  right,
  zoom_in,
  zoom_out,
  rise,
  orbit,
  still,
  slow,
  fast,
  handheld,
  time_lapse,
  count
};

using feature_scores = std::array<float, static_cast<std::size_t>(feature::count)>;

/// An animal's build: legs, neck, tail, bulk, each 0 … 1, and its colour.
struct animal_build {
  float legs, neck, tail, bulk;
  float r, g, b;
};

/// Lower-case words in order; bytes beyond ASCII count as letters.
std::vector<std::string> words_of(const std::string& text);

/// How much of each feature the prompt asks for: above 0 wanted, below 0 unwanted ("no clouds", negative prompt).
feature_scores score(const std::string& prompt, const std::string& negative_prompt);

/// The build of the first animal named, or null.
const animal_build* animal_in(const std::string& prompt);

} // namespace troupe::engines::scene

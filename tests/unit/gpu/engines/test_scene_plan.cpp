#include "gpu/engines/scene/scene_plan.hpp"
#include "gpu/engines/scene/vocabulary.hpp"

#include <gtest/gtest.h>

#include <cmath>

using namespace troupe::engines::scene;

namespace {

scene_plan plan_of(const std::string& prompt, const std::string& negative = "", std::uint32_t seed = 1) {
  return make_plan({prompt, negative, seed, 848, 480, 1.7});
}

} // namespace

TEST(scene_words, are_lower_case_and_keep_letters_of_other_scripts) {
  EXPECT_EQ(words_of("A  Cat,on-a\tMÖBIUS!"), (std::vector<std::string>{"a", "cat", "on", "a",
                                                                        "m\xC3\x96"
                                                                        "bius"}));
  EXPECT_TRUE(words_of(" ,.;").empty());
}

TEST(scene_plan, shows_the_place_that_the_words_name) {
  EXPECT_EQ(plan_of("a quiet sea under the stars").place, world::sea);
  EXPECT_EQ(plan_of("neon city at night in the rain").place, world::city);
  EXPECT_EQ(plan_of("a rocket flying through a nebula").place, world::space);
  EXPECT_EQ(plan_of("a coral reef underwater").place, world::underwater);
  EXPECT_EQ(plan_of("A cinematic sunrise over mountains").ground, relief::mountains);
  EXPECT_EQ(plan_of("camels crossing desert dunes").ground, relief::dunes);
  EXPECT_GT(plan_of("snow falling on a pine forest").trees, 0.9F);
}

TEST(scene_plan, shows_the_hour_the_weather_and_who_is_there) {
  EXPECT_EQ(plan_of("a quiet sea under the stars").night, 1.0F);
  EXPECT_EQ(plan_of("a meadow on a sunny afternoon").night, 0.0F);
  EXPECT_GT(plan_of("heavy rain").rain, 0.5F);
  EXPECT_GT(plan_of("it is snowing").snow, 0.5F);
  EXPECT_EQ(plan_of("a sailing boat").who, subject::boat);
  EXPECT_EQ(plan_of("two horses galloping").who, subject::animal);
  EXPECT_GT(plan_of("a horse").legs, plan_of("a cat").legs);
}

TEST(scene_plan, leaves_out_what_is_denied_in_either_prompt) {
  EXPECT_EQ(plan_of("a sea with no clouds").clouds, 0.0F);
  EXPECT_EQ(plan_of("a stormy sea", "rain, storm").rain, 0.0F);
  EXPECT_EQ(plan_of("a boat", "boat").who, subject::none);
  EXPECT_NE(plan_of("the city and the sea", "city, skyline").place, world::city);
}

TEST(scene_plan, is_the_same_for_the_same_wish_and_another_for_another_word_or_seed) {
  const auto a = plan_of("green thoughts of Tuesday");
  EXPECT_EQ(a.seed, plan_of("green thoughts of Tuesday").seed);
  EXPECT_EQ(a.pan_x, plan_of("green thoughts of Tuesday").pan_x);
  EXPECT_NE(a.seed, plan_of("green thoughts of Wednesday").seed);
  EXPECT_NE(a.seed, plan_of("thoughts green of Tuesday").seed);
  EXPECT_NE(a.seed, plan_of("green thoughts of Tuesday", "blur").seed);
  EXPECT_NE(a.seed, plan_of("green thoughts of Tuesday", "", 2).seed);
}

TEST(scene_plan, moves_the_camera_as_asked) {
  EXPECT_LT(plan_of("a sea, the camera pans left").pan_x, 0);
  EXPECT_GT(plan_of("a sea, the camera pans right").pan_x, 0);
  EXPECT_GT(plan_of("zoom into the forest").zoom_to, 1.05F);
  const auto still = plan_of("a forest, static tripod shot");
  EXPECT_EQ(still.pan_x, 0);
  EXPECT_EQ(still.zoom_to, still.zoom_from);
}

TEST(scene_math, agrees_with_the_mathematics_it_stands_for) {
  for (float x = -3; x < 3; x += 0.01F) {
    EXPECT_NEAR(sine(x), std::sin(x * 6.2831853F), 0.0015F) << x;
    EXPECT_NEAR(angle(std::cos(x), std::sin(x)), x > -3.1415F && x < 3.1415F ? x / 6.2831853F : 0, 0.0015F) << x;
  }
  for (float x = 0; x < 15; x += 0.05F)
    EXPECT_NEAR(decay(x), std::exp(-x), 0.001F) << x;
  for (float x = -20; x < 20; x += 0.37F) {
    EXPECT_EQ(floor_int(x), static_cast<int>(std::floor(x))) << x;
    const float n = fbm(x, x * 0.3F, 4, 9);
    EXPECT_TRUE(n >= 0 && n <= 1) << n;
  }
}

#include "common/catalog/tiers.hpp"

#include <gtest/gtest.h>

namespace troupe::catalog {
namespace {

TEST(Tiers, GrantAndAllowWhatTheDocumentationSays) {
  auto table = default_tiers();
  const std::int64_t month[]{150, 500, 1'500, 5'000, 15'000, 50'000};
  const std::int64_t frames[]{81, 121, 201, 301, 301, 999};
  const std::int64_t weight[]{1, 2, 3, 4, 6, 8};
  const char* size[]{"480p", "1080p", "4K", "4K", "4K", "4K"};
  for (std::size_t i = 0; i < tier_count; ++i) {
    EXPECT_EQ(table[i].credits_per_month, month[i]);
    EXPECT_EQ(table[i].frames_max, frames[i]);
    EXPECT_EQ(table[i].size.name, size[i]);
    EXPECT_EQ(table[i].watermark, i == 0);
    EXPECT_EQ(table[i].weight, weight[i]);
  }
}

TEST(Tiers, AreKnownByNameAndRanked) {
  for (auto which : {tier::free, tier::starter, tier::creator, tier::pro, tier::studio, tier::enterprise})
    EXPECT_EQ(tier_of(name_of(which)), which);
  EXPECT_FALSE(tier_of("Free"));
  EXPECT_FALSE(tier_of("gold"));
  EXPECT_LT(tier::starter, tier::creator);
}

TEST(Tiers, FreeAllows848By480InBothOrientationsAndNothingLarger) {
  auto sd = default_tiers()[0].size;
  EXPECT_TRUE(sd.allows(848, 480));
  EXPECT_TRUE(sd.allows(480, 848));
  EXPECT_TRUE(sd.allows(854, 480));
  EXPECT_FALSE(sd.allows(856, 480));
  EXPECT_FALSE(sd.allows(512, 512));
}

TEST(Tiers, SayWhichTierAWorkNeeds) {
  auto table = default_tiers();
  EXPECT_EQ(lowest_tier_for(table, {848, 480, 81}), tier::free);
  EXPECT_EQ(lowest_tier_for(table, {848, 480, 82}), tier::starter);
  EXPECT_EQ(lowest_tier_for(table, {1920, 1080, 1}), tier::starter);
  EXPECT_EQ(lowest_tier_for(table, {3840, 2160, 1}), tier::creator);
  EXPECT_EQ(lowest_tier_for(table, {64, 64, 999}), tier::enterprise);
  EXPECT_FALSE(lowest_tier_for(table, {64, 64, 1000}));
  EXPECT_FALSE(lowest_tier_for(table, {8192, 4320, 1}));
}

TEST(Tiers, TellATierThatIsTooLowFromAValueThatIsTooLarge) {
  auto table = default_tiers();
  EXPECT_TRUE(check_demand(table, tier::free, {848, 480, 81}));
  auto low = check_demand(table, tier::free, {848, 480, 100});
  ASSERT_FALSE(low);
  EXPECT_EQ(low.error().code, "tier_required");
  EXPECT_EQ(low.error().message, "frames: 100 is over the Free tier's 81; the Starter tier allows it");
  auto wide = check_demand(table, tier::free, {1280, 720, 10});
  ASSERT_FALSE(wide);
  EXPECT_TRUE(wide.error().message.starts_with("width, height: 1280 x 720")) << wide.error().message;
  auto never = check_demand(table, tier::enterprise, {64, 64, 5'000});
  ASSERT_FALSE(never);
  EXPECT_EQ(never.error().code, "beyond_all_tiers");
}

TEST(Tiers, FeaturesNeedTheTierThatTheDocumentationNames) {
  EXPECT_EQ(required_tier(feature::speech), tier::creator);
  EXPECT_EQ(required_tier(feature::upscale), tier::creator);
  EXPECT_EQ(required_tier(feature::stock_media), tier::creator);
  EXPECT_EQ(required_tier(feature::hosting), tier::pro);
  EXPECT_EQ(required_tier(feature::face_swap), tier::pro);
}

} // namespace
} // namespace troupe::catalog

#include "common/catalog/tariff.hpp"

#include "common/catalog/metered.hpp"
#include "common/catalog/models.hpp"

#include <gtest/gtest.h>

namespace troupe::catalog {
namespace {

std::string wrong(const char* text) {
  auto read = read_tariff(text, "cluster.conf");
  return read ? "nothing" : read.error().message;
}

TEST(Tariff, WithoutASectionIsTheDefault) {
  auto read = read_tariff("[http]\nlisten = 'x'", "cluster.conf");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->prices.video.at("wan-t2v").base, credits(10));
  EXPECT_EQ(limits_of(read->tiers, tier::free).credits_per_month, 150);
}

TEST(Tariff, SetsTiersAndPrices) {
  auto read = read_tariff(R"(
[tiers.free]
credits = 20
resolution = "720p"
frames = 60
watermark = false
weight = 5
[prices.video.wan-t2v]
base = 1
per_frame = 0.000001
[prices.image]
flux = 7
[prices.flat]
edit = 4
[prices.timed.upscale]
credits = 1.5
seconds = 5
least = 4
[prices.merge]
per_clip = 5
[prices.tokens."glm-4.5"]
input_per_million = 50
output_per_million = 150.5
[prices.image_megapixel]
"flux-pro" = 0.25
)",
                          "cluster.conf");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->tiers[0].credits_per_month, 20);
  EXPECT_EQ(read->tiers[0].size.name, "720p");
  EXPECT_FALSE(read->tiers[0].watermark);
  EXPECT_EQ(read->tiers[0].weight, 5);
  EXPECT_EQ(read->tiers[1].weight, 2);
  EXPECT_EQ(read->prices.video.at("wan-t2v").per_frame, 1);
  EXPECT_EQ(read->prices.video.at("wan-t2v").per_step, 500'000); // what is not said stays
  EXPECT_EQ(read->prices.image.at("flux"), credits(7));
  EXPECT_EQ(read->prices.timed.at("upscale").amount, 1'500'000);
  EXPECT_EQ(read->prices.tokens.at("glm-4.5").output_per_million, 150'500'000);
  EXPECT_EQ(read->prices.image_megapixel.at("flux-pro"), 250'000);
}

TEST(Tariff, SaysWhatIsWrongWithLineAndColumn) {
  EXPECT_EQ(wrong("[tiers.gold]\ncredits = 1").substr(0, 47), "cluster.conf:1:8: no tier is called `gold`; the");
  EXPECT_EQ(wrong("[tiers.free]\ncredits = -1"),
            "cluster.conf:2:11: tiers.free.credits must be an integer from 0 to 1000000000");
  EXPECT_EQ(wrong("[tiers.free]\nframe = 1"),
            "cluster.conf:2:1: unknown key `tiers.free.frame`; there are credits, frames, resolution, watermark, "
            "weight");
  for (const char* weight : {"0", "10001", "1.5", "'heavy'"})
    EXPECT_EQ(wrong(("[tiers.pro]\nweight = " + std::string{weight}).c_str()),
              "cluster.conf:2:10: tiers.pro.weight must be an integer from 1 to 10000");
  EXPECT_EQ(wrong("[tiers.free]\nresolution = '2K'"),
            "cluster.conf:2:14: tiers.free.resolution must be one of \"480p\", \"720p\", \"1080p\", \"4K\"");
  EXPECT_EQ(wrong("[prices.video.wan-t2v]\n base = 'ten'"),
            "cluster.conf:2:9: prices.video.wan-t2v.base must be credits, a number from 0 to 1000");
  EXPECT_EQ(wrong("[prices.video.wan-t2v]\nper_frame = 0.0000001"),
            "cluster.conf:2:13: prices.video.wan-t2v.per_frame may have six decimals at most");
  EXPECT_EQ(wrong("[prices.flat]\nedit = 2.5").substr(0, 54), "cluster.conf:2:8: prices.flat.edit must be whole credi");
  EXPECT_EQ(wrong("[prices.flat]\ndance = 2").substr(0, 53), "cluster.conf:2:1: nothing is called `prices.flat.danc");
  EXPECT_EQ(wrong("prices = 3"), "cluster.conf:1:10: `prices` is a section and takes no value itself");
  EXPECT_NE(wrong("[prices.video.wan-t2v]\nbase = nan"), "nothing");
}

TEST(Tariff, PricesInForceAreThoseThatWereSet) {
  auto read = read_tariff("[prices.timed.upscale]\ncredits = 5\n[prices.merge]\nper_clip = 9", "cluster.conf");
  ASSERT_TRUE(read);
  use_prices(read->prices);
  EXPECT_EQ(upscale_price(10'001), credits(10));
  EXPECT_EQ(merge_price(2), credits(18));
  use_prices(default_prices());
  EXPECT_EQ(upscale_price(10'001), credits(4));
}

TEST(Metered, TokensAndImagesAreExactAndRoundedUpToAMicroCredit) {
  token_prices glm{credits(50), credits(150)};
  EXPECT_EQ(token_price(glm, 1000, 500), 50'000 + 75'000);
  EXPECT_EQ(token_price({1, 0}, 1, 0), 1);
  EXPECT_EQ(token_price(glm, -5, 0), 0);
  EXPECT_EQ(token_price({credits(100'000), credits(100'000)}, INT64_MAX, INT64_MAX), 2 * credits(1'000'000));
  EXPECT_EQ(sized_image_price(250'000, 1024, 1024, 2), 2 * 262'144);
}

TEST(Metered, SettlesWholeCentsAndCarriesTheFraction) {
  auto first = settle(0, 1'600'000);
  EXPECT_EQ(first.charge_cents(), 1);
  EXPECT_EQ(first.owed, 600'000);
  EXPECT_DOUBLE_EQ(first.charge_usd(), 0.01);
  EXPECT_DOUBLE_EQ(first.metered_charge_usd(), 0.016);
  auto second = settle(first.owed, 400'000);
  EXPECT_EQ(second.charge_cents(), 1);
  EXPECT_EQ(second.owed, 0);
  EXPECT_EQ(settle(999'999, 0).charge_cents(), 0);
}

} // namespace
} // namespace troupe::catalog

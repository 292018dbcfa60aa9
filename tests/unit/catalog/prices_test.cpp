#include "common/catalog/models.hpp"
#include "common/catalog/prices.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace troupe::catalog {
namespace {

struct example {
  const char* model;
  std::int64_t credits_at_41_frames_4_steps;
};

// The documentation's example column, with the rows that it has wrong put right by its formula.
constexpr example examples[]{
    {"wan-t2v", 21},       {"ltx-t2v", 16},   {"ltx-quality", 27},  {"hunyuan-t2v", 22},  {"hunyuan15-t2v", 22},
    {"hunyuan15-i2v", 28}, {"ltx-i2v", 22},   {"cogvideo-t2v", 22}, {"animatediff", 12},  {"svd-i2v", 18},
    {"wan-i2v", 23},       {"ltx-flf", 20},   {"wan-s2v", 28},      {"wan-flf", 23},      {"ltx-camera", 18},
    {"ltx-control", 20},   {"wan-vace", 28},  {"wan-animate", 33},  {"liveportrait", 13}, {"hunyuan3d", 24},
    {"dreamidv", 25},      {"echomimic", 20},
};

TEST(Prices, EveryModelCostsWhatItsFormulaSays) {
  EXPECT_EQ(std::size(examples), video_models().size());
  for (const auto& row : examples) {
    SCOPED_TRACE(row.model);
    const auto* model = find_video_model(row.model);
    ASSERT_TRUE(model);
    EXPECT_EQ(video_price(model->price, 41, 4), credits(row.credits_at_41_frames_4_steps));
  }
}

TEST(Prices, AVideoIsRoundedUpOnceAndNotTermByTerm) {
  // 10 + 1 × 0.20 + 1 × 0.50 = 10.70; term by term it would be 12.
  EXPECT_EQ(video_price(find_video_model("wan-t2v")->price, 1, 1), credits(11));
  // 10 + 40 × 0.20 + 4 × 0.50 = 20 exactly: nothing is added.
  EXPECT_EQ(video_price(find_video_model("wan-t2v")->price, 40, 4), credits(20));
}

TEST(Prices, MergingCostsTwoAClipAndAtLeastThree) {
  EXPECT_EQ(merge_price(1), credits(3));
  EXPECT_EQ(merge_price(2), credits(4));
  EXPECT_EQ(merge_price(20), credits(40));
}

TEST(Prices, UpscalingCostsTwoForEachTenSecondsBegun) {
  EXPECT_EQ(upscale_price(0), credits(2));
  EXPECT_EQ(upscale_price(10'000), credits(2));
  EXPECT_EQ(upscale_price(10'001), credits(4));
  EXPECT_EQ(upscale_price(60'000), credits(12));
}

TEST(Prices, VideoToVideoCostsThreeForEachTenSecondsBegun) {
  EXPECT_EQ(video_to_video_price(0), credits(3));
  EXPECT_EQ(video_to_video_price(10'000), credits(3));
  EXPECT_EQ(video_to_video_price(10'001), credits(6));
}

TEST(Prices, SoundAndSpeechAreProRatedAndRoundedUp) {
  EXPECT_EQ(audio_price(30'000), credits(8));
  EXPECT_EQ(audio_price(15'000), credits(4));
  EXPECT_EQ(audio_price(1'000), credits(1));
  EXPECT_EQ(speech_price(60'000), credits(6));
  EXPECT_EQ(speech_price(4'200), credits(1));
  EXPECT_EQ(speech_price(10'001), credits(2));
}

TEST(Prices, FlatOperationsCostWhatTheTableSays) {
  EXPECT_EQ(subtitles_price(), credits(5));
  EXPECT_EQ(edit_price(), credits(3));
  EXPECT_EQ(tool_price(), credits(1));
  EXPECT_EQ(flat_price("subtitle-translation"), credits(5));
  EXPECT_EQ(flat_price("trim"), credits(3));
  EXPECT_EQ(flat_price("trim-video"), credits(1));
  EXPECT_FALSE(flat_price("teleport"));
}

TEST(Prices, HostileQuantitiesNeitherOverflowNorGoNegative) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max(), least = std::numeric_limits<std::int64_t>::min();
  for (auto x : {most, least}) {
    EXPECT_GE(video_price(find_video_model("wan-animate")->price, x, x), credits(18));
    EXPECT_GE(merge_price(x), credits(3));
    EXPECT_GE(upscale_price(x), credits(2));
    EXPECT_GE(speech_price(x), 0);
    EXPECT_GE(clip_ms(x, x), 0);
  }
}

TEST(Prices, ASpokenTextIsEstimatedByItsWordsAndSpeed) {
  EXPECT_EQ(estimated_speech_ms("one two three four five"), 2'000);
  EXPECT_EQ(estimated_speech_ms("  one\ttwo\n three four  five "), 2'000);
  EXPECT_EQ(estimated_speech_ms("one two three four five", 2000), 1'000);
  EXPECT_EQ(estimated_speech_ms(""), 0);
}

TEST(Prices, ATextWithoutSpacesIsNotFree) {
  EXPECT_EQ(estimated_speech_ms(std::string(1'200, 'a')), 40'000);
  std::string umlauts;
  for (int i = 0; i < 12; ++i)
    umlauts += "ä";
  EXPECT_EQ(estimated_speech_ms(umlauts), 400) << "characters count, not bytes";
}

TEST(Prices, AClipIsAsLongAsItsFramesRoundedUp) {
  EXPECT_EQ(clip_ms(240, 24), 10'000);
  EXPECT_EQ(clip_ms(41, 24), 1'709);
  EXPECT_EQ(clip_ms(5, 0), 5'000);
}

} // namespace
} // namespace troupe::catalog

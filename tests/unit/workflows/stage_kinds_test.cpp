#include "workflows/stage_kinds.hpp"

#include <gtest/gtest.h>

#include <set>

namespace troupe::workflow {
namespace {

TEST(StageKinds, AreAllThatTheEnginesOffer) {
  std::set<std::string> names;
  for (const auto& kind : stage_kinds())
    names.insert(kind.name);
  EXPECT_EQ(names, (std::set<std::string>{"scene.video", "scene.image", "upscale.video", "upscale.image",
                                          "speech.synthesize", "transcribe.audio", "ffmpeg.trim", "ffmpeg.concat",
                                          "ffmpeg.mix", "ffmpeg.subtitle", "ffmpeg.watermark", "null.work"}));
  EXPECT_FALSE(find_stage_kind("scene.music"));
}

TEST(StageKinds, FillInTheDefaultsOfTheirParameters) {
  auto params = check_params(*find_stage_kind("scene.video"), {{"prompt", "a sea"}, {"seed", 5}});
  ASSERT_TRUE(params);
  EXPECT_EQ((*params)["width"], 848);
  EXPECT_EQ((*params)["frames"], 41);
  EXPECT_EQ((*params)["model"], "scene");
  EXPECT_EQ((*params)["watermark"], "");
  EXPECT_FALSE(params->contains("shift"));
  EXPECT_EQ(check_params(*find_stage_kind("ffmpeg.subtitle"), json::object()).value()["language"], "eng");
}

TEST(StageKinds, RefuseWhatIsOutOfRangeUnknownOrTogetherWrong) {
  auto refusal = [](const char* kind, const json& params) {
    auto checked = check_params(*find_stage_kind(kind), params);
    return checked ? "" : checked.error().message;
  };
  EXPECT_EQ(refusal("scene.video", {{"prompt", "a"}, {"seed", 5}, {"width", 481}}), "width must be even");
  EXPECT_EQ(refusal("scene.video", {{"prompt", "a"}, {"seed", 5}, {"frames", 1000}}), "frames must be at most 999");
  EXPECT_EQ(refusal("scene.video", {{"seed", 5}}), "prompt is required");
  EXPECT_EQ(refusal("upscale.video", {{"facto", 2}}), "facto is not a parameter of upscale.video");
  EXPECT_EQ(refusal("ffmpeg.trim", {{"start_seconds", 2}, {"end_seconds", 2}}),
            "end_seconds must be greater than start_seconds");
  EXPECT_EQ(refusal("ffmpeg.trim", {{"start_seconds", 1.5}, {"end_seconds", 4}}), "");
}

TEST(StageKinds, DescribeTheirPortsAndParameters) {
  auto concat = describe(*find_stage_kind("ffmpeg.concat"));
  EXPECT_EQ(concat["inputs"][0]["list"], true);
  EXPECT_EQ(concat["inputs"][0]["max"], 20);
  EXPECT_EQ(concat["outputs"][0]["content_type"], "video/mp4");
  EXPECT_EQ(concat["params"]["properties"]["crossfade_s"]["maximum"], 5.0);
}

TEST(StageKinds, ATranscriptionTakesSoundFromAVideoToo) {
  EXPECT_TRUE(accepts(media::sound, media::video));
  EXPECT_TRUE(accepts(media::sound, media::audio));
  EXPECT_FALSE(accepts(media::sound, media::image));
  EXPECT_FALSE(accepts(media::video, media::audio));
  EXPECT_TRUE(accepts(media::any, media::words));
}

} // namespace
} // namespace troupe::workflow

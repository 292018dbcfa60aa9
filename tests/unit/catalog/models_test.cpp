#include "common/catalog/models.hpp"
#include "common/catalog/tiers.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace troupe::catalog {
namespace {

TEST(Models, AllOfTheDocumentationAreThereOnce) {
  std::set<std::string_view> ids;
  std::map<category, int> counts;
  for (const auto& model : video_models()) {
    EXPECT_TRUE(ids.insert(model.id).second) << model.id;
    EXPECT_FALSE(model.name.empty());
    EXPECT_FALSE(model.description.empty());
    ++counts[model.category];
  }
  EXPECT_EQ(ids.size(), 22u);
  EXPECT_EQ(counts[category::text_to_video], 11);
  EXPECT_EQ(counts[category::image_to_video], 4);
  EXPECT_EQ(counts[category::first_last_frame], 2);
  EXPECT_EQ(counts[category::sound_to_video], 1);
  EXPECT_EQ(counts[category::specialised], 4);
}

TEST(Models, WanHasTheDefaultsOfTheDocumentedRequest) {
  const auto& wan = find_video_model("wan-t2v")->defaults;
  EXPECT_EQ(wan.width, 848);
  EXPECT_EQ(wan.height, 480);
  EXPECT_EQ(wan.frames, 41);
  EXPECT_EQ(wan.steps, 4);
  EXPECT_EQ(wan.cfg, 1);
  EXPECT_EQ(wan.sampler, "sa_solver");
  EXPECT_EQ(wan.scheduler, "beta");
  EXPECT_EQ(wan.shift, 8);
  EXPECT_EQ(wan.frame_rate, 24);
}

TEST(Models, ARequestWithOnlyAPromptFitsTheFreeTier) {
  for (const auto& model : video_models()) {
    const auto& d = model.defaults;
    EXPECT_TRUE(check_demand(default_tiers(), tier::free, {d.width, d.height, d.frames})) << model.id;
    EXPECT_EQ(d.width % 2 + d.height % 2, 0) << model.id;
    EXPECT_GE(d.steps, 1) << model.id;
    EXPECT_GE(d.frame_rate, 1) << model.id;
  }
}

TEST(Models, ASceneStandsInOnlyForModelsThatNeedTextAlone) {
  for (const auto& model : video_models()) {
    SCOPED_TRACE(model.id);
    EXPECT_NE(model.stand_in.empty(), model.no_stand_in.empty()) << "either one stands in, or there is a reason";
    if (!model.needs.empty()) {
      EXPECT_TRUE(model.stand_in.empty());
    }
  }
  EXPECT_EQ(find_video_model("wan-t2v")->stand_in, "scene.video");
  EXPECT_TRUE(find_video_model("wan-i2v")->stand_in.empty());
  EXPECT_TRUE(find_video_model("hunyuan3d")->stand_in.empty()) << "a film is not a 3D model";
}

TEST(Models, ImageModelsCostWhatTheTableSays) {
  ASSERT_EQ(image_models().size(), 4u);
  EXPECT_EQ(find_image_model("sd15")->price, credits(2));
  EXPECT_EQ(find_image_model("flux")->price, credits(5));
  EXPECT_EQ(find_image_model("flux-dev")->price, credits(8));
  EXPECT_EQ(find_image_model("flux-edit")->price, credits(6));
  EXPECT_TRUE(find_image_model("flux-edit")->stand_in.empty());
}

TEST(Models, AnUnknownNameIsNoModel) {
  EXPECT_FALSE(find_video_model("wan"));
  EXPECT_FALSE(find_video_model(""));
  EXPECT_FALSE(find_image_model("wan-t2v"));
}

} // namespace
} // namespace troupe::catalog

#include "gpu/node/offer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace troupe;
using namespace troupe::node;
using ::testing::HasSubstr;

namespace {

const std::vector<probed_device> machine = {{"cpu0", "cpu", "a CPU", 0, 8, 1},
                                            {"cuda0", "cuda", "a card", 24'000, 1, 1},
                                            {"cuda1", "cuda", "another", 8'000, 1, 1}};

std::string names(const result<std::vector<probed_device>>& offered) {
  if (!offered)
    return offered.error().message;
  std::string out;
  for (const auto& device : *offered)
    out += device.name + " ";
  return out;
}

std::string wrong(const offer& wanted) {
  auto offered = offered_devices(machine, wanted);
  return offered ? "nothing" : offered.error().code + ": " + offered.error().message;
}

engines::description engine_of(const std::string& name, const std::vector<std::string>& kinds) {
  engines::description out;
  out.name = name;
  for (const auto& kind : kinds)
    out.operations.push_back({kind, 0, false});
  return out;
}

} // namespace

TEST(offer, is_all_there_is_where_nothing_is_said) {
  auto all = offered_devices(machine, {});
  EXPECT_EQ(names(all), "cpu0 cuda0 cuda1 ");
  EXPECT_EQ(all->at(0).slots, 8u);
  EXPECT_EQ(all->at(1).vram_mib, 24'000u);
}

TEST(offer, leaves_devices_out_by_name_and_by_type) {
  offer wanted;
  wanted.devices_disabled = {"cuda0"};
  EXPECT_EQ(names(offered_devices(machine, wanted)), "cpu0 cuda1 ");
  wanted.devices_disabled = {"cuda"};
  EXPECT_EQ(names(offered_devices(machine, wanted)), "cpu0 ");
  wanted.devices_disabled = {"cpu"};
  EXPECT_EQ(names(offered_devices(machine, wanted)), "cuda0 cuda1 ");
}

TEST(offer, slots_and_memory_are_set_by_type_and_a_name_wins) {
  offer wanted;
  wanted.slots = {{"cuda", 2}, {"cuda1", 4}};
  wanted.vram_reserved_mib = {{"cuda", 1'000}, {"cuda0", 4'000}};
  auto all = offered_devices(machine, wanted);
  ASSERT_TRUE(all);
  EXPECT_EQ(all->at(0).slots, 8u);
  EXPECT_EQ(all->at(1).slots, 2u);
  EXPECT_EQ(all->at(1).vram_mib, 20'000u);
  EXPECT_EQ(all->at(2).slots, 4u);
  EXPECT_EQ(all->at(2).vram_mib, 7'000u);
}

TEST(offer, of_what_is_not_there_is_an_error_that_says_what_is) {
  offer wanted;
  wanted.devices_disabled = {"cuda7"};
  EXPECT_EQ(wrong(wanted), "configuration: devices.disabled names `cuda7`, which this machine does not have; it has "
                           "cpu0, cuda0, cuda1, cpu, cuda");
  wanted = {};
  wanted.slots = {{"gpu0", 1}};
  EXPECT_THAT(wrong(wanted), HasSubstr("devices.slots names `gpu0`"));
  wanted = {};
  wanted.vram_reserved_mib = {{"gpu0", 1}};
  EXPECT_THAT(wrong(wanted), HasSubstr("devices.vram_reserved_mib names `gpu0`"));
}

TEST(offer, says_what_can_not_be) {
  offer wanted;
  wanted.devices_disabled = {"cpu0", "cuda"};
  EXPECT_THAT(wrong(wanted), HasSubstr("no device"));
  wanted = {};
  wanted.slots = {{"cpu", 2}};
  EXPECT_THAT(wrong(wanted), HasSubstr("node.slots"));
  wanted = {};
  wanted.vram_reserved_mib = {{"cpu0", 2}};
  EXPECT_THAT(wrong(wanted), HasSubstr("not counted"));
  wanted.vram_reserved_mib = {{"cuda", 8'000}};
  EXPECT_THAT(wrong(wanted), HasSubstr("8000 MiB of cuda1, which has 8000"));
  wanted.devices_disabled = {"cuda1"};
  EXPECT_EQ(wrong(wanted), "nothing") << "what is left out needs no memory";
}

TEST(offer, leaves_out_engines_and_kinds_that_there_are) {
  const std::vector<engines::description> all = {engine_of("scene", {"scene.video", "scene.image"}),
                                                 engine_of("null", {"null.work"})};
  offer wanted;
  wanted.engines_disabled = {"null", "scene.image"};
  EXPECT_TRUE(check_engines(all, wanted));
  EXPECT_TRUE(wanted.leaves_out("null"));
  EXPECT_FALSE(wanted.leaves_out("scene"));
  wanted.engines_disabled = {"scene.audio"};
  auto wrong_name = check_engines(all, wanted);
  ASSERT_FALSE(wrong_name);
  EXPECT_EQ(wrong_name.error().message,
            "engines.disabled names `scene.audio`, which this machine does not have; it has "
            "scene, null, scene.video, scene.image, null.work");
}

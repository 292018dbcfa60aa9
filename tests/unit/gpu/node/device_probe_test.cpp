#include "gpu/node/device_probe.hpp"

#include <gtest/gtest.h>

#include <thread>

using namespace troupe::node;

TEST(device_probe, the_cpu_is_always_there_and_its_slots_share_its_threads) {
  auto cores = std::max(1u, std::thread::hardware_concurrency());
  auto cpu = probe_cpu();
  EXPECT_EQ(cpu.name, "cpu0");
  EXPECT_EQ(cpu.type, "cpu");
  EXPECT_FALSE(cpu.model.empty());
  EXPECT_EQ(cpu.slots, cores);
  EXPECT_EQ(cpu.threads, 1u);
  EXPECT_EQ(probe_cpu(1).threads, cores);
  EXPECT_EQ(probe_cpu(cores * 4).threads, 1u);
}

TEST(device_probe, looking_for_cuda_harms_nothing_whether_or_not_there_is_any) {
  for (const auto& device : probe_cuda()) {
    EXPECT_EQ(device.type, "cuda");
    EXPECT_FALSE(device.model.empty());
    EXPECT_GT(device.vram_mib, 0u);
  }
}

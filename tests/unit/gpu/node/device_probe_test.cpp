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
  EXPECT_EQ(probe_cpu(1).model == cpu.model, cores == 1) << "a run on all cores is faster than one on one of them";
  EXPECT_EQ(probe_cpu(cores * 4).threads, 1u);
}

TEST(device_probe, looking_for_cuda_harms_nothing_whether_or_not_there_is_any) {
  for (const auto& device : probe_cuda()) {
    EXPECT_EQ(device.type, "cuda");
    EXPECT_FALSE(device.model.empty());
    EXPECT_GT(device.vram_mib, 0u);
  }
}

// Goal: devices are read by the driver's own calls. Method: a library with those calls stands in for the driver; its
// second device does not answer.
TEST(device_probe, cuda_devices_are_what_the_driver_says) {
  auto devices = probe_cuda(FAKE_CUDA_DRIVER);
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[0].name, "cuda0");
  EXPECT_EQ(devices[0].model, "Stand-in 0");
  EXPECT_EQ(devices[0].vram_mib, 24u << 10);
  EXPECT_EQ(devices[1].name, "cuda2") << "a device keeps its number though one before it is left out";
}

TEST(device_probe, a_library_that_is_no_driver_is_no_reason_to_fail) {
  EXPECT_TRUE(probe_cuda("libc.so.6").empty());
  EXPECT_TRUE(probe_cuda("/no/such/library.so").empty());
}

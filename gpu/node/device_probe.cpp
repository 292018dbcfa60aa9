#include "gpu/node/device_probe.hpp"

#include "common/log.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>
#include <thread>

namespace troupe::node {

namespace {

std::string cpu_model() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);)
    if (auto colon = line.find(": "); line.starts_with("model name") && colon != std::string::npos)
      return line.substr(colon + 2);
  return "CPU";
}

// The few calls of the CUDA driver API that a probe needs (docs.nvidia.com/cuda/cuda-driver-api); no header, no link.
struct cuda_driver {
  explicit cuda_driver(const std::string& name)
    : library(::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL),
              [](void* handle) { return handle ? ::dlclose(handle) : 0; }) {}

  std::unique_ptr<void, int (*)(void*)> library;
  int (*init)(unsigned) = nullptr;
  int (*device_count)(int*) = nullptr;
  int (*device_get)(int*, int) = nullptr;
  int (*device_name)(char*, int, int) = nullptr;
  int (*device_memory)(std::size_t*, int) = nullptr;

  template <class Function>
  bool load(Function& function, const char* name) {
    function = reinterpret_cast<Function>(::dlsym(library.get(), name));
    return function != nullptr;
  }
  bool load_all() {
    return load(init, "cuInit") && load(device_count, "cuDeviceGetCount") && load(device_get, "cuDeviceGet") &&
           load(device_name, "cuDeviceGetName") && load(device_memory, "cuDeviceTotalMem_v2");
  }
};

} // namespace

probed_device probe_cpu(std::uint32_t slots) {
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  probed_device cpu{"cpu0", "cpu", cpu_model(), 0, slots == 0 ? cores : slots, 1};
  cpu.slots = std::clamp<std::uint32_t>(cpu.slots, 1, 1024);
  cpu.threads = std::max(1u, cores / cpu.slots);
  if (cpu.threads > 1)
    cpu.model += ", " + std::to_string(cpu.threads) + " threads a run";
  return cpu;
}

namespace {

// How many there are; 0 with the reason in the log.
int count_devices(cuda_driver& driver, const std::string& name) {
  int count = 0;
  if (!driver.library)
    log::info("no CUDA devices: the NVIDIA driver ({}) is not installed", name);
  else if (!driver.load_all())
    log::warn("no CUDA devices: {} lacks the calls to list them; is it a driver for this machine?", name);
  else if (int started = driver.init(0); started != 0)
    log::info("no CUDA devices: the driver does not start (cuInit: error {})", started);
  else if (int listed = driver.device_count(&count); listed != 0 || count <= 0)
    log::info("no CUDA devices: the driver lists none (cuDeviceGetCount: error {})", listed);
  else
    return std::min(count, 256);
  return 0;
}

} // namespace

std::vector<probed_device> probe_cuda(const std::string& driver_library) {
  cuda_driver driver(driver_library);
  std::vector<probed_device> out;
  for (int i = 0, count = count_devices(driver, driver_library); i < count; ++i) {
    int device = 0;
    std::array<char, 128> name{};
    std::size_t bytes = 0;
    if (driver.device_get(&device, i) != 0 ||
        driver.device_name(name.data(), static_cast<int>(name.size() - 1), device) != 0 ||
        driver.device_memory(&bytes, device) != 0) {
      log::warn("CUDA device {} does not say what it is and is left out", i);
      continue;
    }
    out.push_back({"cuda" + std::to_string(i), "cuda", name.data(), static_cast<std::uint32_t>(bytes >> 20), 1, 1});
  }
  return out;
}

} // namespace troupe::node

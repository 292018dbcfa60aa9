#pragma once

// What this machine can compute on. Probing never fails: what is not there is left out, with a line in the log that
// says why.

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::node {

struct probed_device {
  std::string name;           // "cpu0", "cuda0", …
  std::string type;           // "cpu", "cuda"
  std::string model;          // "AMD EPYC …", "AMD EPYC …, 4 threads a run", "NVIDIA H200"
  std::uint32_t vram_mib = 0; // 0 for the CPU
  std::uint32_t slots = 1;    // how many runs at once
  unsigned threads = 1;       // CPU threads of one run
};

/// The CPU as one device: by default as many slots as hardware threads and one thread to a run, which keeps every core
/// busy with the least waiting; with fewer slots a run gets threads / slots threads.
probed_device probe_cpu(std::uint32_t slots = 0);

/// CUDA devices, by the driver's library, one slot each.
std::vector<probed_device> probe_cuda(const std::string& driver = "libcuda.so.1");

} // namespace troupe::node

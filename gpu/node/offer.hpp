#pragma once

// What of a machine its node offers to the head: what was found there, less what the operator keeps from it ([devices]
// and [engines] of the machine's own cluster.conf). A name that the machine does not know is an error, as a word that
// is misspelt would give work to what was to be left alone.

#include "common/result.hpp"
#include "gpu/engines/engine.hpp"
#include "gpu/node/device_probe.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace troupe::node {

/// Devices are named by name ("cuda1") or type ("cuda"), and what is said of a name wins.
struct offer {
  std::vector<std::string> devices_disabled;
  std::map<std::string, std::uint32_t> slots;             // of devices other than the CPU
  std::map<std::string, std::uint32_t> vram_reserved_mib; // for others
  std::vector<std::string> engines_disabled;              // "speech", or a kind: "scene.video"

  bool leaves_out(const std::string& engine_or_kind) const;
};

/// The devices that are offered, as they are offered. Errors: `configuration`, naming the key and what there is: a
/// device that is not there, memory that a device does not have, a CPU where none may be named, no device left.
result<std::vector<probed_device>> offered_devices(std::vector<probed_device> found, const offer& wanted);

/// Errors: `configuration`: an engine or kind that there is not.
result<void> check_engines(const std::vector<engines::description>& found, const offer& wanted);

} // namespace troupe::node

#include "gpu/node/offer.hpp"

#include <algorithm>
#include <optional>

namespace troupe::node {

namespace {

failure unknown(const std::string& key, const std::string& name, const std::vector<std::string>& known) {
  std::string all;
  for (const auto& one : known)
    all += (all.empty() ? "" : ", ") + one;
  return fail("configuration", key + " names `" + name + "`, which this machine does not have; it has " + all);
}

// Each device and each type once.
std::vector<std::string> names_of(const std::vector<probed_device>& found) {
  std::vector<std::string> out;
  for (const auto& device : found)
    out.push_back(device.name);
  for (const auto& device : found)
    if (std::find(out.begin(), out.end(), device.type) == out.end())
      out.push_back(device.type);
  return out;
}

bool contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

std::optional<std::uint32_t> said_of(const probed_device& device, const std::map<std::string, std::uint32_t>& all) {
  auto said = all.find(device.name);
  if (said == all.end())
    said = all.find(device.type);
  return said == all.end() ? std::nullopt : std::optional(said->second);
}

result<void> check_amounts(const std::string& key, const std::map<std::string, std::uint32_t>& amounts,
                           const std::vector<probed_device>& found, const std::string& of_cpu) {
  auto known = names_of(found);
  for (const auto& [name, amount] : amounts) {
    if (!contains(known, name))
      return unknown(key, name, known);
    for (const auto& device : found)
      if (device.type == "cpu" && (device.name == name || device.type == name))
        return fail("configuration", key + " names `" + name + "`: " + of_cpu);
  }
  return {};
}

} // namespace

bool offer::leaves_out(const std::string& engine_or_kind) const { return contains(engines_disabled, engine_or_kind); }

result<std::vector<probed_device>> offered_devices(std::vector<probed_device> found, const offer& wanted) {
  auto known = names_of(found);
  for (const auto& name : wanted.devices_disabled)
    if (!contains(known, name))
      return unknown("devices.disabled", name, known);
  if (auto right = check_amounts("devices.slots", wanted.slots, found, "the CPU's slots are node.slots"); !right)
    return right.error();
  if (auto right = check_amounts("devices.vram_reserved_mib", wanted.vram_reserved_mib, found,
                                 "the CPU's memory is not counted");
      !right)
    return right.error();
  std::erase_if(found, [&](const auto& device) {
    return contains(wanted.devices_disabled, device.name) || contains(wanted.devices_disabled, device.type);
  });
  if (found.empty())
    return fail("configuration", "devices.disabled leaves this node no device; without a node of its own a machine "
                                 "needs none: node.local = false");
  for (auto& device : found) {
    device.slots = said_of(device, wanted.slots).value_or(device.slots);
    auto reserved = said_of(device, wanted.vram_reserved_mib).value_or(0);
    if (reserved > 0 && reserved >= device.vram_mib)
      return fail("configuration", "devices.vram_reserved_mib keeps " + std::to_string(reserved) + " MiB of " +
                                       device.name + ", which has " + std::to_string(device.vram_mib));
    device.vram_mib -= reserved;
  }
  return found;
}

result<void> check_engines(const std::vector<engines::description>& found, const offer& wanted) {
  std::vector<std::string> known;
  for (const auto& engine : found)
    known.push_back(engine.name);
  for (const auto& engine : found)
    for (const auto& operation : engine.operations)
      known.push_back(operation.kind);
  for (const auto& name : wanted.engines_disabled)
    if (!contains(known, name))
      return unknown("engines.disabled", name, known);
  return {};
}

} // namespace troupe::node

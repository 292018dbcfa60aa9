#pragma once

// What may be said to a device: by jobs (run, stop) and by the cluster (its node came, went, said something).

#include "actors/job/job_messages.hpp"

namespace troupe {

/// From a job, by way of the cluster: run this attempt.
struct run_stage {
  std::string device; // node/device
  wire::assign what;
  std::uint64_t session = 0; // in which the scheduler placed it
};
template <class Inspector>
bool inspect(Inspector& f, run_stage& x) {
  auto get = [&x] { return wire::encode(wire::to_node{x.what}); };
  auto set = [&x](const std::string& frame) {
    auto read = wire::decode_to_node(frame);
    auto assign = read ? std::get_if<wire::assign>(&*read) : nullptr;
    if (assign != nullptr)
      x.what = std::move(*assign);
    return assign != nullptr;
  };
  return f.object(x).fields(f.field("device", x.device), f.field("what", get, set), f.field("session", x.session));
}

/// From the scheduler, by way of the cluster: break this attempt off.
struct stop_stage {
  std::string device, job;
  std::uint32_t stage = 0;
  std::uint64_t attempt = 0;
};
TROUPE_MESSAGE(stop_stage, device, job, stage, attempt)

/// From the cluster: the node said this of an attempt on the device. Answered when its job has dealt with it.
struct device_report {
  wire::from_node what; // finished, failed
};
template <class Inspector>
bool inspect(Inspector& f, device_report& x) {
  auto get = [&x] { return wire::encode(x.what); };
  auto set = [&x](const std::string& frame) {
    auto read = wire::decode_from_node(frame);
    if (read)
      x.what = std::move(*read);
    return read.has_value();
  };
  return f.object(x).fields(f.field("what", get, set));
}

/// An attempt that a node spoke of when it connected.
struct known_attempt {
  std::string job;
  std::uint32_t stage = 0;
  std::uint64_t attempt = 0;
  bool ended = false; // its report follows
};
TROUPE_MESSAGE(known_attempt, job, stage, attempt, ended)

/// From the cluster: the node is connected, by this connection, and knows of these attempts on the device.
struct device_connected {
  std::string connection;
  std::vector<known_attempt> attempts;
  std::uint64_t session = 0, hello = 0; // as the scheduler is told in device_joined
};
TROUPE_MESSAGE(device_connected, connection, attempts, session, hello)

/// From the cluster: the node is lost; or, with `gone`, it has no such device any more, and this actor leaves.
struct device_lost {
  std::string reason;
  bool gone = false;
};
TROUPE_MESSAGE(device_lost, reason, gone)

/// From a job that was made again from disk: does this attempt still run at the device? Answered by {"runs": true},
/// {"runs": false}, or {} when the node has not come back (yet).
struct attempt_asked {
  std::string device, job;
  std::uint32_t stage = 0;
  std::uint64_t attempt = 0;
};
TROUPE_MESSAGE(attempt_asked, device, job, stage, attempt)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_device, caf::id_block::troupe_job::end)
CAF_ADD_TYPE_ID(troupe_device, (troupe::run_stage))
CAF_ADD_TYPE_ID(troupe_device, (troupe::stop_stage))
CAF_ADD_TYPE_ID(troupe_device, (troupe::device_report))
CAF_ADD_TYPE_ID(troupe_device, (troupe::known_attempt))
CAF_ADD_TYPE_ID(troupe_device, (troupe::device_connected))
CAF_ADD_TYPE_ID(troupe_device, (troupe::device_lost))
CAF_ADD_TYPE_ID(troupe_device, (troupe::attempt_asked))
CAF_END_TYPE_ID_BLOCK(troupe_device)

#pragma once

// The machines of the cluster, for admins: who may join, and what gets work.

#include "actors/cluster/node_registry.hpp"
#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"

namespace troupe::http::admin {

struct node_body {
  std::string name;
  std::vector<std::string> heads;
};
struct rotate_body {
  std::vector<std::string> heads;
};
struct node_state_body {
  std::string state;
};
struct device_state_body {
  std::string state;
};
template <class V>
void describe(V& v, node_body& x) {
  v.required("name", x.name, "a-z, 0-9, '-' and '_'; it begins with a letter or digit",
             {.length_min = 1, .length_max = 63});
  v.optional("heads", x.heads, "where it dials, e.g. tcp://10.0.0.1:7707; without them cluster.advertise",
             {.length_max = 255, .items_max = 8});
}
template <class V>
void describe(V& v, rotate_body& x) {
  v.optional("heads", x.heads, "where it dials; without them cluster.advertise", {.length_max = 255, .items_max = 8});
}
template <class V>
void describe(V& v, node_state_body& x) {
  v.required("state", x.state, "draining: what runs ends, nothing new begins", {.one_of = {enabled, draining}});
}
template <class V>
void describe(V& v, device_state_body& x) {
  v.required(
      "state", x.state,
      "draining: what runs ends, nothing new begins; quarantined: the same, for one that is not trusted; enabled "
      "also ends a quarantine after failures",
      {.one_of = {enabled, draining, quarantined}});
}

/// The endpoints of nodes and devices, declared. `h` must outlive them.
std::vector<endpoint> node_endpoints(const head& h);

} // namespace troupe::http::admin

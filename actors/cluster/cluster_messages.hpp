#pragma once

// What may be said to the cluster: by the link (what nodes say), and by the admin API.

#include "actors/cluster/node_registry.hpp"
#include "actors/device/device_messages.hpp"
#include "actors/ledger/ledger_messages.hpp"

namespace troupe {

/// From the link's thread: an authenticated node said this.
struct node_said {
  std::string connection, public_key;
  wire::from_node what;
  std::uint64_t bytes = 0; // of its frame: what the link is told when all that comes of this is done
};
template <class Inspector>
bool inspect(Inspector& f, node_said& x) {
  auto get = [&x] { return wire::encode(x.what); };
  auto set = [&x](const std::string& frame) {
    auto read = wire::decode_from_node(frame);
    if (read)
      x.what = std::move(*read);
    return read.has_value();
  };
  return f.object(x).fields(f.field("connection", x.connection), f.field("public_key", x.public_key),
                            f.field("what", get, set), f.field("bytes", x.bytes));
}

/// From the link's thread: a connection is closed.
struct connection_closed {
  std::string connection, public_key, reason;
};
TROUPE_MESSAGE(connection_closed, connection, public_key, reason)

/// From the link's thread: a node says fields that this head does not know.
struct unknown_fields_said {
  std::string connection, fields;
};
TROUPE_MESSAGE(unknown_fields_said, connection, fields)

/// All nodes with their engines; answered by {"nodes": […]}.
struct list_nodes {
  std::string why;
};
TROUPE_MESSAGE(list_nodes, why)
/// All devices with what runs on them; answered by {"devices": […]}.
struct list_devices {
  std::string why;
};
TROUPE_MESSAGE(list_devices, why)

/// A node may join with this key. `again`: it is there, and has another key from now on; who has the earlier one is cut
/// off. Answered when it is durable. Refused: exists, not_found (with `again`), conflict (the local node).
struct allow_node {
  std::string name, public_key;
  bool again = false;
  timestamp at = 0;
  std::vector<storage::row> rows; // written with it
};
TROUPE_MESSAGE(allow_node, name, public_key, again, at, rows)
/// A node is no more: it is cut off, and what it ran runs elsewhere. Refused: not_found, conflict (the local node).
struct remove_node {
  std::string name;
  std::vector<storage::row> rows;
};
TROUPE_MESSAGE(remove_node, name, rows)
/// The operator's word on a device, or with an empty one on the whole node. Refused: not_found.
struct set_state {
  std::string node, device, state;
  std::vector<storage::row> rows;
};
TROUPE_MESSAGE(set_state, node, device, state, rows)

/// From the journal: what was asked under this ticket is durable, or is not.
struct cluster_written {
  std::uint64_t ticket = 0;
  bool ok = false;
};
TROUPE_MESSAGE(cluster_written, ticket, ok)

struct cluster_tick {
  timestamp at = 0;
};
TROUPE_MESSAGE(cluster_tick, at)

} // namespace troupe

CAF_BEGIN_TYPE_ID_BLOCK(troupe_cluster, caf::id_block::troupe_device::end)
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::node_said))
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::connection_closed))
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::list_nodes))
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::list_devices))
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::cluster_tick))
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::allow_node))
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::remove_node))
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::set_state))
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::cluster_written))
CAF_ADD_TYPE_ID(troupe_cluster, (troupe::unknown_fields_said))
CAF_END_TYPE_ID_BLOCK(troupe_cluster)

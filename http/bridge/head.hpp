#pragma once

// What the handlers work with. Made by app/, lives as long as the server.

#include "actors/account/admin_roll.hpp"
#include "actors/base/board.hpp"
#include "actors/cluster/capabilities.hpp"
#include "common/catalog/tiers.hpp"
#include "http/bridge/feed_hub.hpp"
#include "http/bridge/gateway.hpp"
#include "http/bridge/mail.hpp"
#include "http/bridge/passwords.hpp"
#include "http/bridge/portraits.hpp"
#include "http/bridge/secrets.hpp"
#include "storage/blobs.hpp"
#include "storage/database.hpp"
#include "workflows/definition_store.hpp"

#include <filesystem>

namespace troupe::http {

/// What a machine must know of this head to join it.
struct join_info {
  std::string public_key;             // CURVE, Z85
  std::vector<std::string> endpoints; // where nodes dial; none: nobody said where
};

struct head {
  gateway& actors;
  storage::database& database;
  storage::blob_store& blobs;
  workflow::definition_store& workflows;
  std::filesystem::path workflow_folder;
  capabilities& offered;
  actor_board& board;
  const admin_roll& admins;
  feed_hub& feeds;
  passwords& hashing;
  const secrets& keys;
  mailer& mails;
  portraits& pictures;
  catalog::tier_table tiers;
  bool stand_ins_allowed = true;
  std::int64_t session_ms = 30ll * 24 * 3600 * 1000; // after its last use
  std::int64_t session_refresh_ms = 3'600'000;       // a use is written no more often
  std::string public_url = {};                       // "https://studio.example.org"; in mails
  join_info joining = {};
};

} // namespace troupe::http

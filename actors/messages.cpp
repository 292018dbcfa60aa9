#include "actors/messages.hpp"

namespace troupe {

void register_loader_messages(); // directory_actor.cpp: a type of its own that never leaves it

void register_messages() {
  caf::core::init_global_meta_objects();
  caf::init_global_meta_objects<caf::id_block::troupe_base>();
  caf::init_global_meta_objects<caf::id_block::troupe_ledger>();
  caf::init_global_meta_objects<caf::id_block::troupe_account>();
  caf::init_global_meta_objects<caf::id_block::troupe_subscription>();
  caf::init_global_meta_objects<caf::id_block::troupe_directory>();
  caf::init_global_meta_objects<caf::id_block::troupe_scheduler>();
  caf::init_global_meta_objects<caf::id_block::troupe_job>();
  caf::init_global_meta_objects<caf::id_block::troupe_device>();
  caf::init_global_meta_objects<caf::id_block::troupe_cluster>();
  register_loader_messages();
}

} // namespace troupe

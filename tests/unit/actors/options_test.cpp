#include "app/head_actors.hpp"

#include <gtest/gtest.h>

#include <string>

namespace troupe::app {
namespace {

TEST(options, each_key_of_the_scheduler_reaches_it_and_its_default_is_the_schedulers_own) {
  const scheduling::limits own = options_of(configuration{}).scheduler;
  EXPECT_EQ(own, scheduling::limits{}) << "cluster.conf and scheduler_events.hpp say different defaults";
  int keys = 0;
  for (const auto& key : configuration_keys()) {
    if (!std::string{key.path}.starts_with("scheduler."))
      continue;
    configuration changed;
    auto* value = std::get<std::int64_t*>(key.slot(changed));
    *value = *value == key.most ? key.least : key.most;
    EXPECT_NE(options_of(changed).scheduler, own) << key.path << " is read by nobody";
    ++keys;
  }
  EXPECT_GT(keys, 0);
}

} // namespace
} // namespace troupe::app

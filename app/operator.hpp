#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace troupe::app {

/// `troupe admin node …` and `troupe admin device …`: what is asked of a running head.
struct operator_options {
  std::string url = "http://127.0.0.1:8080";
  std::string key_file;            // a file with an admin's API key; empty: the variable TROUPE_API_KEY
  std::string name;                // of a node, or node/device
  std::vector<std::string> heads;  // what a node is to dial
  bool as_json = false;            // print what the head answered
  bool wait = false;               // of a drain: until nothing runs there
  std::int64_t wait_max_s = 3'600; // for so long
};

int add_node(const operator_options& options);
int rotate_node(const operator_options& options);
int remove_node(const operator_options& options);
int list_nodes(const operator_options& options);
/// `state`: enabled or draining.
int set_node(const operator_options& options, const std::string& state);
int list_devices(const operator_options& options);
/// `state`: enabled, draining or quarantined.
int set_device(const operator_options& options, const std::string& state);

} // namespace troupe::app

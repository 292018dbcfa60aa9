#pragma once

#include <map>
#include <string>
#include <vector>

namespace troupe::app {

/// `troupe serve` and what else reads cluster.conf.
struct serve_options {
  std::string config;                           // path; empty: defaults and environment only
  std::map<std::string, std::string> overrides; // "http.listen" → "127.0.0.1:8080": the command line wins
  std::string program;                          // path of this binary, for the local node
};
int serve(const serve_options& options);

/// `troupe node`. Slots, cache, devices, engines and log level are in the configuration.
struct node_options {
  serve_options where;
  std::vector<std::string> heads; // endpoints
  std::string head_key;           // Z85
  std::string key_file;           // the node's own pair
  std::string join_file;          // a token of `troupe admin node add`: instead of heads, head_key, key_file and name
  std::string folder, name = "local";
  unsigned exit_when_orphaned_ms = 0;
  int wait_for_folder =
      0; // while another node works in the folder, wait for its end, or for that of this process, the parent
};
int run_node(const node_options& options);

/// `troupe admin create`: reads the password from standard input, on a data directory that no head has open.
struct admin_create_options {
  serve_options where;
  std::string username;
};
int create_admin(const admin_create_options& options);

} // namespace troupe::app

#pragma once

namespace troupe {

/// What the program's exit status means; from sysexits.h where that has a word for it.
enum exit_code : int {
  exit_ok = 0,
  exit_failure = 1,        // the work was tried and did not succeed
  exit_usage = 64,         // the command line is wrong
  exit_unavailable = 69,   // what is needed is not there: a head, a node, a file, an address to listen on
  exit_internal = 70,      // a bug
  exit_temporary = 75,     // try again: the data directory is locked
  exit_configuration = 78, // cluster.conf, an environment variable or an override is wrong
};

} // namespace troupe

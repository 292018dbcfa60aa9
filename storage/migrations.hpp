#pragma once

#include "common/result.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace rocksdb {
class WriteBatch;
}

namespace troupe::storage {

class store;

/// One step from schema `to - 1` to `to`. It reads the store and adds to `changes` what is to be written, which becomes
/// durable in the same instant as the new schema number. A step whose changes do not fit in memory may write to the
/// store before, if it can be run again.
struct migration {
  std::uint32_t to = 0;
  std::string what; // for the log: "index jobs by model"
  std::function<result<void>(const store& from, rocksdb::WriteBatch& changes)> run;
};

/// The steps of this binary, in order, without gaps, up to `schema_version`.
std::vector<migration> migrations();

/// Brings a store to schema `wanted`; a new store just gets the number. Errors: `newer` (the store's schema is above
/// `wanted`), `no_migration` (a step is missing), what a step answers, `io`.
result<void> migrate(const store& what, const std::vector<migration>& steps, std::uint32_t wanted);

} // namespace troupe::storage

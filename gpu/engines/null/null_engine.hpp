#pragma once

// The engine that makes nothing: for benchmarks of everything around an engine, and for tests of what a failing or slow
// one does to it.

#include "gpu/engines/engine.hpp"

namespace troupe::engines {

/// null.work: waits `ms`, then fails as `fail` says (on attempts up to `fail_attempts`), or writes `bytes` bytes that
/// depend on `seed` alone.
engine_ptr make_null_engine();

} // namespace troupe::engines

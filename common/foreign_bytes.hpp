#pragma once

#include <string_view>

#ifdef __SANITIZE_THREAD__
#include <string>
extern "C" void AnnotateIgnoreReadsBegin(const char* file, int line);
extern "C" void AnnotateIgnoreReadsEnd(const char* file, int line);
#endif

namespace troupe {

/// Memory that a library (ZeroMQ, RocksDB) filled on a thread of its own and lends to us: `view()` is good while both
/// it and this live. Debian's builds are not compiled for the thread sanitizer, which does not see the atomics that
/// order them: it takes each byte that we read for a race, and needs 0.1 ms to find that it is suppressed, or no longer
/// knows who wrote it and reports it. There, and only there, this is a copy that was made unseen.
class foreign_bytes {
public:
#ifdef __SANITIZE_THREAD__
  explicit foreign_bytes(std::string_view lent) {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    copy_.assign(lent);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  std::string_view view() const { return copy_; }

private:
  std::string copy_;
#else
  explicit foreign_bytes(std::string_view lent) : lent_(lent) {}
  std::string_view view() const { return lent_; }

private:
  std::string_view lent_;
#endif
};

} // namespace troupe

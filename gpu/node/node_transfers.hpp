#pragma once

// A node's side of artifact transfers: slot threads call and wait, the link's thread delivers. Transfers survive a lost
// connection: they go on where they were when the head is back. One transfer to a hash at a time, and as many uploads
// as the head keeps open for a node; who else wants one waits.

#include "gpu/node/artifact_cache.hpp"
#include "gpu/wire/messages.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

namespace troupe::node {

struct transfer_times {
  std::uint32_t credit = 8;           // chunks asked for at once
  std::int64_t stalled_ms = 60'000;   // a head that is there but answers nothing for so long fails the transfer
  std::int64_t full_ms = 120'000;     // how long to wait for space on the head
  std::int64_t full_retry_ms = 1'000; // and how often to ask
};

class node_transfers {
public:
  using sender = std::function<bool(wire::from_node&&)>;
  using stopped = std::function<bool()>;

  node_transfers(artifact_cache& cache, sender send, transfer_times times = {});

  /// The file of an artifact, from the cache or the head. Errors: `missing`, `corrupt` (the head's copy does not have
  /// this hash), `stopped`, `stalled`, `full` and `io` (this node's disk).
  result<artifact_cache::pin> fetch(const wire::artifact& what, const stopped& stop);
  /// Brings a file to the head; returns when it is kept there. Errors: `stopped`, `stalled`, `full` (the head's disk),
  /// `io` (either's), `mismatch` (the file changed).
  result<void> put(const std::string& sha256, const std::filesystem::path& file, const stopped& stop);

  // From the link's thread.
  void on_chunk(wire::chunk&& piece);
  void on_put_ready(wire::put_ready&& ready);
  void on_connected();
  void on_lost();
  /// Wakes those that wait, to ask their `stop`.
  void wake() { changed_.notify_all(); }

private:
  struct inbox {
    std::deque<wire::chunk> chunks;
    std::deque<wire::put_ready> answers;
  };
  class turn; // holds the exclusive right to a hash, for an upload also one of the head's places

  enum class step { done, again };
  struct download;
  result<step> fetch_batch(download& to, const stopped& stop);
  result<bool> take_chunk(download& to, const wire::chunk& piece);
  result<step> put_batch(const std::string& sha256, std::istream& file, std::uint64_t bytes, const stopped& stop);
  /// Waits for `ready`, until the connection is another than `connection`. False: the connection changed.
  result<bool> wait(std::unique_lock<std::mutex>& lock, std::uint64_t connection, const std::function<bool()>& ready,
                    const stopped& stop);
  step pause();
  result<std::uint64_t> wait_connected(const stopped& stop);

  artifact_cache& cache_;
  sender send_;
  transfer_times times_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t connection_ = 0; // rises with each
  bool connected_ = false;
  std::unordered_map<std::string, inbox> inboxes_;
  std::set<std::string> busy_;
  std::size_t uploads_ = 0; // in progress
};

} // namespace troupe::node

#pragma once

// The head's side of artifact transfers: reads and writes blobs on a thread of its own, in turns between peers, so that
// neither the socket nor another peer waits for a disk. Owned by head_link; takes requests from the socket's thread
// only.
//
// An upload belongs to a node, not to its connection: when that is lost it is kept, within limits, and the node goes on
// with it on the next one. What nothing comes for is forgotten after a while, whether its connection stands or not.

#include "gpu/link/head_link.hpp"
#include "gpu/wire/messages.hpp"
#include "storage/blobs.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <variant>

namespace troupe::link {

struct transfer_limits {
  std::size_t waiting_max = 256;               // requests of one peer
  std::size_t waiting_bytes_max = 64 << 20;    // chunks of one peer
  std::size_t uploads_max = wire::uploads_max; // the one longest unused gives way
  std::uint32_t upload_credit = 8;             // chunks before the next put_ready,
  std::size_t upload_credits_max = 512;        // less when all uploads together would have more; one at least
  std::size_t node_in_flight_max = 8 << 20;    // bytes that a node's lines have not taken: it waits from there on,
  std::size_t in_flight_max = 128 << 20;       // and with so many for all nodes until it has taken its own
  std::size_t verified_max = 200'000;          // hashes remembered as checked
  std::size_t begun_max = 10'000;              // hashes remembered as fetched by one peer
  std::int64_t kept_ms = 600'000;              // for so long an upload is kept while nothing comes for it;
  std::size_t kept_max = 64;                   // so many outlive their connections, the longest unused give way,
  std::uint64_t kept_bytes_max = 8ull << 30;   // and so much of the disk is theirs
};

class head_transfers {
public:
  using request = std::variant<wire::fetch, wire::put, wire::put_chunk>;
  struct callbacks {
    /// `in_flight` is to be kept until the line has taken the message. On the transfer thread, as are all of these.
    std::function<void(const std::string& connection, wire::to_node&&, std::shared_ptr<void> in_flight)> send;
    std::function<void(const std::string& sha256)> corrupt;
  };

  head_transfers(storage::blob_store& blobs, callbacks handler, transfer_limits limits = {});
  ~head_transfers();

  /// False when the peer asks for more at once than allowed.
  bool take(const peer& from, request what);
  /// The peer is gone: its waiting requests are dropped, its uploads are kept for its node.
  void drop(const std::string& connection);

private:
  struct upload {
    std::unique_ptr<storage::blob_writer> writer;
    std::uint64_t bytes = 0;
    std::uint32_t credit = 0; // left of what was granted
    std::uint64_t used = 0;   // when, in requests served
    std::int64_t used_ms = 0; // and in steady ms
    std::string connection{}; // that it came over last
    bool lost = false;        // that is
    bool offered = false;     // and no chunk taken since
    bool told = false;        // where to go on, after the last chunk that was taken
  };
  using upload_name = std::pair<std::string, std::string>; // the node's key, the hash
  using upload_map = std::map<upload_name, upload>;
  /// Bytes that were read for a node, or for all of them, and that no line has taken yet.
  using in_flight = std::shared_ptr<std::atomic<std::size_t>>;
  struct lane {
    std::string connection, node;
    in_flight to_node; // over all of its connections: one that is given up may hold what it was sent for some time
    std::deque<request> waiting;
    std::size_t waiting_bytes = 0;
    bool queued = false, gone = false;     // under mutex_, as are the above
    std::unordered_set<std::string> begun; // what was fetched from its beginning: the thread's own
  };
  using lane_ptr = std::shared_ptr<lane>;

  void run();
  bool has_room(const lane& of) const;
  void serve(const lane_ptr& from, request what);
  void serve(const lane_ptr& from, wire::fetch ask);
  void serve(const lane_ptr& from, wire::put offer);
  void serve(const lane_ptr& from, wire::put_chunk piece);
  void again(const lane_ptr& from, request what);
  result<void> open(const lane_ptr& from, const wire::put& offer);
  /// Says where to go on, and how far.
  void grant(const lane_ptr& from, const std::string& sha256, upload& own);
  void complete(const lane_ptr& from, upload_map::iterator whole);
  void refuse(const lane_ptr& from, const std::string& sha256, const failure& why);
  void make_room(const std::string& node);
  void use(upload& own, const lane& by);
  void keep_uploads(const lane& gone);
  /// Forgets what nothing came for in `kept_ms`, and of what is lost all that is more than `kept_max` or `bytes_max`.
  void sweep(std::uint64_t bytes_max);
  void answer(const lane_ptr& from, wire::put_ready ready) { send_(from, std::move(ready), 0); }
  void send_(const lane_ptr& to, wire::to_node message, std::size_t data_bytes);
  /// "" when the blob may be read, else the error for the chunk.
  std::string check(const std::string& sha256);
  bool is_whole(const std::string& sha256);
  void remember(const std::string& sha256);

  storage::blob_store& blobs_;
  callbacks handler_;
  transfer_limits limits_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::unordered_map<std::string, lane_ptr> lanes_;
  std::deque<lane_ptr> turns_;
  std::size_t without_room_ = 0;                       // turns in a row
  std::unordered_map<std::string, in_flight> to_node_; // by its key; keys are the operator's to give
  in_flight to_all_ = std::make_shared<std::atomic<std::size_t>>(0);
  std::unordered_set<std::string> verified_;
  std::uint64_t served_ = 0;
  upload_map uploads_; // the thread's own
  std::int64_t swept_at_ = 0;
  std::thread thread_;
};

} // namespace troupe::link

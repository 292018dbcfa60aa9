#include "gpu/link/head_transfers.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace troupe::link {

namespace {

constexpr std::int64_t sweep_ms = 1000;
constexpr std::int64_t look_for_room_ms = 5;
constexpr std::size_t answer_bytes = 256; // what a message takes beside its data

std::size_t weight(const head_transfers::request& what) {
  const auto* piece = std::get_if<wire::put_chunk>(&what);
  return piece ? piece->data.size() : 0;
}

std::string upload_error(const failure& why) {
  return why.code == "full" || why.code == "mismatch" ? why.code : std::string{"io"};
}

} // namespace

head_transfers::head_transfers(storage::blob_store& blobs, callbacks handler, transfer_limits limits)
  : blobs_(blobs), handler_(std::move(handler)), limits_(limits), thread_([this] { run(); }) {}

head_transfers::~head_transfers() {
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

bool head_transfers::take(const peer& from, request what) {
  {
    std::lock_guard guard(mutex_);
    auto& to = lanes_[from.connection];
    if (!to) {
      to = std::make_shared<lane>();
      to->connection = from.connection;
      to->node = from.public_key;
      auto& in_flight_to_node = to_node_[to->node];
      if (!in_flight_to_node)
        in_flight_to_node = std::make_shared<std::atomic<std::size_t>>(0);
      to->to_node = in_flight_to_node;
    }
    auto more = weight(what);
    if (to->waiting.size() >= limits_.waiting_max || to->waiting_bytes + more > limits_.waiting_bytes_max)
      return false;
    to->waiting.push_back(std::move(what));
    to->waiting_bytes += more;
    if (to->queued)
      return true;
    to->queued = true;
    turns_.push_back(to);
  }
  wake_.notify_one();
  return true;
}

void head_transfers::drop(const std::string& connection) {
  {
    std::lock_guard guard(mutex_);
    auto found = lanes_.find(connection);
    if (found == lanes_.end())
      return;
    auto gone = std::move(found->second);
    lanes_.erase(found);
    gone->gone = true;
    gone->waiting.clear();
    if (gone->queued)
      return;
    gone->queued = true;
    turns_.push_back(std::move(gone)); // the thread, which owns the uploads, is to know
  }
  wake_.notify_one();
}

void head_transfers::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (steady_ms() - swept_at_ >= std::min(sweep_ms, limits_.kept_ms)) {
      lock.unlock();
      sweep(limits_.kept_bytes_max);
      lock.lock();
    }
    if (without_room_ >= turns_.size()) { // nobody asks, or nobody takes
      without_room_ = 0;
      auto wait_ms = turns_.empty() ? std::min(sweep_ms, limits_.kept_ms) : look_for_room_ms;
      wake_.wait_for(lock, std::chrono::milliseconds(wait_ms));
      continue;
    }
    auto from = std::move(turns_.front());
    turns_.pop_front();
    if (!from->gone && !has_room(*from)) {
      turns_.push_back(std::move(from));
      ++without_room_;
      continue;
    }
    without_room_ = 0;
    from->queued = false;
    if (from->gone) {
      lock.unlock();
      keep_uploads(*from);
      lock.lock();
      continue;
    }
    auto what = std::move(from->waiting.front());
    from->waiting.pop_front();
    from->waiting_bytes -= weight(what);
    lock.unlock();
    try {
      serve(from, std::move(what));
    } catch (const std::exception& e) {
      log::error("a transfer with the node on {} failed: {}", from->connection, e.what());
    }
    lock.lock();
    if ((!from->waiting.empty() || from->gone) && !from->queued) {
      from->queued = true;
      turns_.push_back(std::move(from));
    }
  }
}

// Whatever others hold, a node that takes what it is sent is sent the next.
bool head_transfers::has_room(const lane& of) const {
  auto own = of.to_node->load();
  return own == 0 || (own < limits_.node_in_flight_max && *to_all_ < limits_.in_flight_max);
}

void head_transfers::send_(const lane_ptr& to, wire::to_node message, std::size_t data_bytes) {
  auto bytes = data_bytes + answer_bytes;
  *to->to_node += bytes;
  *to_all_ += bytes;
  std::shared_ptr<void> until_taken(nullptr, [node = to->to_node, all = to_all_, bytes](void*) {
    *node -= bytes;
    *all -= bytes;
  });
  handler_.send(to->connection, std::move(message), std::move(until_taken));
}

void head_transfers::serve(const lane_ptr& from, request what) {
  ++served_;
  std::visit([&](auto& x) { serve(from, std::move(x)); }, what);
}

// One chunk at a time, then the next peer's turn.
void head_transfers::serve(const lane_ptr& from, wire::fetch ask) {
  if (ask.offset == 0 && !from->begun.insert(ask.sha256).second)
    verified_.erase(ask.sha256); // asked for again: what arrived may have been broken, so look again
  if (from->begun.size() > limits_.begun_max)
    from->begun.clear();
  wire::chunk reply{ask.sha256, ask.offset, 0, {}, check(ask.sha256)};
  if (reply.error.empty()) {
    reply.total = blobs_.size(ask.sha256).value_or(0);
    auto bytes = blobs_.read(ask.sha256, ask.offset, wire::chunk_bytes);
    if (bytes)
      reply.data = std::move(*bytes);
    else
      reply.error = bytes.error().code == "missing" ? "missing" : "io";
  }
  bool more = reply.error.empty() && !reply.data.empty() && ask.offset + reply.data.size() < reply.total;
  auto bytes = reply.data.size();
  ask.offset += bytes;
  send_(from, std::move(reply), bytes);
  if (more && --ask.credit > 0)
    again(from, std::move(ask));
}

void head_transfers::again(const lane_ptr& from, request what) {
  std::lock_guard guard(mutex_);
  if (!from->gone)
    from->waiting.push_front(std::move(what));
}

// Quiet about corruption: a good copy is being offered. verify() has set the bad one aside.
bool head_transfers::is_whole(const std::string& sha256) {
  if (!verified_.contains(sha256) && !blobs_.verify(sha256))
    return false;
  remember(sha256);
  return true;
}

void head_transfers::remember(const std::string& sha256) {
  if (verified_.size() >= limits_.verified_max)
    verified_.clear();
  verified_.insert(sha256);
}

std::string head_transfers::check(const std::string& sha256) {
  if (verified_.contains(sha256))
    return blobs_.has(sha256) ? "" : "missing";
  auto good = blobs_.verify(sha256);
  if (good) {
    remember(sha256);
    return "";
  }
  if (good.error().code == "corrupt") {
    log::error("the artifact {} is corrupt; the stage that made it has to run again", sha256);
    if (handler_.corrupt)
      handler_.corrupt(sha256);
    return "corrupt";
  }
  return good.error().code == "missing" ? "missing" : "io";
}

void head_transfers::serve(const lane_ptr& from, wire::put offer) {
  if (blobs_.has(offer.sha256) && is_whole(offer.sha256)) {
    uploads_.erase({from->node, offer.sha256}); // another node was first
    return answer(from, {offer.sha256, offer.bytes, 0, true, ""});
  }
  auto found = uploads_.find({from->node, offer.sha256});
  if (found == uploads_.end() || found->second.bytes != offer.bytes) {
    if (auto opened = open(from, offer); !opened)
      return refuse(from, offer.sha256, opened.error());
    found = uploads_.find({from->node, offer.sha256});
  }
  auto& own = found->second;
  use(own, *from);
  own.offered = true;
  if (own.writer->size() == own.bytes)
    return complete(from, found);
  grant(from, offer.sha256, own);
  own.told = false; // a node that begins elsewhere all the same is told once more
}

// In the place of one of the same name.
result<void> head_transfers::open(const lane_ptr& from, const wire::put& offer) {
  uploads_.erase({from->node, offer.sha256});
  make_room(from->node);
  auto writer = blobs_.create();
  if (!writer)
    return writer.error();
  uploads_[{from->node, offer.sha256}] = {std::move(*writer), offer.bytes, limits_.upload_credit, served_};
  return {};
}

void head_transfers::serve(const lane_ptr& from, wire::put_chunk piece) {
  auto found = uploads_.find({from->node, piece.sha256});
  if (found == uploads_.end())
    return answer(from, {piece.sha256, 0, 0, false, "unknown"});
  if (piece.offset == 0 && found->second.offered && found->second.writer->size() > 0) {
    // This node does not go on from where it was told to, but begins anew.
    if (auto opened = open(from, {piece.sha256, found->second.bytes}); !opened)
      return refuse(from, piece.sha256, opened.error());
    found = uploads_.find({from->node, piece.sha256});
  }
  auto& own = found->second;
  use(own, *from);
  if (piece.offset != own.writer->size() || piece.data.empty()) {
    if (!own.told) // else what the last answer brings is on its way, and another answer would bring it again
      grant(from, piece.sha256, own);
    return;
  }
  bool fits = piece.data.size() <= own.bytes - own.writer->size();
  auto written = fits ? own.writer->write(piece.data) : result<void>(fail("mismatch", "longer than offered"));
  if (!written) {
    uploads_.erase(found);
    return refuse(from, piece.sha256, written.error());
  }
  own.offered = own.told = false;
  if (own.writer->size() == own.bytes)
    return complete(from, found);
  if (own.credit > 0 && --own.credit > 0)
    return;
  grant(from, piece.sha256, own);
}

void head_transfers::grant(const lane_ptr& from, const std::string& sha256, upload& own) {
  own.told = true;
  auto share = std::max<std::size_t>(limits_.upload_credits_max / uploads_.size(), 1);
  own.credit = static_cast<std::uint32_t>(std::min<std::size_t>(share, limits_.upload_credit));
  answer(from, {sha256, own.writer->size(), own.credit, false, ""});
}

void head_transfers::complete(const lane_ptr& from, upload_map::iterator whole) {
  const auto sha256 = whole->first.second;
  auto own = uploads_.extract(whole);
  auto kept = own.mapped().writer->commit(sha256);
  if (!kept)
    return refuse(from, sha256, kept.error());
  remember(sha256);
  answer(from, {sha256, own.mapped().bytes, 0, true, ""});
}

void head_transfers::refuse(const lane_ptr& from, const std::string& sha256, const failure& why) {
  if (why.code == "full")
    sweep(0); // what may never be gone on with gives way
  answer(from, {sha256, 0, 0, false, upload_error(why)});
}

void head_transfers::make_room(const std::string& node) {
  std::size_t open = 0;
  auto unused = uploads_.end();
  for (auto at = uploads_.lower_bound({node, {}}); at != uploads_.end() && at->first.first == node; ++at, ++open)
    if (unused == uploads_.end() || at->second.used < unused->second.used)
      unused = at;
  if (open >= limits_.uploads_max)
    uploads_.erase(unused);
}

void head_transfers::use(upload& own, const lane& by) {
  own.used = served_;
  own.used_ms = steady_ms();
  own.connection = by.connection;
  own.lost = false;
}

void head_transfers::keep_uploads(const lane& gone) {
  for (auto at = uploads_.lower_bound({gone.node, {}}); at != uploads_.end() && at->first.first == gone.node; ++at)
    if (at->second.connection == gone.connection)
      at->second.lost = true;
  sweep(limits_.kept_bytes_max);
}

void head_transfers::sweep(std::uint64_t bytes_max) {
  swept_at_ = steady_ms();
  std::erase_if(uploads_, [&](const auto& x) { return swept_at_ - x.second.used_ms > limits_.kept_ms; });
  std::vector<upload_map::iterator> lost;
  for (auto at = uploads_.begin(); at != uploads_.end(); ++at)
    if (at->second.lost)
      lost.push_back(at);
  std::sort(lost.begin(), lost.end(), [](const auto& a, const auto& b) { return a->second.used > b->second.used; });
  std::size_t count = 0;
  for (const auto& one : lost) {
    auto bytes = one->second.writer->size();
    if (count == limits_.kept_max || bytes > bytes_max) {
      uploads_.erase(one);
    } else {
      ++count;
      bytes_max -= bytes;
    }
  }
}

} // namespace troupe::link

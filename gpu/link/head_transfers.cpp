#include "gpu/link/head_transfers.hpp"

#include "common/log.hpp"

#include <algorithm>

namespace troupe::link {

namespace {

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

bool head_transfers::take(const std::string& connection, request what) {
  {
    std::lock_guard guard(mutex_);
    auto& to = lanes_[connection];
    if (!to) {
      to = std::make_shared<lane>();
      to->connection = connection;
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
    turns_.push_back(std::move(gone)); // so that its uploads are closed on the thread that owns them
  }
  wake_.notify_one();
}

void head_transfers::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (turns_.empty()) {
      wake_.wait(lock);
      continue;
    }
    auto from = std::move(turns_.front());
    turns_.pop_front();
    from->queued = false;
    if (from->gone || from->waiting.empty()) {
      lock.unlock();
      from.reset(); // may close uploads, which touches the disk
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
  ask.offset += reply.data.size();
  send_(from, std::move(reply));
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
  if (blobs_.has(offer.sha256) && is_whole(offer.sha256))
    return answer(from, {offer.sha256, offer.bytes, 0, true, ""});
  auto found = from->uploads.find(offer.sha256);
  if (found == from->uploads.end() || found->second.bytes != offer.bytes) {
    if (found != from->uploads.end())
      from->uploads.erase(found);
    if (from->uploads.size() >= limits_.uploads_max)
      from->uploads.erase(std::min_element(from->uploads.begin(), from->uploads.end(),
                                           [](const auto& a, const auto& b) { return a.second.used < b.second.used; }));
    auto writer = blobs_.create();
    if (!writer)
      return answer(from, {offer.sha256, 0, 0, false, upload_error(writer.error())});
    found = from->uploads.emplace(offer.sha256, upload{std::move(*writer), offer.bytes, 0, served_}).first;
  }
  auto& open = found->second;
  open.used = served_;
  open.credit = limits_.upload_credit;
  if (open.writer->size() == open.bytes)
    return complete(from, offer.sha256);
  answer(from, {offer.sha256, open.writer->size(), open.credit, false, ""});
}

void head_transfers::serve(const lane_ptr& from, wire::put_chunk piece) {
  auto found = from->uploads.find(piece.sha256);
  if (found == from->uploads.end())
    return answer(from, {piece.sha256, 0, 0, false, "unknown"});
  auto& open = found->second;
  open.used = served_;
  if (piece.offset != open.writer->size() || piece.data.empty()) {
    open.credit = limits_.upload_credit;
    return answer(from, {piece.sha256, open.writer->size(), open.credit, false, ""});
  }
  bool fits = piece.data.size() <= open.bytes - open.writer->size();
  auto written = fits ? open.writer->write(piece.data) : result<void>(fail("mismatch", "longer than offered"));
  if (!written) {
    from->uploads.erase(found);
    return answer(from, {piece.sha256, 0, 0, false, upload_error(written.error())});
  }
  if (open.writer->size() == open.bytes)
    return complete(from, piece.sha256);
  if (open.credit > 0 && --open.credit > 0)
    return;
  open.credit = limits_.upload_credit;
  answer(from, {piece.sha256, open.writer->size(), open.credit, false, ""});
}

void head_transfers::complete(const lane_ptr& from, const std::string& sha256) {
  auto open = from->uploads.extract(sha256);
  auto bytes = open.mapped().bytes;
  auto kept = open.mapped().writer->commit(sha256);
  if (!kept)
    return answer(from, {sha256, 0, 0, false, upload_error(kept.error())});
  remember(sha256);
  answer(from, {sha256, bytes, 0, true, ""});
}

} // namespace troupe::link

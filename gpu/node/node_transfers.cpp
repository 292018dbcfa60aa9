#include "gpu/node/node_transfers.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"
#include "common/sha256.hpp"

#include <cerrno>
#include <chrono>
#include <fstream>

namespace troupe::node {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t small_bytes = 8 * wire::chunk_bytes; // brought with one credit, so soon done
constexpr auto look_again = std::chrono::milliseconds(100);

failure write_failure() {
  return errno == ENOSPC ? fail("full", "the node's disk is full") : fail("io", "the node cannot write to its disk");
}

} // namespace

class node_transfers::turn {
public:
  turn(node_transfers& of, std::string sha256) : of_(of), sha256_(std::move(sha256)) {}
  ~turn() {
    if (!mine_)
      return;
    std::lock_guard guard(of_.mutex_);
    of_.busy_.erase(sha256_);
    of_.inboxes_.erase(sha256_);
    if (placed_)
      --of_.uploads_;
    of_.changed_.notify_all();
  }
  turn(const turn&) = delete;
  turn& operator=(const turn&) = delete;

  result<void> take(const stopped& stop) {
    std::unique_lock lock(of_.mutex_);
    auto free = wait(
        lock, [&] { return !of_.busy_.contains(sha256_); }, stop);
    if (!free)
      return free;
    of_.busy_.insert(sha256_);
    of_.inboxes_[sha256_];
    mine_ = true;
    return {};
  }
  /// After take(). The head would drop another upload for one more than it keeps open. One place is left for what is
  /// small, which would wait long for large files.
  result<void> take_place(std::uint64_t bytes, const stopped& stop) {
    auto places = wire::uploads_max - (bytes > small_bytes ? 1 : 0);
    std::unique_lock lock(of_.mutex_);
    auto free = wait(
        lock, [&] { return of_.uploads_ < places; }, stop);
    if (!free)
      return free;
    ++of_.uploads_;
    placed_ = true;
    return {};
  }

private:
  result<void> wait(std::unique_lock<std::mutex>& lock, const std::function<bool()>& free, const stopped& stop) {
    while (!free()) {
      if (stop())
        return fail("stopped", "stopped");
      of_.changed_.wait_for(lock, look_again);
    }
    return {};
  }

  node_transfers& of_;
  std::string sha256_;
  bool mine_ = false, placed_ = false;
};

// A fetch that collects its bytes in a file, hashing them as they come.
struct node_transfers::download {
  const wire::artifact& what;
  fs::path file;
  std::ofstream out;
  sha256 hash;
  std::uint64_t offset = 0;

  /// Takes over what an earlier attempt left, unless told not to.
  result<void> begin(bool resume) {
    std::error_code ignored;
    if (!resume)
      fs::remove(file, ignored);
    hash = sha256();
    offset = 0;
    out.close();
    out.clear();
    std::ifstream in(file, std::ios::binary);
    std::string buffer(1 << 16, '\0');
    while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
      hash.update({buffer.data(), static_cast<std::size_t>(in.gcount())});
      offset += static_cast<std::uint64_t>(in.gcount());
    }
    if (offset > what.bytes)
      return begin(false);
    out.open(file, std::ios::binary | std::ios::app);
    return out ? result<void>{} : write_failure();
  }
};

node_transfers::node_transfers(artifact_cache& cache, sender send, transfer_times times)
  : cache_(cache), send_(std::move(send)), times_(times) {}

result<artifact_cache::pin> node_transfers::fetch(const wire::artifact& what, const stopped& stop) {
  turn mine(*this, what.sha256);
  if (auto got = mine.take(stop); !got)
    return got.error();
  if (auto here = cache_.find(what.sha256))
    return std::move(*here);
  cache_.prune_partials();
  download to{what, cache_.partial(what.sha256), {}, {}, 0};
  for (bool fresh : {false, true}) {
    if (auto begun = to.begin(!fresh); !begun)
      return begun.error();
    while (to.offset < what.bytes)
      if (auto batch = fetch_batch(to, stop); !batch)
        return batch.error();
    to.out.close();
    if (!to.out)
      return write_failure();
    if (to.hash.finish() == what.sha256)
      return cache_.adopt(to.file, what.sha256);
    log::warn("the artifact {} arrived broken{}", what.sha256, fresh ? " twice" : "; fetching it anew");
  }
  std::error_code ignored;
  fs::remove(to.file, ignored);
  return fail("corrupt", "an input arrived with another content than its name says");
}

result<node_transfers::step> node_transfers::fetch_batch(download& to, const stopped& stop) {
  auto connection = wait_connected(stop);
  if (!connection)
    return connection.error();
  const auto& name = to.what.sha256;
  {
    std::lock_guard guard(mutex_);
    inboxes_[name].chunks.clear();
  }
  if (!send_(wire::fetch{name, to.offset, times_.credit}))
    return pause();
  for (std::uint32_t left = times_.credit; left > 0 && to.offset < to.what.bytes;) {
    wire::chunk piece;
    {
      std::unique_lock lock(mutex_);
      auto came = wait(
          lock, *connection, [&] { return !inboxes_[name].chunks.empty(); }, stop);
      if (!came)
        return came.error();
      if (!*came)
        return step::again;
      piece = std::move(inboxes_[name].chunks.front());
      inboxes_[name].chunks.pop_front();
    }
    auto taken = take_chunk(to, piece);
    if (!taken)
      return taken.error();
    left -= *taken ? 1 : 0;
  }
  return step::again;
}

// False for one that was asked for before the download began anew.
result<bool> node_transfers::take_chunk(download& to, const wire::chunk& piece) {
  if (piece.error == "missing")
    return fail("missing", "an input is no longer on the head");
  if (piece.error == "corrupt")
    return fail("corrupt", "an input is corrupt on the head");
  if (!piece.error.empty())
    return fail("stalled", "the head cannot read an input (" + piece.error + ")");
  if (piece.offset != to.offset)
    return false;
  if (piece.total != to.what.bytes || piece.data.empty() || piece.data.size() > to.what.bytes - to.offset)
    return fail("corrupt", "an input on the head has another length than the stage that made it said");
  to.out.write(piece.data.data(), static_cast<std::streamsize>(piece.data.size()));
  if (!to.out)
    return write_failure();
  to.hash.update(piece.data);
  to.offset += piece.data.size();
  return true;
}

result<void> node_transfers::put(const std::string& sha256, const fs::path& file, const stopped& stop) {
  turn mine(*this, sha256);
  if (auto got = mine.take(stop); !got)
    return got.error();
  std::error_code error;
  auto bytes = fs::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  if (error || !in)
    return fail("io", "an output cannot be read back");
  if (auto place = mine.take_place(bytes, stop); !place)
    return place.error();
  for (auto give_up = steady_ms() + times_.full_ms;;) {
    auto batch = put_batch(sha256, in, bytes, stop);
    if (batch && *batch == step::done)
      return {};
    if (batch)
      continue;
    bool later = batch.error().code == "full" && steady_ms() < give_up;
    if (!later)
      return batch.error();
    std::unique_lock lock(mutex_);
    for (auto until = steady_ms() + times_.full_retry_ms; steady_ms() < until && !stop();)
      changed_.wait_for(lock, look_again);
  }
}

result<node_transfers::step> node_transfers::put_batch(const std::string& sha256, std::istream& file,
                                                       std::uint64_t bytes, const stopped& stop) {
  auto connection = wait_connected(stop);
  if (!connection)
    return connection.error();
  {
    std::lock_guard guard(mutex_);
    inboxes_[sha256].answers.clear();
  }
  if (!send_(wire::put{sha256, bytes}))
    return pause();
  for (bool accepted = false;;) {
    wire::put_ready ready;
    {
      std::unique_lock lock(mutex_);
      auto came = wait(
          lock, *connection, [&] { return !inboxes_[sha256].answers.empty(); }, stop);
      if (!came)
        return came.error();
      if (!*came)
        return step::again;
      ready = std::move(inboxes_[sha256].answers.front());
      inboxes_[sha256].answers.pop_front();
    }
    if (ready.done)
      return step::done;
    if (ready.error == "unknown" && !accepted)
      continue; // said of chunks that were on their way before the offer
    if (ready.error == "unknown")
      return step::again;
    if (!ready.error.empty())
      return fail(ready.error, ready.error == "full" ? "the head has no space for an output"
                                                     : "the head cannot keep an output (" + ready.error + ")");
    accepted = true;
    auto at = ready.offset;
    for (std::uint32_t left = ready.credit; left > 0 && at < bytes; --left) {
      std::string data(static_cast<std::size_t>(std::min<std::uint64_t>(wire::chunk_bytes, bytes - at)), '\0');
      file.clear();
      file.seekg(static_cast<std::streamoff>(at));
      if (!file.read(data.data(), static_cast<std::streamsize>(data.size())))
        return fail("io", "an output cannot be read back");
      auto length = data.size();
      if (!send_(wire::put_chunk{sha256, at, std::move(data)}))
        return pause();
      at += length;
    }
  }
}

result<bool> node_transfers::wait(std::unique_lock<std::mutex>& lock, std::uint64_t connection,
                                  const std::function<bool()>& ready, const stopped& stop) {
  for (auto give_up = steady_ms() + times_.stalled_ms; steady_ms() < give_up;) {
    if (stop())
      return fail("stopped", "stopped");
    if (!connected_ || connection_ != connection)
      return false;
    if (ready())
      return true;
    changed_.wait_for(lock, look_again);
  }
  return fail("stalled", "the head does not answer a transfer");
}

result<std::uint64_t> node_transfers::wait_connected(const stopped& stop) {
  std::unique_lock lock(mutex_);
  for (bool first = true;; first = false) {
    if (stop())
      return fail("stopped", "stopped");
    if (connected_)
      return connection_;
    changed_.wait_for(lock, first ? std::chrono::milliseconds(10) : look_again);
  }
}

// The link takes nothing: it was just lost, or is full. Not a reason to spin.
node_transfers::step node_transfers::pause() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(20));
  return step::again;
}

void node_transfers::on_chunk(wire::chunk&& piece) {
  std::lock_guard guard(mutex_);
  auto found = inboxes_.find(piece.sha256);
  if (found == inboxes_.end() || found->second.chunks.size() >= 2 * times_.credit)
    return;
  found->second.chunks.push_back(std::move(piece));
  changed_.notify_all();
}

void node_transfers::on_put_ready(wire::put_ready&& ready) {
  std::lock_guard guard(mutex_);
  auto found = inboxes_.find(ready.sha256);
  if (found == inboxes_.end())
    return;
  auto& answers = found->second.answers;
  if (answers.size() >= 16)
    answers.pop_front(); // the newest says where the head is
  answers.push_back(std::move(ready));
  changed_.notify_all();
}

void node_transfers::on_connected() {
  std::lock_guard guard(mutex_);
  ++connection_;
  connected_ = true;
  changed_.notify_all();
}

void node_transfers::on_lost() {
  std::lock_guard guard(mutex_);
  connected_ = false;
  changed_.notify_all();
}

} // namespace troupe::node

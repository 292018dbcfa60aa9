#pragma once

// A head's link and a node's for tests: blobs in memory, what was said kept, waiting with a deadline.

#include "common/clock.hpp"
#include "gpu/link/head_link.hpp"
#include "gpu/link/node_link.hpp"
#include "storage/blobs.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace troupe::link::support {

/// How many times as long as planned things may take here (TROUPE_PATIENCE, as in the tests with processes); 1 unless
/// told.
inline std::int64_t patience() {
  const char* told = std::getenv("TROUPE_PATIENCE");
  return told ? std::max(1, std::atoi(told)) : 1;
}

/// True as soon as `done` is; false after `ms`, which a slow machine multiplies.
inline bool wait_until(const std::function<bool()>& done, std::int64_t ms = 10'000) {
  for (auto end = steady_ms() + ms * patience(); steady_ms() < end;) {
    if (done())
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return done();
}

/// Blobs in memory, each hashed when it is verified, so that a test can spoil one.
class memory_blobs final : public storage::blob_store {
public:
  result<std::unique_ptr<storage::blob_writer>> create() override {
    std::lock_guard guard(mutex_);
    if (full_)
      return fail("full", "no space");
    return std::unique_ptr<storage::blob_writer>(std::make_unique<writer>(*this));
  }
  bool has(const std::string& hash) const override { return size(hash).has_value(); }
  std::optional<std::uint64_t> size(const std::string& hash) const override {
    std::lock_guard guard(mutex_);
    auto found = blobs_.find(hash);
    return found == blobs_.end() ? std::nullopt : std::optional<std::uint64_t>(found->second.size());
  }
  std::filesystem::path path(const std::string& hash) const override { return hash; }
  result<std::string> read(const std::string& hash, std::uint64_t offset, std::size_t length) const override {
    std::lock_guard guard(mutex_);
    auto found = blobs_.find(hash);
    if (found == blobs_.end())
      return fail("missing", hash);
    if (offset >= found->second.size())
      return std::string{};
    auto out = found->second.substr(offset, length);
    bytes_read_ += out.size();
    return out;
  }
  result<void> verify(const std::string& hash) override {
    std::lock_guard guard(mutex_);
    auto found = blobs_.find(hash);
    if (found == blobs_.end())
      return fail("missing", hash);
    if (sha256_hex(found->second) == hash)
      return {};
    blobs_.erase(found);
    return fail("corrupt", hash);
  }
  result<void> remove(const std::string& hash) override {
    std::lock_guard guard(mutex_);
    blobs_.erase(hash);
    return {};
  }

  std::string add(std::string content) {
    auto hash = sha256_hex(content);
    std::lock_guard guard(mutex_);
    blobs_[hash] = std::move(content);
    return hash;
  }
  void spoil(const std::string& hash) {
    std::lock_guard guard(mutex_);
    blobs_[hash][0] = static_cast<char>(blobs_[hash][0] ^ 1);
  }
  void set_full(bool full) {
    std::lock_guard guard(mutex_);
    full_ = full;
  }
  std::string content(const std::string& hash) const {
    std::lock_guard guard(mutex_);
    auto found = blobs_.find(hash);
    return found == blobs_.end() ? "" : found->second;
  }
  std::uint64_t bytes_read() const { return bytes_read_; }
  int open_writers() const { return writers_; }

private:
  class writer final : public storage::blob_writer {
  public:
    explicit writer(memory_blobs& store) : store_(store) { ++store_.writers_; }
    ~writer() override { --store_.writers_; }
    std::uint64_t size() const override { return content_.size(); }
    result<void> write(std::string_view bytes) override {
      content_ += bytes;
      return {};
    }
    result<std::string> commit(const std::string& expected) override {
      if (!expected.empty() && sha256_hex(content_) != expected)
        return fail("mismatch", expected);
      return store_.add(content_);
    }

  private:
    memory_blobs& store_;
    std::string content_;
  };

  mutable std::mutex mutex_;
  std::map<std::string, std::string> blobs_;
  std::atomic<int> writers_{0};
  mutable std::atomic<std::uint64_t> bytes_read_{0};
  bool full_ = false;
};

/// A head that welcomes everyone who is allowed and keeps what it hears.
class head {
  template <class Work>
  auto locked(Work work) const {
    std::lock_guard guard(mutex_);
    return work();
  }

public:
  explicit head(std::string endpoint = "tcp://127.0.0.1:0", key_pair keys = make_key_pair()) : keys_(std::move(keys)) {
    head_link_handler handler;
    handler.allowed = [this](const std::string& key) { return locked([&] { return allowed_.contains(key); }); };
    handler.on_message = [this](const peer& from, wire::from_node&& message, std::size_t bytes) {
      heard(from, std::move(message), bytes);
    };
    handler.on_closed = [this](const peer& whom, const std::string& reason) {
      locked([&] { closed_.emplace_back(whom, reason); });
    };
    handler.on_corrupt = [this](const std::string& hash) { locked([&] { corrupt_.push_back(hash); }); };
    handler.on_unknown_fields = [this](const peer&, const std::string& fields) {
      locked([&] { unknown_.push_back(fields); });
    };
    std::lock_guard guard(start_); // a node may be heard before `link` is set
    auto opened = head_link::open({{std::move(endpoint)}, keys_}, blobs, std::move(handler));
    link = std::move(opened.value());
  }
  void allow(const std::string& key) {
    locked([&] { allowed_.insert(key); });
  }
  std::string endpoint() const { return link->endpoints().front(); }
  const key_pair& keys() const { return keys_; }

  /// All messages of a type so far, in order, with who said them.
  template <class Message>
  std::vector<std::pair<peer, Message>> all() const {
    return locked([&] {
      std::vector<std::pair<peer, Message>> out;
      for (const auto& [from, message] : messages_)
        if (auto* x = std::get_if<Message>(&message))
          out.emplace_back(from, *x);
      return out;
    });
  }
  template <class Message>
  std::size_t count() const {
    return locked([&] {
      return static_cast<std::size_t>(std::count_if(
          messages_.begin(), messages_.end(), [](const auto& x) { return std::holds_alternative<Message>(x.second); }));
    });
  }
  std::vector<std::pair<peer, std::string>> closed() const {
    return locked([&] { return closed_; });
  }
  std::vector<std::string> unknown_fields() const {
    return locked([&] { return unknown_; });
  }
  std::vector<std::string> corrupt() const {
    return locked([&] { return corrupt_; });
  }
  template <class Message>
  bool wait_for(std::size_t count = 1, std::int64_t ms = 10'000) const {
    return wait_until([&] { return this->count<Message>() >= count; }, ms);
  }
  std::string last_connection() const { return all<wire::hello>().back().first.connection; }

  wire::welcome terms{1, 200, 30'000};
  std::atomic<bool> silent{false}; // no heartbeats, no welcome
  std::atomic<bool> acknowledging{true};
  std::atomic<bool> dealing{true}; // with what it hears
  memory_blobs blobs;

private:
  void heard(const peer& from, wire::from_node&& message, std::size_t bytes) {
    { std::lock_guard guard(start_); }
    if (dealing)
      link->handled(from.public_key, bytes);
    if (!silent) {
      if (std::holds_alternative<wire::hello>(message))
        link->send(from.connection, terms);
      else if (std::holds_alternative<wire::node_heartbeat>(message))
        link->send(from.connection, wire::head_heartbeat{now_ms()});
      if (acknowledging)
        if (auto* x = std::get_if<wire::finished>(&message))
          link->send(from.connection, wire::acknowledge{x->ref});
    }
    locked([&] { messages_.emplace_back(from, std::move(message)); });
  }

  key_pair keys_;
  std::mutex start_;
  mutable std::mutex mutex_;
  std::set<std::string> allowed_;
  std::vector<std::pair<peer, wire::from_node>> messages_;
  std::vector<std::pair<peer, std::string>> closed_;
  std::vector<std::string> corrupt_, unknown_;

public:
  std::unique_ptr<head_link> link; // last: its threads use all of the above
};

} // namespace troupe::link::support

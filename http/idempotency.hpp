#pragma once

// Idempotency-Key on any POST of an account: the same key and request within 24 hours gives the first answer again, and
// does nothing a second time, also over a restart. (IETF draft-ietf-httpapi-idempotency-key-header.)

#include "common/clock.hpp"
#include "http/message.hpp"

#include <mutex>
#include <optional>
#include <set>
#include <string>

namespace troupe::http {

inline constexpr timestamp answers_kept_ms = 24ll * 3600 * 1000;

/// What is known of a request that came before under the same key.
struct first_request {
  std::string fingerprint;
  std::string made;              ///< the id of the job or the API key it made, if it made one
  std::optional<reply> answered; ///< nothing: the server died between the work and the answer
};

/// Keeps first answers on disk. Implemented on the storage.
class answer_book {
public:
  virtual ~answer_book() = default;
  /// The row under which an account's key is kept.
  virtual std::string row_of(const std::string& account, std::string_view key) const = 0;
  /// Says that a request is the same as another: a keyed hash of method, target and body (which may hold a
  /// password), and of the key that asks where it is bound.
  virtual std::string fingerprint_of(const request& r) const = 0;
  /// Nothing when there is none, or it is older than `answers_kept_ms`. `key` opens the sealed answer.
  virtual std::optional<first_request> find(const std::string& account, std::string_view key, timestamp now) = 0;
  /// Durable when it returns true. The answer is sealed with `key`, of which only a hash is kept: an answer may hold
  /// what is shown once.
  virtual asio::awaitable<bool> keep(const std::string& account, std::string_view key, const std::string& fingerprint,
                                     const reply& answer, timestamp now) = 0;
};

/// 409, or 422 on the openai family: the key came with another request before.
problem reused_key(family speaks);

/// The keys of requests that are being worked on: a second one waits for the first. Thread-safe.
class keys_at_work {
public:
  class hold {
  public:
    hold(keys_at_work& of, std::string row) : of_(of), row_(std::move(row)) {}
    ~hold() {
      if (taken_)
        of_.give_back(row_);
    }
    hold(const hold&) = delete;
    hold& operator=(const hold&) = delete;
    /// False: another request has it.
    bool take() { return taken_ = taken_ || of_.take(row_); }

  private:
    keys_at_work& of_;
    std::string row_;
    bool taken_ = false;
  };

private:
  bool take(const std::string& row) {
    std::lock_guard guard(mutex_);
    return rows_.insert(row).second;
  }
  void give_back(const std::string& row) {
    std::lock_guard guard(mutex_);
    rows_.erase(row);
  }

  std::mutex mutex_;
  std::set<std::string> rows_;
};

} // namespace troupe::http

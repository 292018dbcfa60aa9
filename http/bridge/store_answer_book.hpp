#pragma once

#include "http/bridge/head.hpp"
#include "http/idempotency.hpp"

#include <boost/asio/thread_pool.hpp>

#include <atomic>

namespace troupe::http {

/// First answers in a table of the database, written through the account's ledger. What is older than a day is removed,
/// once an hour.
class store_answer_book final : public answer_book {
public:
  explicit store_answer_book(const head& h) : head_(h) {}
  ~store_answer_book() override { sweeper_.join(); }

  std::string row_of(const std::string& account, std::string_view key) const override;
  std::string fingerprint_of(const request& r) const override;
  std::optional<first_request> find(const std::string& account, std::string_view key, timestamp now) override;
  asio::awaitable<bool> keep(const std::string& account, std::string_view key, const std::string& fingerprint,
                             const reply& answer, timestamp now) override;

private:
  void sweep_if_due(timestamp now);
  void sweep(timestamp now);
  std::size_t sweep_some(timestamp now);

  const head& head_;
  std::atomic<timestamp> swept_at_{0};
  asio::thread_pool sweeper_{1};
};

/// The row that a handler writes with its work, so that a crash cannot let it be done twice; nothing without a key.
/// `made`: the id of what is made.
std::optional<storage::row> once_row(const request& r, const std::string& made, timestamp now);

} // namespace troupe::http

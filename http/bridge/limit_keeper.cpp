#include "http/bridge/limit_keeper.hpp"

#include "common/json.hpp"

namespace troupe::http {

namespace {

constexpr auto keep_every = std::chrono::milliseconds(500);
constexpr int forget_every = 1'200; // of those: ten minutes
constexpr std::size_t rows_at_once_max = 10'000;

using storage::table;

} // namespace

limit_keeper::limit_keeper(rate_limiter& limiter, storage::database& database)
  : limiter_(limiter), database_(database) {
  restore();
  forget();
  thread_.emplace(keep_every, keep_every, [this](const std::stop_token&) {
    keep();
    if (++turns_ % forget_every == 0)
      forget();
  });
}

limit_keeper::~limit_keeper() {
  thread_.reset();
  keep();
}

void limit_keeper::restore() {
  auto now = now_ms();
  database_.scan(table::rate_windows, "", "", false, [&](std::string_view who, std::string_view value) {
    if (auto kept = unpack(value); kept && kept->is_object())
      limiter_.restore({std::string{who}, kept->value("ends", timestamp{0}), kept->value("seen", std::int64_t{0})},
                       now);
    return true;
  });
}

void limit_keeper::keep() {
  storage::batch batch;
  for (const auto& one : limiter_.changed(rows_at_once_max))
    batch.rows.push_back({table::rate_windows, one.who, pack({{"ends", one.ends}, {"seen", one.seen}}), false});
  if (!batch.rows.empty())
    database_.journal().commit(std::move(batch), [](storage::commit_status) {}); // it is kept again when it changes
}

void limit_keeper::forget() {
  auto now = now_ms();
  storage::batch batch;
  database_.scan(table::rate_windows, "", "", false, [&](std::string_view who, std::string_view value) {
    auto kept = unpack(value);
    if (!kept || !kept->is_object() || kept->value("ends", timestamp{0}) <= now)
      batch.rows.push_back({table::rate_windows, std::string{who}, std::nullopt, false});
    return batch.rows.size() < rows_at_once_max;
  });
  if (!batch.rows.empty())
    database_.journal().commit(std::move(batch), [](storage::commit_status) {});
}

} // namespace troupe::http

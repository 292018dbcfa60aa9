#include "http/workflows/wait_watch.hpp"

#include <algorithm>

namespace troupe::http::workflows {

std::shared_ptr<void> watch_places::take(const std::string& account) const {
  std::lock_guard guard(counts_->mutex);
  auto& taken = counts_->taken[account];
  if (taken == of_account_max)
    return nullptr;
  ++taken;
  return {counts_.get(), [all = counts_, account](void*) {
            std::lock_guard again(all->mutex);
            if (--all->taken.at(account) == 0)
              all->taken.erase(account);
          }};
}

void wait_watch::heard(const log_entry& entry) {
  if (entry.event != "stage")
    return;
  may_wait_ = true;
  auto data = json::parse(entry.data, nullptr, false);
  if (data.is_object())
    told_.erase(data.value("index", std::uint32_t{0})); // it ran, or failed: if it waits, then anew
}

std::int64_t wait_watch::time_left(std::int64_t at_most) const {
  return may_wait_ ? std::clamp<std::int64_t>(next_ms_ - steady_ms(), 0, at_most) : at_most;
}

asio::awaitable<std::vector<event>> wait_watch::look() {
  std::vector<event> out;
  if (!may_wait_ || steady_ms() < next_ms_)
    co_return out;
  explain_job ask;
  ask.job = job_;
  ask.stages_max = stages_max;
  auto answer = co_await actors_.ask(std::move(ask));
  next_ms_ = steady_ms() + look_every_ms_;
  if (answer)
    out = changes(answer->value);
  co_return out;
}

std::vector<event> wait_watch::changes(const json& waiting) {
  std::vector<event> out;
  std::map<std::uint32_t, json> now;
  for (const auto& row : waiting.at("stages")) {
    auto index = row.at("index").get<std::uint32_t>();
    auto lasting = row;
    lasting.erase("eta_ms");
    if (auto before = told_.find(index); before == told_.end() || before->second != lasting) {
      auto data = row;
      data["job_id"] = job_;
      out.emplace_back("", "waiting", data.dump());
    }
    now.emplace(index, std::move(lasting));
  }
  told_ = std::move(now);
  may_wait_ = !told_.empty();
  return out;
}

} // namespace troupe::http::workflows

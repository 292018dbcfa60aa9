#include "http/bridge/job_removal.hpp"

#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"

namespace troupe::http {

asio::awaitable<std::optional<problem>> remove_job(const head& h, blob_guard& guard, std::string account,
                                                   std::string id) {
  cancel_job stop;
  stop.job = id;
  stop.at = now_ms();
  auto stopped = co_await h.actors.ask(std::move(stop));
  if (!stopped)
    co_return problem_of(stopped.error());
  auto job = read_job(h.database, account, id).value_or(json::object());
  std::vector<std::string> blobs;
  for (const auto& file : job.value("files", json::array()))
    if (auto f = read_row(h.database, storage::table::files,
                          storage::key_of(account, file.value("filename", std::string{}))))
      blobs.push_back(f->value("sha256", std::string{}));
  forget_job forget;
  forget.job = id;
  forget.at = now_ms();
  auto forgotten = co_await h.actors.ask(std::move(forget));
  if (!forgotten)
    co_return problem_of(forgotten.error());
  for (const auto& sha256 : blobs) { // the same content may be another job's file too
    bool used = false;
    h.database.scan(storage::table::blob_uses, storage::key_of(sha256, ""), "", false, [&](auto, auto) {
      used = true;
      return false;
    });
    if (!used)
      co_await guard.remove(sha256);
  }
  co_return std::nullopt;
}

} // namespace troupe::http

#include "http/studio/farewell.hpp"

#include "common/log.hpp"
#include "http/authentication.hpp"
#include "http/bridge/job_removal.hpp"
#include "http/bridge/standing.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"
#include "http/studio/password.hpp"

#include <chrono>

namespace troupe::http::studio {

namespace {

constexpr auto patience = std::chrono::seconds(20); // with jobs that are removed before an answer

std::vector<std::string> jobs_of(const head& h, const std::string& account, std::size_t most) {
  std::vector<std::string> out;
  h.database.scan(storage::table::account_jobs, storage::key_of(account, ""), "", false,
                  [&](std::string_view, std::string_view value) {
                    if (auto id = unpack(value); id && id->is_string())
                      out.push_back(id->get<std::string>());
                    return out.size() < most;
                  });
  return out;
}

/// Those of the account that have not ended. Its own jobs are looked through, never those of all.
std::vector<std::string> open_jobs_of(const head& h, const std::string& account) {
  constexpr std::size_t named_max = 100;
  std::vector<std::string> out;
  h.database.scan(storage::table::account_jobs, storage::key_of(account, ""), "", true,
                  [&](std::string_view, std::string_view value) {
                    auto id = unpack(value);
                    if (id && id->is_string() && h.database.get(storage::table::open_jobs, id->get<std::string>()))
                      out.push_back(id->get<std::string>());
                    return out.size() < named_max;
                  });
  return out;
}

/// Removes the account's jobs and files, as long as there is patience. How many are left at least, or why not.
asio::awaitable<std::variant<std::size_t, problem>> remove_jobs(const head& h, blob_guard& guard, std::string account) {
  auto until = std::chrono::steady_clock::now() + patience;
  while (true) {
    auto some = jobs_of(h, account, 100);
    for (std::size_t i = 0; i < some.size(); ++i) {
      if (std::chrono::steady_clock::now() > until)
        co_return some.size() - i;
      auto why = co_await remove_job(h, guard, account, some[i]);
      if (why && why->status != 404) // gone meanwhile, by its owner's other hand: that is what was wanted
        co_return std::move(*why);
    }
    if (some.empty())
      co_return std::size_t{0};
  }
}

/// Nobody pays on for an account that is gone. Before anything is deleted: without the provider, nothing is.
asio::awaitable<std::optional<problem>> end_subscription(const payments::cashier& desk, std::string account) {
  auto who = desk.buyer_of(account);
  auto running = desk.known(account);
  if (!who.active && (running.status == "active" || running.status == "past_due"))
    log::error("account {} is deleted, but its subscription {} is of {}, which is no more the provider: end it there",
               account, running.subscription, running.provider);
  auto ended = co_await desk.with().cancel(std::move(who));
  if (ended)
    co_return std::nullopt;
  log::error("account {} cannot be deleted: its subscription {} does not end: {}", account, running.subscription,
             ended.error().message);
  co_return unavailable("The subscription cannot be ended now, so nothing was deleted; try again shortly");
}

asio::awaitable<reply> remove_account(const head& h, blob_guard& guard, const payments::cashier& desk, const request& r,
                                      farewell_body body) {
  auto checked = co_await check_password(h, r, std::move(body.password));
  if (auto why = std::get_if<problem>(&checked))
    co_return *why;
  auto account = r.who->account;
  if (h.admins.is_last(account)) // its actor says so too, but by then the jobs are gone
    co_return problem{409, "conflict", "You are the last admin: make another one first", json::object(), {}};
  if (auto open = open_jobs_of(h, account); !open.empty() && !body.cancel_jobs) {
    problem out;
    out.status = 409;
    out.code = "conflict";
    out.message = "Jobs of yours have not ended: wait for them, cancel them, or send \"cancel_jobs\": true";
    out.context["jobs"] = open;
    co_return out;
  }
  auto paying = co_await end_subscription(desk, account);
  if (paying)
    co_return std::move(*paying);
  auto left = co_await remove_jobs(h, guard, account);
  if (auto why = std::get_if<problem>(&left))
    co_return *why;
  if (auto many = std::get<std::size_t>(left); many > 0) {
    json answer = {{"success", false}, {"message", "Much is being deleted: send the same request again to go on"}};
    auto unfinished = reply::of(std::move(answer), 202);
    unfinished.final = false;
    co_return unfinished;
  }
  delete_account command;
  command.account = account;
  command.verified = std::get<std::string>(std::move(checked));
  command.at = now_ms();
  command.who = asker_of(r);
  command.rows = desk.rows_to_forget(account);
  auto done = co_await h.actors.ask(std::move(command));
  if (!done)
    co_return problem_of(done.error());
  tell_streams(h, account);
  auto late = co_await remove_jobs(h, guard, account); // what a request in flight has still submitted
  if (auto why = std::get_if<problem>(&late))
    log::error("account {} is deleted, but jobs of it stay: {}", account, why->message);
  else if (auto many = std::get<std::size_t>(late); many > 0)
    log::error("account {} is deleted, but at least {} jobs of it stay", account, many);
  json answer = {{"success", true},
                 {"message", "The account is gone. Its bookings stay, under a number, as the law wants books kept"}};
  co_return reply::of(std::move(answer)).with("set-cookie", no_session_cookie);
}

// -- the copy ---------------------------------------------------------------------------------------------------------

json page_of(json rows, json next) { return {{"rows", std::move(rows)}, {"next", std::move(next)}}; }

std::optional<json> credits_page(const head& h, const std::string& account, const export_query& q) {
  auto most = static_cast<std::size_t>(q.limit);
  auto events =
      h.database.journal().events("ledger/" + account, static_cast<std::uint64_t>(q.credits_after) + 1, most, false);
  if (!events)
    return std::nullopt;
  json rows = json::array();
  for (const auto& [seq, bytes] : *events)
    if (auto event = unpack(bytes)) {
      (*event)["id"] = seq;
      rows.push_back(std::move(*event));
    }
  return page_of(std::move(rows), events->size() == most ? json(events->back().first) : json());
}

json jobs_page(const head& h, const std::string& account, const export_query& q) {
  auto most = static_cast<std::size_t>(q.limit);
  auto after = q.jobs_after.empty() || q.jobs_after.size() > 15 ||
                       q.jobs_after.find_first_not_of("0123456789") != std::string::npos
                   ? std::string{}
                   : storage::key_of(account, std::stoull(q.jobs_after));
  json rows = json::array(), next;
  h.database.scan(storage::table::account_jobs, storage::key_of(account, ""), after, false,
                  [&](std::string_view key, std::string_view value) {
                    auto id = unpack(value);
                    auto row =
                        id && id->is_string() ? read_job(h.database, account, id->get<std::string>()) : std::nullopt;
                    if (row) {
                      (*row)["job_id"] = *id;
                      rows.push_back(std::move(*row));
                    }
                    if (rows.size() < most)
                      return true;
                    next = std::to_string(storage::number_at_end(key));
                    return false;
                  });
  return page_of(std::move(rows), std::move(next));
}

json audit_page(const head& h, const std::string& account, const export_query& q) {
  auto prefix = storage::key_of(account, "");
  auto most = static_cast<std::size_t>(q.limit);
  json rows = json::array(), next;
  h.database.scan(storage::table::account_audit, prefix,
                  q.audit_after.empty() ? std::string{} : storage::key_of(account, q.audit_after), false,
                  [&](std::string_view key, std::string_view) {
                    auto name = std::string{key.substr(prefix.size())};
                    if (auto entry = read_row(h.database, storage::table::audit, name)) {
                      // What another did is told, not from where.
                      if (entry->value("account", std::string{}) != account ||
                          (!entry->value("by", account).empty() && entry->value("by", account) != account)) {
                        entry->erase("address");
                        entry->erase("request_id");
                        entry->erase("via");
                      }
                      rows.push_back(std::move(*entry));
                    }
                    if (rows.size() < most)
                      return true;
                    next = name;
                    return false;
                  });
  return page_of(std::move(rows), std::move(next));
}

asio::awaitable<reply> export_account(const head& h, const request& r, export_query query) {
  describe_account ask;
  ask.account = r.who->account;
  auto account = co_await h.actors.ask(std::move(ask));
  if (!account)
    co_return problem_of(account.error());
  note_security note;
  note.account = r.who->account;
  note.subject = r.who->account;
  note.kind = "account_exported";
  note.at = now_ms();
  note.who = asker_of(r);
  auto noted = co_await h.actors.ask(std::move(note));
  if (!noted)
    co_return problem_of(noted.error());
  auto credits = credits_page(h, r.who->account, query);
  if (!credits)
    co_return unavailable("The ledger cannot be read now");
  json answer = {{"account", *account},
                 {"subscription", read_row(h.database, storage::table::subscriptions, r.who->account).value_or(json())},
                 {"credits", std::move(*credits)},
                 {"jobs", jobs_page(h, r.who->account, query)},
                 {"audit", audit_page(h, r.who->account, query)},
                 {"files", "GET /api/video/{filename} for each file of a job; GET /api/profile/avatar"}};
  co_return reply::of(std::move(answer));
}

} // namespace

std::vector<endpoint> farewell_endpoints(const head& h, blob_guard& guard, const payments::cashier& desk) {
  std::vector<endpoint> out;
  out.push_back(declare<nothing, export_query>(
      {.path = "/api/account/export",
       .operation = "account_export",
       .summary = "A copy of all that is kept about you",
       .description = "Lists have pages: where `next` is not null, ask again with it.",
       .tags = {"Account"},
       .key_scope = scope::account},
      [&h](const request& r, nothing, export_query query) { return export_account(h, r, std::move(query)); }));
  out.push_back(declare<farewell_body>({.method = verb::post,
                                        .path = "/api/account/delete",
                                        .operation = "account_delete",
                                        .summary = "Delete your account, your files and all that is personal, for good",
                                        .tags = {"Account"},
                                        .rate = rate_class::login,
                                        .key_scope = scope::account},
                                       [&h, &guard, &desk](const request& r, farewell_body body, nothing) {
                                         return remove_account(h, guard, desk, r, std::move(body));
                                       }));
  return out;
}

} // namespace troupe::http::studio

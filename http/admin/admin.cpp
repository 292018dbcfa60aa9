#include "http/admin/admin.hpp"

#include "common/log.hpp"
#include "http/bridge/standing.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"

namespace troupe::http::admin {

namespace {

asio::awaitable<reply> list_actors(const head& h, actors_query query) {
  json rows = json::array();
  auto found = h.board.list(query.kind, query.after, static_cast<std::size_t>(query.limit));
  for (const auto& entry : found)
    rows.push_back(entry->to_json());
  json answer = {{"counts", h.board.counts()}, {"actors", std::move(rows)}};
  if (found.size() == static_cast<std::size_t>(query.limit))
    answer["next_after"] = found.back()->kind + "/" + found.back()->id;
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> actor_tree(const head& h) {
  constexpr std::size_t shown_max = 1000; // of a million idle accounts nobody wants a picture
  std::map<std::string, json> children;
  for (const auto& entry : h.board.list("", "", shown_max))
    children[entry->parent].push_back({{"kind", entry->kind}, {"id", entry->id}});
  std::function<json(json)> grown = [&](json node) {
    auto key = node["kind"].get<std::string>() + "/" + node["id"].get<std::string>();
    json below = json::array();
    if (auto found = children.find(key); found != children.end())
      for (const auto& child : found->second)
        below.push_back(grown(child));
    node["children"] = std::move(below);
    return node;
  };
  json roots = json::array();
  for (const auto& root : children[""])
    roots.push_back(grown(root));
  json answer = {{"counts", h.board.counts()}, {"tree", std::move(roots)}};
  co_return reply::of(std::move(answer));
}

/// Events hold hashes of passwords, keys and sessions: people see that they are there, not what they are.
json without_secrets(json event) {
  for (const auto* field : {"password_hash", "hash"})
    if (event.contains(field))
      event[field] = "(hidden)";
  return event;
}

asio::awaitable<reply> one_actor(const head& h, const request& r, actor_query query) {
  auto entry = h.board.find(r.param("kind"), r.param("id"));
  auto key = r.param("kind") + "/" + r.param("id");
  json answer = {{"kind", r.param("kind")}, {"id", r.param("id")}, {"active", entry != nullptr}};
  if (entry) {
    answer["counters"] = entry->to_json();
    auto strong = caf::actor_cast<caf::strong_actor_ptr>(entry->address);
    if (strong) {
      auto state = co_await h.actors.inspect(caf::actor_cast<caf::actor>(strong));
      answer["state"] = state ? std::move(state->value) : json("it does not answer: " + to_string(state.error()));
    }
  }
  json rows = json::array();
  if (query.events > 0) {
    auto from = query.before > 1 ? static_cast<std::uint64_t>(query.before - 1) : 0;
    auto events = h.database.journal().events(key, from, static_cast<std::size_t>(query.events), true);
    if (!events)
      co_return unavailable("Its events cannot be read: " + events.error().message);
    for (const auto& [seq, bytes] : *events) {
      auto event = unpack(bytes);
      rows.push_back({{"seq", seq}, {"event", event ? without_secrets(std::move(*event)) : json("cannot be read")}});
    }
  }
  if (!entry && rows.empty())
    co_return not_found();
  answer["events"] = std::move(rows);
  co_return reply::of(std::move(answer));
}

/// What the grant or refund of that reference moved; nothing when there was none.
std::optional<micro_credits> booked_before(const head& h, const std::string& account, const char* kind,
                                           const std::string& reference) {
  auto made =
      read_row(h.database, storage::table::references, storage::key_of(storage::key_of(account, kind), reference));
  if (!made || !made->is_number())
    return std::nullopt;
  auto events =
      h.database.journal().events("ledger/" + account, made->get<std::uint64_t>(), 1, false); // ids count events
  auto event = events && !events->empty() ? unpack(events->front().second) : result<json>(fail("gone", ""));
  return event ? event->value("amount", micro_credits{0}) : micro_credits{0};
}

/// Whether credits were given; false: they were before, under the same reference.
asio::awaitable<std::variant<bool, problem>> grant_to(const head& h, const request& r, std::string account,
                                                      const account_body& body) {
  auto reference = body.reference.value_or("");
  if (!reference.empty() && booked_before(h, account, "grant", reference))
    co_return false;
  book money;
  money.account = account;
  money.at = now_ms();
  movement grant;
  grant.kind = "grant";
  grant.amount = credits(*body.grant_credits);
  grant.note = "granted by " + r.who->username + (body.reason ? ": " + *body.reason : std::string{});
  grant.reference = reference;
  money.movements.push_back(std::move(grant));
  json details = {{"credits", *body.grant_credits}, {"reason", body.reason.value_or("")}};
  if (!reference.empty())
    details["reference"] = reference;
  money.if_moved = audit_rows("credits_granted", account, asker_of(r), money.at, std::move(details));
  auto done = co_await h.actors.ask(std::move(money));
  if (!done && read_refusal(done.error()).why == refusal::exists)
    co_return false; // another request with that reference was faster
  if (!done)
    co_return problem_of(done.error());
  co_return done->transfers > 0; // none: the ledger knew the reference already
}

/// Nothing in it when the account is like that already.
change_account change_from(const request& r, const std::string& account, const json& row, const account_body& body) {
  auto other = [&row](const char* name, const std::optional<std::string>& wanted) {
    return wanted && *wanted != row.value(name, std::string{}) ? *wanted : std::string{};
  };
  change_account out;
  out.account = account;
  out.by = r.who->username;
  out.tier = other("tier", body.tier);
  out.role = other("role", body.role);
  if (body.disabled && *body.disabled != row.value("disabled", false))
    out.disabled = *body.disabled ? "yes" : "no";
  out.reason = body.reason.value_or("");
  out.at = now_ms();
  out.who = asker_of(r);
  return out;
}

asio::awaitable<reply> change_account_of(const head& h, const request& r, account_body body) {
  auto account = find_account(h.database, r.param("username"));
  auto row = account ? read_row(h.database, storage::table::accounts, *account) : std::nullopt;
  if (!row)
    co_return not_found("No account has that user name");
  if (body.role)
    if (auto why = refuse_bound(r, "change roles"))
      co_return *why;
  auto change = change_from(r, *account, *row, body);
  if (h.admins.is_last(*account) && (change.role == "user" || change.disabled == "yes")) // before money moves
    co_return problem{409, "conflict", "This is the last admin: make another one first", json::object(), {}};
  bool granted = false;
  if (body.grant_credits) { // first: should the change fail, a repeat with the same reference grants nothing twice
    auto given = co_await grant_to(h, r, *account, body);
    if (auto why = std::get_if<problem>(&given))
      co_return *why;
    granted = std::get<bool>(given);
  }
  bool differs = !change.tier.empty() || !change.role.empty() || !change.disabled.empty();
  if (differs) {
    auto changed = co_await h.actors.ask(std::move(change));
    if (!changed)
      co_return problem_of(changed.error());
    tell_streams(h, *account);
    row = read_row(h.database, storage::table::accounts, *account).value_or(json::object());
    log::info("account {} was changed by {}: tier {}, role {}", changed->username, r.who->username, changed->tier,
              changed->role);
  }
  book money;
  money.account = *account;
  money.at = now_ms();
  money.movements.push_back(allowance_of(h, row->value("tier", std::string{}), money.at));
  auto wallet = co_await h.actors.ask(std::move(money));
  if (!wallet)
    co_return problem_of(wallet.error());
  json answer = {{"username", row->value("username", std::string{})},
                 {"tier", row->value("tier", std::string{})},
                 {"role", row->value("role", std::string{})},
                 {"disabled", row->value("disabled", false)},
                 {"credit_balance", whole_credits(wallet->balance)}};
  if (body.grant_credits)
    answer["granted"] = granted; // false: it was made before
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> refund_to(const head& h, const request& r, refund_body body) {
  auto account = find_account(h.database, r.param("username"));
  if (!account)
    co_return not_found("No account has that user name");
  if (!body.job_id.empty() && !read_job(h.database, *account, body.job_id))
    co_return invalid("job_id: the account has no such job", "job_id");
  book money;
  money.account = *account;
  money.at = now_ms();
  movement refund;
  refund.kind = "refund";
  refund.amount = credits(body.credits);
  refund.job = body.job_id;
  refund.note = body.reason;
  refund.reference = body.reference;
  money.movements.push_back(std::move(refund));
  json details = {{"credits", body.credits}, {"reason", body.reason}, {"reference", body.reference}};
  money.if_moved = audit_rows("refund", *account, asker_of(r), money.at, std::move(details));
  auto done = co_await h.actors.ask(std::move(money));
  if (!done) {
    auto why = problem_of(done.error());
    if (why.status == 409)
      why.message = "A refund with that reference was made long ago";
    co_return why;
  }
  if (done->transfers > 0)
    log::info("{} credits were refunded to {} by {}, reference {}: {}", body.credits, r.param("username"),
              r.who->username, body.reference, body.reason);
  auto moved = done->transfers > 0 ? done->moved : booked_before(h, *account, "refund", body.reference).value_or(0);
  json answer = {{"username", r.param("username")},
                 {"reference", body.reference},
                 {"refunded", done->transfers > 0}, // false: it was made before
                 {"credits", whole_credits(moved)}, // of the refund that was made
                 {"credit_balance", whole_credits(done->balance)}};
  co_return reply::of(std::move(answer));
}

} // namespace

std::vector<endpoint> endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare<nothing, actors_query>(
      {.path = "/api/admin/actors",
       .operation = "admin_actors",
       .summary = "Live actors with their counters",
       .tags = {"Admin"},
       .needs = access::admin},
      [&h](const request&, nothing, actors_query query) { return list_actors(h, std::move(query)); }));
  out.push_back(declare({.path = "/api/admin/actors/tree",
                         .operation = "admin_actor_tree",
                         .summary = "Live actors, each under its parent",
                         .tags = {"Admin"},
                         .needs = access::admin},
                        [&h](const request&, nothing, nothing) { return actor_tree(h); }));
  // An actor's id may hold a slash: a device is node/device.
  out.push_back(declare<nothing, actor_query>(
      {.path = "/api/admin/actors/{kind}/{id*}",
       .operation = "admin_actor",
       .summary = "One actor: state, counters and last events",
       .tags = {"Admin"},
       .needs = access::admin},
      [&h](const request& r, nothing, actor_query query) { return one_actor(h, r, query); }));
  out.push_back(declare<account_body>(
      {.method = verb::put,
       .path = "/api/admin/accounts/{username}",
       .operation = "admin_account_change",
       .summary = "Set an account's tier, role or state; grant credits",
       .tags = {"Admin"},
       .needs = access::admin},
      [&h](const request& r, account_body body, nothing) { return change_account_of(h, r, std::move(body)); }));
  out.push_back(declare<refund_body>(
      {.method = verb::post,
       .path = "/api/admin/accounts/{username}/refunds",
       .operation = "admin_refund",
       .summary = "Give credits back, with a reason; once for a reference",
       .tags = {"Admin"},
       .needs = access::admin},
      [&h](const request& r, refund_body body, nothing) { return refund_to(h, r, std::move(body)); }));
  return out;
}

} // namespace troupe::http::admin

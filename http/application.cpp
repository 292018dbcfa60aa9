#include "http/application.hpp"

#include "common/log.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>

namespace troupe::http {

namespace {

constexpr std::size_t idempotency_key_max = 255;
constexpr auto same_key_wait = std::chrono::seconds(30);
constexpr auto same_key_look = std::chrono::milliseconds(20);

void add_limit_headers(reply& out, const rate_verdict& v) {
  out.headers.emplace_back("x-ratelimit-limit", std::to_string(v.limit));
  out.headers.emplace_back("x-ratelimit-remaining", std::to_string(v.remaining));
  out.headers.emplace_back("x-ratelimit-reset", std::to_string(v.reset_s));
}

// A problem that says when to come back says it as HTTP does too.
void add_retry_after(reply& out) {
  const auto* why = std::get_if<problem>(&out.body);
  auto there =
      std::any_of(out.headers.begin(), out.headers.end(), [](const auto& h) { return h.first == "retry-after"; });
  if (why == nullptr || there || !why->context.is_object() || !why->context.contains("retry_after"))
    return;
  if (const auto& seconds = why->context["retry_after"]; seconds.is_number_integer())
    out.headers.emplace_back("retry-after", std::to_string(seconds.get<std::int64_t>()));
}

reply too_many(const rate_verdict& v) {
  reply out{problem{429, "rate_limited", "Rate limit exceeded", {{"retry_after", v.reset_s}}, {}}};
  add_limit_headers(out, v);
  return out;
}

reply not_allowed(std::string allow) {
  reply out{problem{405, "method_not_allowed", "Method not allowed", json::object(), {}}};
  out.headers.emplace_back("allow", std::move(allow));
  return out;
}

// An OPTIONS request: what the path allows, and for a browser's preflight what it may send.
reply options_reply(const std::string& allow) {
  auto out = reply::empty(204);
  out.headers = {
      {"allow", allow},
      {"access-control-allow-methods", allow},
      {"access-control-allow-headers", "authorization, content-type, idempotency-key, last-event-id, x-request-id"},
      {"access-control-max-age", "600"}};
  return out;
}

problem problem_of_identity(const failure& why) {
  if (why.code == "forbidden")
    return {403, why.code, why.message, json::object(), {}};
  if (why.code == "unavailable")
    return unavailable("The service is not available right now, try again");
  log::error("http: a request could not be authenticated: {}: {}", why.code, why.message);
  return {500, "internal", "Internal server error", json::object(), {}};
}

int status_of(const reply& r) {
  auto* why = std::get_if<problem>(&r.body);
  return why ? why->status : r.status;
}

} // namespace

application::application(std::vector<endpoint> all, authenticator& who, application_options options)
  : endpoints_(std::move(all)), authenticator_(who), options_(std::move(options)), limiter_(options_.limits) {}

result<std::unique_ptr<application>> application::make(std::vector<endpoint> all, authenticator& who,
                                                       application_options options) {
  std::unique_ptr<application> out{new application(std::move(all), who, std::move(options))};
  auto made = router::make(out->endpoints_);
  if (!made)
    return made.error();
  out->router_.emplace(std::move(*made));
  return out;
}

asio::awaitable<reply> application::answer(request r) {
  auto began = std::chrono::steady_clock::now();
  std::string operation = "none";
  bool foreign = options_.cross_origin && !r.header("origin").empty();
  reply out;
  try {
    out = co_await route(r, operation);
  } catch (const std::exception& e) {
    log::error("http: {} of request {} ended with an exception: {}", operation, r.request_id, e.what());
    out = reply{problem{500, "internal", "Internal server error", json::object(), {}}};
  }
  if (r.secure || options_.secure_cookies)
    for (auto& [name, value] : out.headers)
      if (name == "set-cookie")
        value += "; Secure";
  add_retry_after(out);
  if (foreign) {
    out.headers.emplace_back("access-control-allow-origin", "*");
    out.headers.emplace_back("access-control-expose-headers",
                             "x-request-id, retry-after, x-ratelimit-limit, "
                             "x-ratelimit-remaining, x-ratelimit-reset, x-credits-used, x-model-used");
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  counts_.count(operation, status_of(out), took.count());
  co_return out;
}

asio::awaitable<reply> application::route(request& r, std::string& operation) {
  auto by_address = limiter_.count_address(r.remote_address, now_ms());
  if (!by_address.allowed)
    co_return too_many(by_address);
  auto where = router_->find(r.method, r.raw_path, r.family);
  if (std::holds_alternative<router::malformed>(where))
    co_return reply{invalid("The path is not valid")};
  if (std::holds_alternative<router::unknown>(where))
    co_return reply{not_found()};
  if (auto* other = std::get_if<router::other_methods>(&where))
    co_return r.method == verb::options ? options_reply(other->allow) : not_allowed(other->allow);
  auto& found = std::get<router::found>(where);
  operation = found.which->operation;
  r.path_params = std::move(found.params);
  co_return co_await serve(r, *found.which);
}

asio::awaitable<reply> application::serve(request& r, const endpoint& e) {
  if (!origin_allowed(r, options_.own_origins))
    co_return reply{forbidden("A request with a session cookie needs a same-origin Origin header")};
  auto refused = co_await identify(r, e);
  if (refused) {
    reply out{std::move(*refused)};
    if (out.status == 401)
      out.headers.emplace_back("www-authenticate", "Bearer");
    co_return out;
  }
  auto key = std::string{r.header("idempotency-key")};
  bool once = !key.empty() && e.method == verb::post && e.needs != access::anyone && r.who.has_value();
  if (once)
    co_return co_await serve_once(r, e, std::move(key));
  co_return co_await serve_within_limits(r, e);
}

// The first answer again, if there is one; else the work, and its answer is kept before it is given.
asio::awaitable<reply> application::serve_once(request& r, const endpoint& e, std::string key) {
  auto printable = [](unsigned char c) { return c > 0x20 && c < 0x7f; };
  if (key.size() > idempotency_key_max || !std::all_of(key.begin(), key.end(), printable))
    co_return reply{invalid("Idempotency-Key must have 1 to 255 printable ASCII characters", "Idempotency-Key")};
  if (options_.answers == nullptr)
    co_return reply{unavailable("This server keeps no answers for Idempotency-Key")};
  const auto& account = r.who->account;
  auto row = options_.answers->row_of(account, key);
  keys_at_work::hold turn{at_work_, row};
  auto executor = co_await asio::this_coro::executor;
  auto deadline = std::chrono::steady_clock::now() + same_key_wait;
  while (!turn.take()) {
    if (std::chrono::steady_clock::now() > deadline)
      co_return reply{
          problem{409, "conflict", "A request with this Idempotency-Key is still being worked on", json::object(), {}}};
    asio::steady_timer pause{executor, same_key_look};
    co_await pause.async_wait(asio::use_awaitable);
  }
  auto fingerprint = options_.answers->fingerprint_of(r);
  auto first = options_.answers->find(account, key, now_ms());
  if (first && first->fingerprint != fingerprint)
    co_return reply{reused_key(e.family)};
  if (first && first->answered) {
    auto again = std::move(*first->answered);
    again.headers.emplace_back("idempotent-replayed", "true");
    co_return again;
  }
  r.only_once = once{row, fingerprint, first ? first->made : std::string{}};
  auto out = co_await serve_within_limits(r, e);
  bool plain = std::holds_alternative<json>(out.body) || std::holds_alternative<std::monostate>(out.body);
  if (out.status >= 200 && out.status < 300 && plain && out.final) {
    auto kept = co_await options_.answers->keep(account, key, fingerprint, out, now_ms());
    if (!kept)
      log::warn("http: the answer to request {} of account {} is not kept for its Idempotency-Key; a repeat is worked "
                "on anew unless it made a job",
                r.request_id, account);
  }
  co_return out;
}

asio::awaitable<reply> application::serve_within_limits(request& r, const endpoint& e) {
  rate_verdict verdict;
  bool by_user = e.rate == rate_class::spend || e.rate == rate_class::payment;
  const auto& subject = by_user && r.who ? r.who->account : r.remote_address;
  if (r.who && !r.who->key.empty() && (e.family != family::studio || r.who->per_minute))
    verdict = limiter_.count_key(r.who->key, r.who->per_minute, now_ms());
  if (verdict.allowed && (by_user || e.rate == rate_class::login || e.rate == rate_class::signup))
    if (auto counted = limiter_.count(e.rate, subject, now_ms()); counted.limit > 0)
      verdict = counted;
  if (!verdict.allowed)
    co_return too_many(verdict);
  auto out = co_await e.serve(r);
  bool malformed = out.status == 400 || out.status == 413 || out.status == 415;
  if (by_user && malformed && verdict.limit > 0)
    verdict = limiter_.give_back(e.rate, subject, now_ms());
  if (verdict.limit > 0)
    add_limit_headers(out, verdict);
  co_return out;
}

// Finds out who asks, and whether they may. A public endpoint is also told who asks, if it can be known.
asio::awaitable<std::optional<problem>> application::identify(request& r, const endpoint& e) {
  auto presented = credentials_of(r);
  if (presented.any() && !presented.malformed) {
    auto who = co_await authenticator_.authenticate(r);
    if (who)
      r.who = std::move(*who);
    else if (e.needs != access::anyone)
      co_return problem_of_identity(who.error());
  }
  if (e.needs != access::anyone && !r.who)
    co_return unauthorized();
  if (e.needs == access::admin && !r.who->admin)
    co_return forbidden();
  if (e.needs != access::anyone && !r.who->may(scope_of(e)))
    co_return forbidden("This API key does not have the scope '" + std::string{scope_of(e)} + "'");
  co_return std::nullopt;
}

} // namespace troupe::http

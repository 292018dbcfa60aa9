#include "http/bridge/store_answer_book.hpp"

#include "common/log.hpp"
#include "http/bridge/commit.hpp"
#include "http/bridge/views.hpp"

#include <boost/asio/post.hpp>

namespace troupe::http {

using storage::table;

namespace {

constexpr timestamp sweep_every_ms = 3'600'000;
constexpr std::size_t swept_at_once = 10'000;
constexpr std::size_t answer_bytes_max = 1 << 20;

std::string seal_context(const std::string& account, std::string_view key) {
  return "answer\n" + account + "\n" + std::string{key};
}

json to_json(const reply& answer) {
  json headers = json::array();
  for (const auto& [name, value] : answer.headers)
    if (name != "set-cookie" && !name.starts_with("x-ratelimit")) // those are of the moment
      headers.push_back({name, value});
  const auto* body = std::get_if<json>(&answer.body);
  return {
      {"status", answer.status}, {"headers", std::move(headers)}, {"body", body ? *body : json{}}, {"empty", !body}};
}

std::optional<reply> reply_from(const std::string& packed) {
  auto kept = unpack(packed);
  if (!kept)
    return std::nullopt;
  auto status = kept->value("status", 200);
  auto out = kept->value("empty", false) ? reply::empty(status) : reply::of((*kept)["body"], status);
  for (const auto& h : kept->value("headers", json::array()))
    if (h.is_array() && h.size() == 2 && h[0].is_string() && h[1].is_string())
      out.headers.emplace_back(h[0].get<std::string>(), h[1].get<std::string>());
  return out;
}

} // namespace

std::optional<storage::row> once_row(const request& r, const std::string& made, timestamp now) {
  if (!r.only_once)
    return std::nullopt;
  bool first = r.only_once->made.empty();
  return storage::row{table::idempotency, r.only_once->row,
                      pack({{"fingerprint", r.only_once->fingerprint}, {"at", now}, {"job", made}}), first};
}

std::string store_answer_book::row_of(const std::string& account, std::string_view key) const {
  return storage::key_of(account, head_.keys.hash("idempotency\n" + account + "\n" + std::string{key}));
}

std::string store_answer_book::fingerprint_of(const request& r) const {
  // A bound key gets no answer that was given to another credential: it may hold what the key may not have.
  auto whose = r.who && r.who->restricted ? "request of " + r.who->key : std::string{"request"};
  return head_.keys.hash(whose + "\n" + std::string{to_string(r.method)} + '\n' + r.target + '\n' + r.body);
}

std::optional<first_request> store_answer_book::find(const std::string& account, std::string_view key, timestamp now) {
  auto where = row_of(account, key);
  auto row = read_row(head_.database, table::idempotency, where);
  if (!row)
    return std::nullopt;
  if (now - row->value("at", timestamp{0}) > answers_kept_ms) {
    storage::batch gone; // in order before whatever comes next
    gone.rows.push_back({table::idempotency, where, std::nullopt, false});
    head_.database.journal().commit(std::move(gone), [](storage::commit_status) {});
    return std::nullopt;
  }
  first_request out;
  out.fingerprint = row->value("fingerprint", std::string{});
  out.made = row->value("job", std::string{});
  if (auto sealed = row->value("sealed", std::string{}); !sealed.empty())
    if (auto opened = head_.keys.open(sealed, seal_context(account, key)))
      out.answered = reply_from(*opened);
  return out;
}

asio::awaitable<bool> store_answer_book::keep(const std::string& account, std::string_view key,
                                              const std::string& fingerprint, const reply& answer, timestamp now) {
  sweep_if_due(now);
  auto packed = pack(to_json(answer));
  if (packed.size() > answer_bytes_max)
    co_return false;
  auto where = row_of(account, key);
  auto before = read_row(head_.database, table::idempotency, where).value_or(json::object());
  json value = {{"fingerprint", fingerprint},
                {"at", now},
                {"job", before.value("job", std::string{})},
                {"sealed", head_.keys.seal(packed, seal_context(account, key))}};
  book request;
  request.account = account;
  request.at = now;
  request.attached.rows.push_back({table::idempotency, where, pack(value), false});
  auto kept = co_await head_.actors.ask(std::move(request));
  co_return static_cast<bool>(kept);
}

void store_answer_book::sweep_if_due(timestamp now) {
  auto last = swept_at_.load();
  if (now - last < sweep_every_ms || !swept_at_.compare_exchange_strong(last, now))
    return;
  asio::post(sweeper_, [this, now] { sweep(now); });
}

// As many as there are, a batch at a time.
void store_answer_book::sweep(timestamp now) {
  while (sweep_some(now) == swept_at_once)
    ;
}

std::size_t store_answer_book::sweep_some(timestamp now) {
  storage::batch gone;
  head_.database.scan(table::idempotency, "", "", false, [&](std::string_view key, std::string_view value) {
    auto row = unpack(std::string{value});
    if (!row || now - row->value("at", timestamp{0}) > answers_kept_ms)
      gone.rows.push_back({table::idempotency, std::string{key}, std::nullopt, false});
    return gone.rows.size() < swept_at_once;
  });
  auto count = gone.rows.size();
  if (count == 0)
    return 0;
  log::info("{} answers kept for Idempotency-Keys are a day old and removed", count);
  return commit_and_wait(head_.database.journal(), std::move(gone)) == storage::commit_status::ok ? count : 0;
}

} // namespace troupe::http

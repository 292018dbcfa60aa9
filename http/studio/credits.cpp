#include "http/studio/credits.hpp"

#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"

#include <ctime>
#include <set>
#include <sstream>

namespace troupe::http::studio {

namespace {

constexpr std::size_t read_at_once = 500;
constexpr std::size_t looked_at_max = 2'000; // transfers a request may look at; then it gives its cursor

const catalog::tier_limits& limits_of(const head& h, const identity& who) {
  return catalog::limits_of(h.tiers, catalog::tier_of(who.tier).value_or(catalog::tier::free));
}

double in_credits(micro_credits amount) { return static_cast<double>(amount) / micro_per_credit; }

/// What the wallet saw of a transfer: a hold takes, a release gives back; a charge only ends what was held.
micro_credits in_wallet(const std::string& kind, micro_credits amount) {
  if (kind == "hold" || kind == "reversal")
    return -amount;
  return kind == "capture" || kind == "settle" || kind == "meter" ? 0 : amount;
}

/// "2026-11-01" or "2026-11-01T12:00:00Z".
std::optional<timestamp> moment_of(const std::string& text) {
  for (const auto* form : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"}) {
    std::tm out{};
    const auto* end = ::strptime(text.c_str(), form, &out);
    if (end != nullptr && *end == '\0')
      return static_cast<timestamp>(::timegm(&out)) * 1000;
  }
  return std::nullopt;
}

struct history_filter {
  std::set<std::string> kinds; // empty: all
  timestamp since = 0, until = INT64_MAX;

  bool wants(const json& event) const {
    auto at = event.value("at", timestamp{0});
    auto kind = event.value("kind", std::string{});
    if (kind == "release" && event.value("amount", micro_credits{0}) == 0)
      return false; // all of the hold was charged: its end moves nothing
    return at >= since && at < until && (kinds.empty() || kinds.contains(kind));
  }
};

std::variant<history_filter, problem> filter_of(const history_query& query) {
  history_filter out;
  std::istringstream words(query.kind);
  for (std::string word; std::getline(words, word, ',');)
    if (!ledger::route_of(word))
      return invalid("kind: no movement is called '" + word.substr(0, 50) + "'", "kind");
    else
      out.kinds.insert(word);
  for (auto [text, name, slot] : {std::tuple{&query.since, "since", &out.since}, {&query.until, "until", &out.until}}) {
    if (text->empty())
      continue;
    auto moment = moment_of(*text);
    if (!moment)
      return invalid(std::string{name} + " must be a day or a moment in UTC: 2026-11-01 or 2026-11-01T12:00:00Z", name);
    *slot = *moment;
  }
  return out;
}

struct page {
  std::vector<std::pair<std::uint64_t, json>> rows; // newest first
  std::uint64_t next = 0;                           // the cursor of the page after; 0: there is none
  std::int64_t skip = 0;                            // how many of the offset are still to be left out there
};

/// Reads the journal backwards from the cursor. Errors: 503.
std::variant<page, problem> read_page(const head& h, const std::string& account, const history_query& query,
                                      const history_filter& filter) {
  page out;
  out.skip = query.offset;
  auto from = query.before == 0 ? std::uint64_t{0} : static_cast<std::uint64_t>(query.before - 1);
  if (query.before == 1)
    return out;
  for (std::size_t looked_at = 0; looked_at < looked_at_max;) {
    auto events = h.database.journal().events("ledger/" + account, from, read_at_once, true);
    if (!events)
      return unavailable("The history cannot be read now; try again shortly");
    for (const auto& [seq, bytes] : *events) {
      auto event = unpack(bytes);
      ++looked_at;
      if (!event || !filter.wants(*event))
        continue;
      if (out.skip > 0) {
        --out.skip;
        continue;
      }
      if (out.rows.size() == static_cast<std::size_t>(query.limit)) {
        out.next = out.rows.back().first;
        return out;
      }
      out.rows.emplace_back(seq, std::move(*event));
    }
    if (events->size() < read_at_once || events->back().first == 1) {
      out.next = 0;
      return out;
    }
    from = events->back().first - 1;
    out.next = events->back().first; // what a request may look at is bounded: the next one goes on from here
  }
  return out;
}

json row_of(std::uint64_t id, const json& event) {
  auto kind = event.value("kind", std::string{});
  auto amount = event.value("amount", micro_credits{0});
  json out = {{"id", id},
              {"type", kind},
              {"credits", in_credits(amount)},
              {"amount", in_credits(in_wallet(kind, amount))},
              {"amount_micro_credits", in_wallet(kind, amount)},
              {"job_id", event.value("job", std::string{})},
              {"description", event.value("note", std::string{})},
              {"created_at", studio_time(event.value("at", timestamp{0}))}};
  for (const auto* name : {"reference", "key"})
    if (auto text = event.value(name, std::string{}); !text.empty())
      out[name] = text;
  return out;
}

/// RFC 4180. What a spreadsheet would take for a formula is led by an apostrophe.
std::string csv_field(std::string text) {
  if (!text.empty() && std::string_view{"=+-@\t\r"}.find(text.front()) != std::string_view::npos)
    text.insert(text.begin(), '\'');
  if (text.find_first_of(",\"\r\n") == std::string::npos)
    return text;
  std::string out = "\"";
  for (char c : text)
    out += c == '"' ? std::string{"\"\""} : std::string(1, c);
  return out + '"';
}

std::string csv_of(const page& found) {
  std::string out = "id,created_at,type,amount_micro_credits,amount_credits,job_id,reference,description\r\n";
  for (const auto& [id, event] : found.rows) {
    auto kind = event.value("kind", std::string{});
    auto amount = in_wallet(kind, event.value("amount", micro_credits{0}));
    char whole[32];
    std::snprintf(whole, sizeof whole, "%.6f", in_credits(amount));
    out += std::to_string(id) + "," + rfc3339(event.value("at", timestamp{0})) + "," + kind + "," +
           std::to_string(amount) + "," + whole + "," + csv_field(event.value("job", std::string{})) + "," +
           csv_field(event.value("reference", std::string{})) + "," + csv_field(event.value("note", std::string{})) +
           "\r\n";
  }
  return out;
}

} // namespace

asio::awaitable<std::variant<booked, problem>> wallet_of(const head& h, const identity& who) {
  // Reading the wallet gives the month's allowance when it is due, so nobody waits for a night job.
  book request;
  request.account = who.account;
  request.at = now_ms();
  request.movements.push_back(allowance_of(h, who.tier, request.at));
  auto answer = co_await h.actors.ask(std::move(request));
  if (!answer)
    co_return problem_of(answer.error());
  co_return std::move(*answer);
}

asio::awaitable<reply> credits(const head& h, const request& r) {
  auto wallet = co_await wallet_of(h, *r.who);
  if (auto why = std::get_if<problem>(&wallet); why && why->status != 503)
    co_return *why; // 503: an allowance that the disk cannot take now is given later, and reading goes on
  read_books ask;
  ask.account = r.who->account;
  auto books_now = co_await h.actors.ask(std::move(ask));
  if (!books_now)
    co_return problem_of(books_now.error());
  json answer = {{"credit_balance", whole_credits(books_now->balance)},
                 {"credits_held", whole_credits(books_now->held)},
                 {"balance_micro_credits", books_now->balance},
                 {"held_micro_credits", books_now->held},
                 {"carried_micro_credits", books_now->owed},
                 {"spent", in_credits(books_now->spent)},
                 {"tier", r.who->tier},
                 {"monthly_allowance", limits_of(h, *r.who).credits_per_month}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> credits_history(const head& h, const request& r, history_query query) {
  auto filter = filter_of(query);
  if (auto why = std::get_if<problem>(&filter))
    co_return *why;
  auto read = read_page(h, r.who->account, query, std::get<history_filter>(filter));
  if (auto why = std::get_if<problem>(&read))
    co_return *why;
  const auto& found = std::get<page>(read);
  auto next = found.next > 1 ? json(found.next) : json();
  if (query.format == "csv" || (query.format.empty() && r.header("accept").starts_with("text/csv"))) {
    auto out = reply::bytes(csv_of(found), "text/csv; charset=utf-8");
    if (!next.is_null())
      out.headers.emplace_back("x-next-before", std::to_string(found.next));
    out.headers.emplace_back("content-disposition", "attachment; filename=\"credits.csv\"");
    co_return out;
  }
  json rows = json::array();
  for (const auto& [id, event] : found.rows)
    rows.push_back(row_of(id, event));
  json answer = {{"transactions", std::move(rows)}, {"next_before", std::move(next)}};
  if (found.skip > 0)
    answer["next_offset"] = found.skip;
  co_return reply::of(std::move(answer));
}

asio::awaitable<std::variant<json, problem>> tier_summary(const head& h, const request& r) {
  auto wallet = co_await wallet_of(h, *r.who);
  if (auto why = std::get_if<problem>(&wallet))
    co_return *why;
  const auto& limits = limits_of(h, *r.who);
  auto tier = catalog::tier_of(r.who->tier).value_or(catalog::tier::free);
  json answer = {
      {"tier", r.who->tier},
      {"tier_name", catalog::title_of(tier)},
      {"period", month_of(now_ms())},
      {"monthly_credits", limits.credits_per_month},
      {"credit_balance", whole_credits(std::get<booked>(wallet).balance)},
      {"limits",
       {{"max_frames", limits.frames_max}, {"max_resolution", limits.size.name}, {"watermark", limits.watermark}}}};
  co_return answer;
}

std::vector<endpoint> credit_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare({.path = "/api/credits",
                         .operation = "credits",
                         .summary = "Credit balance, what is held, tier and monthly allowance",
                         .tags = {"Credits"}},
                        [&h](const request& r, nothing, nothing) { return credits(h, r); }));
  out.push_back(declare<nothing, history_query>(
      {.path = "/api/credits/history",
       .operation = "credits_history",
       .summary = "The account's ledger, newest first, as JSON or CSV",
       .tags = {"Credits"}},
      [&h](const request& r, nothing, history_query query) { return credits_history(h, r, std::move(query)); }));
  return out;
}

} // namespace troupe::http::studio

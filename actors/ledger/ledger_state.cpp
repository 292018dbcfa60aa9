#include "actors/ledger/ledger_core.hpp"

// The words of the ledger: names of books and kinds, and the JSON forms of events and snapshots.

namespace troupe::ledger {

namespace {

constexpr std::array<const char*, book_count> book_names{"wallet",  "held",     "carry",  "grants",
                                                         "revenue", "payments", "refunds"};

using enum account_book;

struct kind_route {
  std::string_view kind;
  route way;
};

constexpr std::array<kind_route, 11> routes{{{"hold", {wallet, held}},
                                             {"capture", {held, revenue}},
                                             {"release", {held, wallet}},
                                             {"settle", {held, carry}},
                                             {"meter", {carry, revenue}},
                                             {"grant", {grants, wallet}},
                                             {"allowance", {grants, wallet}},
                                             {"topup", {payments, wallet}},
                                             {"reversal", {wallet, payments}},
                                             {"reinstatement", {payments, wallet}},
                                             {"refund", {refunds, wallet}}}};

/// The texts of an event by name, so that writing and reading cannot differ.
constexpr std::pair<const char*, std::string transferred::*> texts[] = {
    {"kind", &transferred::kind},           {"job", &transferred::job},   {"stage", &transferred::stage},
    {"period", &transferred::period},       {"note", &transferred::note}, {"reference", &transferred::reference},
    {"completes", &transferred::completes}, {"key", &transferred::key}};

} // namespace

const char* to_string(account_book which) { return book_names[static_cast<std::size_t>(which)]; }

std::optional<route> route_of(std::string_view kind) {
  for (const auto& known : routes)
    if (known.kind == kind)
      return known.way;
  return std::nullopt;
}

packed_map packed_fields(const transferred& x) {
  packed_map out("id", x.id, "amount", x.amount, "at", x.at);
  if (x.outstanding > 0)
    out.add("outstanding", x.outstanding);
  for (const auto& [name, field] : texts)
    if (!(x.*field).empty())
      out.add(name, x.*field);
  return out;
}

void to_json(json& out, const transferred& x) { out = packed_fields(x).tree(); }

void from_json(const json& in, transferred& x) {
  x.id = in.value("id", std::uint64_t{0});
  x.amount = in.value("amount", micro_credits{0});
  x.at = in.value("at", timestamp{0});
  x.outstanding = in.value("outstanding", micro_credits{0});
  for (const auto& [name, field] : texts)
    x.*field = in.value(name, std::string{});
}

json ledger_core::to_json() const {
  json holds = json::object(), keys = json::object(), named = json::object(), partial = json::array();
  for (const auto& [job, open] : holds_)
    holds[job] = {{"left", open.left}, {"captured", open.captured}, {"key", open.key}, {"at", open.at}};
  for (const auto& [key, used] : keys_)
    keys[key] = {{"spent", used.spent}, {"held", used.held}};
  for (const auto& one : partial_reversals_)
    partial.push_back({{"reference", one.reference}, {"taken", one.taken}, {"left", one.left}});
  for (std::size_t i = 0; i < book_count; ++i)
    named[book_names[i]] = books_[i];
  return {{"books", named},
          {"holds", holds},
          {"keys", keys},
          {"references", references_},
          {"period", period_},
          {"given_in_period", given_in_period_},
          {"transfers", transfers_},
          {"partial_reversals", partial}};
}

ledger_core ledger_core::from_json(const json& state) {
  ledger_core out;
  for (std::size_t i = 0; i < book_count; ++i) // a snapshot from before a book was kept has nothing in it
    out.books_[i] = state.at("books").value(book_names[i], micro_credits{0});
  for (const auto& [job, open] : state.at("holds").items())
    out.holds_[job] = {open.at("left").get<micro_credits>(), open.at("captured").get<std::set<std::string>>(),
                       open.value("key", std::string{}), open.value("at", timestamp{0})};
  auto keys = state.value("keys", json::object());
  for (const auto& [key, used] : keys.items())
    out.keys_[key] = {used.at("spent").get<micro_credits>(), used.at("held").get<micro_credits>()};
  out.references_ = state.value("references", std::deque<std::string>{});
  auto partial = state.value("partial_reversals", json::array());
  for (const auto& one : partial)
    out.partial_reversals_.push_back({one.at("reference").get<std::string>(), one.at("taken").get<micro_credits>(),
                                      one.at("left").get<micro_credits>()});
  out.period_ = state.at("period").get<std::string>();
  out.given_in_period_ = state.at("given_in_period").get<micro_credits>();
  out.transfers_ = state.at("transfers").get<std::uint64_t>();
  return out;
}

} // namespace troupe::ledger

#include "http/admin/audit.hpp"

#include "common/random.hpp"
#include "http/bridge/views.hpp"

#include <chrono>
#include <ctime>

namespace troupe::http::admin {

namespace {

constexpr std::size_t looked_at_max = 2'000; // rows for one page, however few fit the filter

/// "2026-03-30T12:00:00Z" or "2026-03-30", UTC.
std::optional<timestamp> time_of(const std::string& text) {
  std::tm parts{};
  auto rest = ::strptime(text.c_str(), "%Y-%m-%d", &parts);
  if (rest != nullptr && (*rest == 'T' || *rest == ' ')) {
    rest = ::strptime(rest + 1, "%H:%M:%S", &parts);
    if (rest != nullptr && *rest == 'Z')
      ++rest;
  }
  if (rest == nullptr || *rest != '\0')
    return std::nullopt;
  return static_cast<timestamp>(::timegm(&parts)) * 1000;
}

/// Newest first; stops at the first row before `from`.
struct page {
  json rows = json::array();
  std::string next;
};

class reader {
public:
  reader(const head& h, const audit_query& q, std::string from, std::string before)
    : head_(h), query_(q), from_(std::move(from)), before_(std::move(before)) {}

  page all() {
    head_.database.scan(storage::table::audit, "", before_, true, [this](std::string_view key, std::string_view value) {
      return take(std::string{key}, unpack(value));
    });
    return std::move(page_);
  }

  page of(const std::string& account) {
    auto prefix = storage::key_of(account, "");
    auto before = before_.empty() ? std::string{} : storage::key_of(account, before_);
    head_.database.scan(storage::table::account_audit, prefix, before, true,
                        [&](std::string_view key, std::string_view) {
                          auto name = std::string{key.substr(prefix.size())};
                          auto bytes = head_.database.get(storage::table::audit, name);
                          return take(name, bytes ? unpack(*bytes) : result<json>(fail("gone", "")));
                        });
    return std::move(page_);
  }

private:
  bool take(const std::string& key, result<json> entry) {
    if (key < from_)
      return false;
    if (entry && (query_.kind.empty() || entry->value("kind", std::string{}) == query_.kind)) {
      (*entry)["id"] = key;
      (*entry)["at"] = rfc3339(entry->value("at", timestamp{0}));
      name(*entry, "account", "username");
      name(*entry, "by", "by_username");
      page_.rows.push_back(std::move(*entry));
    }
    if (page_.rows.size() < static_cast<std::size_t>(query_.limit) && ++looked_at_ < looked_at_max)
      return true;
    page_.next = key;
    return false;
  }

  /// The log keeps ids; names are those of now, and none for who is gone.
  void name(json& entry, const char* id, const char* as) {
    auto account = entry.value(id, std::string{});
    if (auto row = account.empty() ? std::nullopt : read_row(head_.database, storage::table::accounts, account))
      entry[as] = row->value("username", std::string{});
  }

  const head& head_;
  const audit_query& query_;
  std::string from_, before_;
  page page_;
  std::size_t looked_at_ = 0;
};

asio::awaitable<reply> list(const head& h, audit_query query) {
  std::string from, before = query.cursor;
  if (!query.from.empty()) {
    auto at = time_of(query.from);
    if (!at)
      co_return invalid("from must be a time, as 2026-03-30T12:00:00Z", "from");
    from = audit_key_at(*at);
  }
  if (!query.to.empty()) {
    auto at = time_of(query.to);
    if (!at)
      co_return invalid("to must be a time, as 2026-03-30T12:00:00Z", "to");
    if (auto end = audit_key_at(*at); before.empty() || end < before)
      before = end;
  }
  // An id wins over a name that looks like one; who is gone is still found by id.
  auto account =
      is_ulid(query.account) ? query.account : find_account(h.database, query.account).value_or(query.account);
  reader rows(h, query, from, before);
  auto found = account.empty() ? rows.all() : rows.of(account);
  json answer = {{"events", std::move(found.rows)}, {"next_cursor", found.next.empty() ? json() : json(found.next)}};
  co_return reply::of(std::move(answer));
}

} // namespace

std::vector<endpoint> audit_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare<nothing, audit_query>(
      {.path = "/api/admin/audit",
       .operation = "admin_audit",
       .summary = "Security and admin events, newest first",
       .description = "A page may be short, or empty, and still have a next_cursor: so many rows were looked at.",
       .tags = {"Admin"},
       .needs = access::admin},
      [&h](const request&, nothing, audit_query query) { return list(h, std::move(query)); }));
  return out;
}

} // namespace troupe::http::admin

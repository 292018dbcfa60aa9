#include "http/bridge/views.hpp"

#include "common/random.hpp"
#include "common/text.hpp"

#include <algorithm>

namespace troupe::http {

std::optional<json> read_row(const storage::database& database, storage::table in, const std::string& key) {
  auto bytes = database.get(in, key);
  if (!bytes)
    return std::nullopt;
  auto value = unpack(*bytes);
  return value ? std::optional<json>(std::move(*value)) : std::nullopt;
}

std::optional<json> read_job(const storage::database& database, const std::string& account, const std::string& job) {
  if (job.empty() || job.size() > 64)
    return std::nullopt;
  auto row = read_row(database, storage::table::jobs, job);
  if (!row || row->value("account", std::string{}) != account)
    return std::nullopt;
  return row;
}

std::optional<std::string> canonical_username(const std::string& typed) {
  auto out = lower(typed);
  auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  };
  if (out.size() < 3 || out.size() > 32 || !std::all_of(out.begin(), out.end(), fits))
    return std::nullopt;
  return out;
}

bool reserved_username(const std::string& canonical) {
  return canonical == "admin" || canonical == "root" || canonical == "system" || is_ulid(canonical);
}

std::optional<std::string> find_account(const storage::database& database, const std::string& username) {
  auto name = canonical_username(username);
  auto row = name ? read_row(database, storage::table::usernames, *name) : std::nullopt;
  return row && row->is_string() ? std::optional(row->get<std::string>()) : std::nullopt;
}

std::string studio_status(const std::string& status) {
  if (status == "succeeded")
    return "completed";
  return status == "failed" || status == "cancelled" ? "error" : "processing";
}

std::string main_file(const json& job) {
  std::string first;
  for (const auto& file : job.value("files", json::array())) {
    auto name = file.value("filename", std::string{});
    if (file.value("content_type", std::string{}).starts_with("video/"))
      return name;
    if (first.empty())
      first = name;
  }
  return first;
}

} // namespace troupe::http

#include "http/studio/profile.hpp"

#include "common/sha256.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"
#include "http/multipart.hpp"

#include <algorithm>

namespace troupe::http::studio {

namespace {

constexpr std::size_t avatar_bytes_max = 10u << 20;

json shown(const json& row, const std::string& avatar_path) {
  auto profile = row.value("profile", account::profile{});
  json out = {{"username", row.value("username", std::string{})},
              {"display_name", profile.display_name},
              {"bio", profile.bio},
              {"avatar", nullptr}};
  if (!profile.avatar.empty())
    out["avatar"] = avatar_path + "?v=" + profile.avatar.substr(0, 16); // another picture, another address
  return out;
}

json own(const json& row) {
  auto profile = row.value("profile", account::profile{});
  auto out = shown(row, "/api/profile/avatar");
  out["profile_public"] = profile.profile_public;
  out["theme"] = profile.theme;
  out["email"] = row.value("email", std::string{});
  out["tier"] = row.value("tier", std::string{});
  out["created_at"] = studio_time(row.value("created_at", timestamp{0}));
  return out;
}

asio::awaitable<reply> show(const head& h, const request& r) {
  auto row = read_row(h.database, storage::table::accounts, r.who->account);
  if (!row)
    co_return not_found();
  co_return reply::of(own(*row));
}

asio::awaitable<reply> change(const head& h, const request& r, change_profile command) {
  command.account = r.who->account;
  command.at = now_ms();
  auto done = co_await h.actors.ask(std::move(command));
  if (!done)
    co_return problem_of(done.error());
  auto row = read_row(h.database, storage::table::accounts, r.who->account).value_or(json::object());
  auto answer = own(row);
  answer["success"] = true;
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> update(const head& h, const request& r, profile_body body) {
  change_profile command;
  if (body.display_name)
    command.changes["display_name"] = *body.display_name;
  if (body.bio)
    command.changes["bio"] = *body.bio;
  if (body.profile_public)
    command.changes["profile_public"] = *body.profile_public;
  return change(h, r, std::move(command));
}

asio::awaitable<reply> theme(const head& h, const request& r, theme_body body) {
  change_profile command;
  command.changes["theme"] = body.theme;
  return change(h, r, std::move(command));
}

/// By content, whatever the client says of it.
bool is_picture(std::string_view bytes) {
  using namespace std::string_view_literals;
  return bytes.starts_with("\x89PNG\r\n\x1a\n"sv) || bytes.starts_with("\xff\xd8\xff"sv) ||
         (bytes.starts_with("RIFF"sv) && bytes.substr(std::min<std::size_t>(8, bytes.size())).starts_with("WEBP"sv));
}

/// The picture in a form, or the whole body.
result<std::string_view> uploaded(const request& r) {
  if (!is_multipart(r.header("content-type")))
    return std::string_view{r.body};
  auto parts = read_multipart(r.header("content-type"), r.body);
  if (!parts)
    return parts.error();
  for (const auto& part : *parts)
    if (!part.file_name.empty() || part.name == "avatar" || part.name == "file" || part.name == "image")
      return part.content;
  return fail("malformed", "The form holds no file");
}

asio::awaitable<reply> set_avatar(const head& h, const request& r) {
  auto bytes = uploaded(r);
  if (!bytes)
    co_return invalid(bytes.error().message, "avatar");
  if (bytes->size() > avatar_bytes_max)
    co_return problem{413, "payload_too_large", "The picture must be at most 10 MB", json::object(), {}};
  if (!is_picture(*bytes))
    co_return problem{415, "unsupported_media_type", "The picture must be PNG, JPEG or WebP", json::object(), {}};
  auto made = co_await h.pictures.make(r.who->account, std::string{*bytes});
  if (!made) {
    if (made.error().code == "media")
      co_return invalid("The picture cannot be read: " + made.error().message, "avatar");
    if (made.error().code == "own") {
      reply wait{problem{429, "rate_limited", "A picture of yours is being made ready", {{"retry_after", 1}}, {}}};
      co_return std::move(wait).with("retry-after", "1");
    }
    co_return unavailable("The picture cannot be made ready now; try again shortly");
  }
  change_profile command;
  command.avatar = std::move(*made);
  command.avatar_sha256 = sha256_hex(command.avatar);
  auto answer = change(h, r, std::move(command));
  co_return co_await std::move(answer);
}

reply picture_of(const head& h, const std::string& account, const request& r) {
  auto bytes = h.database.get(storage::table::avatars, account);
  if (!bytes)
    return not_found();
  auto etag = "\"" + sha256_hex(*bytes) + "\"";
  auto answer = r.header("if-none-match") == etag ? reply::empty(304) : reply::bytes(std::move(*bytes), "image/jpeg");
  return std::move(answer).with("etag", etag).with("cache-control", "private, no-cache");
}

asio::awaitable<reply> avatar(const head& h, const request& r) { co_return picture_of(h, r.who->account, r); }

/// The account of that name, if it shows itself: otherwise nobody learns whether it is there.
std::optional<std::pair<std::string, json>> public_row(const head& h, const request& r) {
  auto account = find_account(h.database, r.param("username"));
  auto row = account ? read_row(h.database, storage::table::accounts, *account) : std::nullopt;
  if (!row || row->value("disabled", false) || !row->value("profile", account::profile{}).profile_public)
    return std::nullopt;
  return std::pair(std::move(*account), std::move(*row));
}

asio::awaitable<reply> show_public(const head& h, const request& r) {
  auto found = public_row(h, r);
  if (!found)
    co_return not_found();
  auto name = found->second.value("username", std::string{});
  co_return reply::of(shown(found->second, "/api/profiles/" + name + "/avatar"));
}

asio::awaitable<reply> public_avatar(const head& h, const request& r) {
  auto found = public_row(h, r);
  if (!found)
    co_return not_found();
  co_return picture_of(h, found->first, r);
}

declaration about(verb method, std::string path, std::string operation, std::string summary) {
  declaration out;
  out.method = method;
  out.path = std::move(path);
  out.operation = std::move(operation);
  out.summary = std::move(summary);
  out.tags = {"Profile"};
  if (method != verb::get)
    out.key_scope = scope::account;
  return out;
}

} // namespace

std::vector<endpoint> profile_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare(about(verb::get, "/api/profile", "profile", "Your profile"),
                        [&h](const request& r, nothing, nothing) { return show(h, r); }));
  for (auto method : {verb::post, verb::put}) {
    auto said = about(method, "/api/profile", method == verb::post ? "profile_update" : "profile_put",
                      "Change your profile: what is not there stays as it is");
    out.push_back(declare<profile_body>(
        std::move(said), [&h](const request& r, profile_body body, nothing) { return update(h, r, std::move(body)); }));
  }
  out.push_back(
      declare<theme_body>(about(verb::post, "/api/settings/theme", "theme_set", "How the pages look to you"),
                          [&h](const request& r, theme_body body, nothing) { return theme(h, r, std::move(body)); }));
  out.push_back(declare<raw_body>(
      about(verb::post, "/api/profile/avatar", "avatar_upload", "Upload a portrait: PNG, JPEG or WebP, at most 10 MB"),
      [&h](const request& r, raw_body, nothing) { return set_avatar(h, r); }));
  auto picture = about(verb::get, "/api/profile/avatar", "avatar", "Your portrait, 256 by 256");
  picture.produces = "image/jpeg";
  out.push_back(declare(std::move(picture), [&h](const request& r, nothing, nothing) { return avatar(h, r); }));
  auto other = about(verb::get, "/api/profiles/{username}", "profile_public", "The profile of who shows it");
  other.needs = access::anyone;
  out.push_back(declare(std::move(other), [&h](const request& r, nothing, nothing) { return show_public(h, r); }));
  auto theirs = about(verb::get, "/api/profiles/{username}/avatar", "avatar_public", "The portrait of who shows it");
  theirs.needs = access::anyone;
  theirs.produces = "image/jpeg";
  out.push_back(declare(std::move(theirs), [&h](const request& r, nothing, nothing) { return public_avatar(h, r); }));
  return out;
}

} // namespace troupe::http::studio

#include "http/studio/password.hpp"

#include "common/random.hpp"
#include "common/text.hpp"
#include "http/bridge/standing.hpp"
#include "http/bridge/submission.hpp"
#include "http/bridge/views.hpp"

namespace troupe::http::studio {

namespace {

constexpr timestamp token_ms = 3'600'000; // an hour

/// By user name or by confirmed address.
std::optional<std::string> account_of(const head& h, const std::string& typed) {
  if (typed.find('@') == std::string::npos)
    return find_account(h.database, typed);
  auto row = read_row(h.database, storage::table::emails, lower(typed));
  return row && row->is_string() ? std::optional(row->get<std::string>()) : std::nullopt;
}

/// Where to go with a token: a page of the studio when it is known where that is, and the request that does it.
std::string how_to(const head& h, const std::string& page, const std::string& path, const std::string& token,
                   const std::string& more) {
  std::string out;
  if (!h.public_url.empty())
    out += h.public_url + "/" + page + "#token=" + token + "\n\nOr by the API:\n\n";
  return out + "POST " + h.public_url + path + "\n{\"token\": \"" + token + "\"" + more + "}\n";
}

problem dead_token() {
  return invalid("This token is not valid, was used or is older than an hour; ask for a new one", "token");
}

/// The account that a token is for; the actor judges it again.
std::optional<std::string> account_of_token(const head& h, const std::string& hash, const std::string& kind) {
  auto row = read_row(h.database, storage::table::account_tokens, hash);
  if (!row || row->value("kind", std::string{}) != kind || row->value("expires_at", timestamp{0}) <= now_ms())
    return std::nullopt;
  return row->value("account", std::string{});
}

asio::awaitable<reply> change_password(const head& h, const request& r, password_body body) {
  auto checked = co_await check_password(h, r, std::move(body.current_password));
  if (auto why = std::get_if<problem>(&checked))
    co_return *why;
  auto hash = co_await h.hashing.hash(std::move(body.new_password), r.remote_address);
  if (!hash)
    co_return unavailable("Too many people log in at this moment; try again shortly");
  set_password set;
  set.account = r.who->account;
  set.verified = std::get<std::string>(std::move(checked));
  set.password_hash = std::move(*hash);
  set.kept = r.who->session;
  set.at = now_ms();
  set.who = asker_of(r);
  auto done = co_await h.actors.ask(std::move(set));
  if (!done)
    co_return problem_of(done.error());
  tell_streams(h, r.who->account);
  if (!done->email.empty())
    h.mails.send({done->email, "Your password was changed",
                  "The password of your account " + done->username +
                      " was changed, and all other sessions were ended.\n\nIf that was not you, ask for a password "
                      "reset now.\n"});
  json answer = {{"success", true}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> ask_for_reset(const head& h, const request& r, reset_request_body body) {
  json answer = {{"success", true},
                 {"message", "If that account exists and has a confirmed address, a mail is on its way"}};
  auto account = account_of(h, body.username);
  auto row = account ? read_row(h.database, storage::table::accounts, *account) : std::nullopt;
  auto email = row ? row->value("email", std::string{}) : std::string{};
  if (email.empty()) { // one commit too, so that it takes as long
    co_await note_failure(h, r, account.value_or(""), "reset_asked");
    co_return reply::of(std::move(answer));
  }
  auto token = random_hex(32);
  issue_token issue;
  issue.account = *account;
  issue.kind = "reset";
  issue.token_hash = h.keys.hash(token);
  issue.at = now_ms();
  issue.expires_at = issue.at + token_ms;
  issue.who = asker_of(r);
  auto issued = co_await h.actors.ask(std::move(issue));
  if (!issued) // enough are on their way: one commit too
    co_await note_failure(h, r, std::move(*account), "reset_asked");
  else
    h.mails.send({email, "Reset your password",
                  "Someone asked to reset the password of your account " + issued->username +
                      ". If that was you, choose a new one within an hour:\n\n" +
                      how_to(h, "reset", "/api/password-reset/reset", token, ", \"new_password\": \"…\"") +
                      "\nIf it was not you, do nothing: without this mail nobody can.\n"});
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> reset(const head& h, const request& r, reset_body body) {
  redeem_token redeem;
  redeem.kind = "reset";
  redeem.token_hash = h.keys.hash(body.token);
  auto account = account_of_token(h, redeem.token_hash, redeem.kind);
  if (!account)
    co_return dead_token();
  auto hash = co_await h.hashing.hash(std::move(body.new_password), r.remote_address);
  if (!hash)
    co_return unavailable("Too many people log in at this moment; try again shortly");
  redeem.account = *account;
  redeem.password_hash = std::move(*hash);
  redeem.at = now_ms();
  redeem.who = asker_of(r);
  auto done = co_await h.actors.ask(std::move(redeem));
  if (!done) {
    auto why = problem_of(done.error());
    co_return why.status == 404 || why.status == 403 ? dead_token() : why;
  }
  tell_streams(h, *account);
  json answer = {{"success", true}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> change_email(const head& h, const request& r, email_body body) {
  if (auto why = refuse_bound(r, "change the address")) // with the new one the password could be reset
    co_return *why;
  auto email = lower(body.email);
  auto row = read_row(h.database, storage::table::accounts, r.who->account).value_or(json::object());
  auto now = row.value("email", std::string{});
  auto why = co_await mail_confirmation(h, r, r.who->account, r.who->username, email);
  if (why)
    co_return *why;
  if (!now.empty()) // who has a stolen key or session would take the account over with it
    h.mails.send({now, "Your address is to be changed",
                  "Someone who is logged in as " + r.who->username + " asked that its address become " + email +
                      ". It does once that address confirms it. If that was not you, change your password now and look "
                      "through your API keys.\n"});
  json answer = {{"success", true},
                 {"email", now},
                 {"pending_email", email},
                 {"message", "A mail is on its way to that address; it counts once the mail is answered"}};
  co_return reply::of(std::move(answer));
}

asio::awaitable<reply> confirm_email(const head& h, const request& r, token_body body) {
  redeem_token redeem;
  redeem.kind = "email";
  redeem.token_hash = h.keys.hash(body.token);
  auto account = account_of_token(h, redeem.token_hash, redeem.kind);
  if (!account)
    co_return dead_token();
  auto row = read_row(h.database, storage::table::accounts, *account).value_or(json::object());
  auto before = row.value("email", std::string{});
  redeem.account = *account;
  redeem.at = now_ms();
  redeem.who = asker_of(r);
  auto done = co_await h.actors.ask(std::move(redeem));
  if (!done) {
    auto why = problem_of(done.error());
    if (why.status == 409)
      why.message = "That address belongs to another account";
    co_return why.status == 404 || why.status == 403 ? dead_token() : why;
  }
  if (!before.empty() && before != done->email)
    h.mails.send({before, "Your address was changed",
                  "The address of your account " + done->username +
                      " is another one from now on. If that was not you, tell the operator of the studio now.\n"});
  json answer = {{"success", true}, {"email", done->email}};
  co_return reply::of(std::move(answer));
}

} // namespace

asio::awaitable<std::variant<std::string, problem>> check_password(const head& h, const request& r,
                                                                   std::string password) {
  read_credentials read;
  read.account = r.who->account;
  auto known = co_await h.actors.ask(std::move(read));
  if (!known)
    co_return problem_of(known.error());
  auto good = co_await h.hashing.verify(known->password_hash, std::move(password), r.remote_address);
  if (!good)
    co_return unavailable("Too many people log in at this moment; try again shortly");
  if (*good)
    co_return std::move(known->password_hash);
  co_await note_failure(h, r, r.who->account, "password_failed");
  co_return forbidden("That is not the current password");
}

asio::awaitable<void> note_failure(const head& h, const request& r, std::string account, std::string kind) {
  note_security note;
  note.account = account.empty() ? nobody : account;
  note.subject = std::move(account);
  note.kind = std::move(kind);
  note.at = now_ms();
  note.who = asker_of(r);
  co_await h.actors.ask(std::move(note));
}

asio::awaitable<std::optional<problem>> mail_confirmation(const head& h, const request& r, std::string account,
                                                          std::string username, std::string email) {
  email = lower(email);
  auto token = random_hex(32);
  issue_token issue;
  issue.account = std::move(account);
  issue.kind = "email";
  issue.token_hash = h.keys.hash(token);
  issue.email = email;
  issue.at = now_ms();
  issue.expires_at = issue.at + token_ms;
  issue.who = asker_of(r);
  auto issued = co_await h.actors.ask(std::move(issue));
  if (!issued && read_refusal(issued.error()).why == refusal::queue_full)
    co_return std::nullopt;
  if (!issued)
    co_return problem_of(issued.error());
  h.mails.send({email, "Confirm your address",
                "Confirm within an hour that this is the address of your account " + username + ":\n\n" +
                    how_to(h, "confirm-email", "/api/settings/email/confirm", token, "") +
                    "\nIf you have no such account, do nothing.\n"});
  co_return std::nullopt;
}

std::vector<endpoint> password_endpoints(const head& h) {
  std::vector<endpoint> out;
  out.push_back(declare<password_body>(
      {.method = verb::post,
       .path = "/api/settings/change-password",
       .operation = "password_change",
       .summary = "Change your password; all other sessions end",
       .tags = {"Account"},
       .rate = rate_class::login,
       .key_scope = scope::account},
      [&h](const request& r, password_body body, nothing) { return change_password(h, r, std::move(body)); }));
  out.push_back(declare<reset_request_body>(
      {.method = verb::post,
       .path = "/api/password-reset/request",
       .operation = "password_reset_request",
       .summary = "Ask for a mail to reset a forgotten password; the answer is always the same",
       .tags = {"Account"},
       .needs = access::anyone,
       .rate = rate_class::login},
      [&h](const request& r, reset_request_body body, nothing) { return ask_for_reset(h, r, std::move(body)); }));
  out.push_back(
      declare<reset_body>({.method = verb::post,
                           .path = "/api/password-reset/reset",
                           .operation = "password_reset",
                           .summary = "Choose a new password with the token of the mail; all sessions end",
                           .tags = {"Account"},
                           .needs = access::anyone,
                           .rate = rate_class::login},
                          [&h](const request& r, reset_body body, nothing) { return reset(h, r, std::move(body)); }));
  out.push_back(declare<email_body>(
      {.method = verb::post,
       .path = "/api/settings/email",
       .operation = "email_change",
       .summary = "Change your e-mail address, once the mail that goes there is answered",
       .tags = {"Account"},
       .rate = rate_class::login,
       .key_scope = scope::account},
      [&h](const request& r, email_body body, nothing) { return change_email(h, r, std::move(body)); }));
  out.push_back(declare<token_body>(
      {.method = verb::post,
       .path = "/api/settings/email/confirm",
       .operation = "email_confirm",
       .summary = "Confirm an address with the token of the mail",
       .tags = {"Account"},
       .needs = access::anyone,
       .rate = rate_class::login},
      [&h](const request& r, token_body body, nothing) { return confirm_email(h, r, std::move(body)); }));
  return out;
}

} // namespace troupe::http::studio

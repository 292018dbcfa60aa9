#include "http/pages/mailed_links.hpp"

#include "http/pages/pages.hpp"

#include <map>

namespace troupe::http {

namespace {

constexpr auto policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
                        "form-action 'none'; frame-ancestors 'none'";

constexpr auto reset_page = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Choose a new password</title>
<link rel="stylesheet" href="/mailed/assets/page.css">
</head>
<body>
<main>
<h1>Choose a new password</h1>
<form id="form" data-path="/api/password-reset/reset">
<label>New password, at least 8 characters
<input type="password" name="new_password" minlength="8" maxlength="256" autocomplete="new-password" required></label>
<label>The same again
<input type="password" name="again" minlength="8" maxlength="256" autocomplete="new-password" required></label>
<button>Set the password</button>
</form>
<p id="said" role="status"></p>
<noscript><p>This page needs JavaScript; the mail tells how to do without.</p></noscript>
</main>
<script src="/mailed/assets/page.js"></script>
</body>
</html>
)";

constexpr auto confirm_page = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Confirm your address</title>
<link rel="stylesheet" href="/mailed/assets/page.css">
</head>
<body>
<main>
<h1>Confirm your address</h1>
<form id="form" data-path="/api/settings/email/confirm">
<button>This is my address</button>
</form>
<p id="said" role="status"></p>
<noscript><p>This page needs JavaScript; the mail tells how to do without.</p></noscript>
</main>
<script src="/mailed/assets/page.js"></script>
</body>
</html>
)";

// A button, not at once: programs that look at mails open links, and a token works once.
constexpr auto script = R"("use strict";
const form = document.getElementById("form");
const said = document.getElementById("said");
const token = new URLSearchParams(location.hash.slice(1)).get("token") || "";
history.replaceState(null, "", location.pathname); // out of the address bar and the history
if (!token)
  said.textContent = "This link is not whole: open the one in the mail.";

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = {token};
  const fields = form.elements;
  if (fields.new_password) {
    if (fields.new_password.value !== fields.again.value) {
      said.textContent = "The two passwords are not the same.";
      return;
    }
    body.new_password = fields.new_password.value;
  }
  said.textContent = "…";
  try {
    const answer = await fetch(form.dataset.path,
      {method: "POST", headers: {"Content-Type": "application/json"}, credentials: "omit", body: JSON.stringify(body)});
    if (answer.ok)
      form.hidden = true;
    said.textContent = answer.ok ? "Done." : (await answer.json()).error;
  } catch {
    said.textContent = "The studio cannot be reached now; try again shortly.";
  }
});
)";

constexpr auto style = R"(body { font: 1rem/1.5 system-ui, sans-serif; margin: 0; background: #16181d; color: #e8e8ea; }
main { max-width: 24rem; margin: 15vh auto 0; padding: 0 1rem; }
h1 { font-size: 1.4rem; }
label { display: block; margin: 1rem 0; }
input { display: block; width: 100%; box-sizing: border-box; margin-top: .25rem; padding: .5rem; font: inherit; }
button { padding: .5rem 1rem; font: inherit; }
)";

endpoint page(declaration declared, const char* html) {
  return declare(std::move(declared), [html](const request&, nothing, nothing) -> asio::awaitable<reply> {
    co_return reply::bytes(html, "text/html; charset=utf-8")
        .with("content-security-policy", policy)
        .with("referrer-policy", "no-referrer")
        .with("cache-control", "no-cache");
  });
}

} // namespace

std::vector<endpoint> mailed_link_endpoints() {
  std::vector<endpoint> out;
  out.push_back(
      page(page_declaration("/reset", "reset_page", "Where the mail of a reset leads", "text/html"), reset_page));
  out.push_back(
      page(page_declaration("/confirm-email", "confirm_page", "Where the mail to a new address leads", "text/html"),
           confirm_page));
  out.push_back(declare(
      page_declaration("/mailed/assets/{name}", "mailed_asset", "A file of these pages", "text/javascript"),
      [](const request& r, nothing, nothing) -> asio::awaitable<reply> {
        static const std::map<std::string, std::pair<const char*, const char*>> files{
            {"page.js", {script, "text/javascript; charset=utf-8"}}, {"page.css", {style, "text/css; charset=utf-8"}}};
        auto found = files.find(r.param("name"));
        if (found == files.end())
          co_return reply{not_found()};
        co_return reply::bytes(found->second.first, found->second.second).with("cache-control", "no-cache");
      }));
  return out;
}

} // namespace troupe::http

// The bodies and queries of every endpoint, as they are described: the first byte chooses one, the rest is the body (or
// the query) of a request. It is refused in words that each family can put into its answer, or read; what was read
// satisfies the rules, so reading it again finds no fault.
#include "common/check.hpp"
#include "http/admin/admin.hpp"
#include "http/admin/audit.hpp"
#include "http/admin/nodes.hpp"
#include "http/studio/billing.hpp"
#include "http/studio/credits.hpp"
#include "http/studio/farewell.hpp"
#include "http/studio/keys.hpp"
#include "http/studio/login.hpp"
#include "http/studio/password.hpp"
#include "http/studio/prices.hpp"
#include "http/studio/profile.hpp"
#include "http/studio/video.hpp"
#include "http/unified/quotes.hpp"
#include "http/url.hpp"
#include "http/workflows/jobs.hpp"

#include <array>

using namespace troupe;
using namespace troupe::http;

namespace {

void tell(const std::optional<problem>& wrong) {
  if (!wrong)
    return;
  TROUPE_CHECK(wrong->status >= 400 && wrong->status < 500 && !wrong->message.empty());
  for (auto speaks : {family::studio, family::unified, family::platform, family::openai})
    TROUPE_CHECK(!render(*wrong, speaks).dump().empty()); // strict: it throws at what is not UTF-8
}

template <class Body>
void body(std::string_view text) {
  request r;
  r.method = verb::post;
  r.headers.emplace_back("content-type", "application/json");
  r.body = text;
  Body read;
  auto wrong = read_body(r, read);
  tell(wrong);
  if (wrong)
    return;
  Body again;
  TROUPE_CHECK(!read_body(r, again));
}

template <class Query>
void query(std::string_view text) {
  request r;
  auto parsed = parse_query(text);
  if (!parsed)
    return;
  r.query = std::move(*parsed);
  Query read;
  tell(read_query(r, read));
}

using reading = void (*)(std::string_view);
constexpr std::array readings = {
    &body<studio::generate_body>, &body<studio::cancel_body>,        &body<studio::topup_body>,
    &body<studio::checkout_body>, &body<studio::farewell_body>,      &body<studio::key_body>,
    &body<studio::key_change>,    &body<studio::signup_body>,        &body<studio::login_body>,
    &body<studio::password_body>, &body<studio::reset_request_body>, &body<studio::reset_body>,
    &body<studio::email_body>,    &body<studio::token_body>,         &body<studio::profile_body>,
    &body<studio::theme_body>,    &body<unified::quote_body>,        &body<workflows::run_body>,
    &body<admin::account_body>,   &body<admin::refund_body>,         &body<admin::node_body>,
    &body<admin::rotate_body>,    &body<admin::node_state_body>,     &body<admin::device_state_body>,
    &query<studio::status_query>, &query<studio::page_query>,        &query<studio::history_query>,
    &query<studio::export_query>, &query<studio::cost_query>,        &query<admin::actors_query>,
    &query<admin::actor_query>,   &query<admin::audit_query>};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 0)
    readings[data[0] % readings.size()]({reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}

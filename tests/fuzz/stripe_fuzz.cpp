// A webhook: the first line is the Stripe-Signature, the rest the body. No signature of a stranger is good; one that is
// made with the secret is, whatever the body; and what a signed body says is read without harm.
#include "common/check.hpp"
#include "http/payments/stripe_event.hpp"
#include "http/payments/stripe_signature.hpp"

using namespace troupe;
using namespace troupe::payments;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr timestamp now = 1'700'000'000'000;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto line = std::min(input.find('\n'), input.size());
  auto header = input.substr(0, line);
  auto body = input.substr(std::min(line + 1, input.size()));
  const std::vector<std::string> secrets{"whsec_nobody_knows", ""};
  TROUPE_CHECK(check_signature(header, body, secrets, now) != signature_verdict::good);
  auto signed_text = "1700000000." + std::string{body};
  auto good = "t=1700000000,v1=" + hmac_sha256_hex(secrets[0], signed_text);
  TROUPE_CHECK(check_signature(good, body, secrets, now) == signature_verdict::good);
  TROUPE_CHECK(check_signature(good, body, {"another"}, now) == signature_verdict::wrong);
  auto value = parse_json(body);
  if (!value)
    return 0;
  auto event = read_stripe_event(*value, {{"price_pro", "pro"}}, "gbp");
  if (!event)
    return 0;
  TROUPE_CHECK(!event->id.empty() && event->id.size() <= 255 && event->created > 0);
  if (auto* paid = std::get_if<paid_credits>(&event->what))
    TROUPE_CHECK(!paid->account.empty() && !paid->payment.empty() && paid->credits > 0 &&
                 paid->credits < 1'000'000'000);
  if (auto* back = std::get_if<paid_back>(&event->what))
    TROUPE_CHECK(!back->reference.empty() && !back->payment.empty() && back->credits > 0);
  if (auto* now_so = std::get_if<subscription_is>(&event->what))
    TROUPE_CHECK(!now_so->subscription.empty() && !now_so->customer.empty() && now_so->period_end >= 0);
  return 0;
}

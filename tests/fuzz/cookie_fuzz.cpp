// The Cookie header: what it yields as a session is a token of ours that is in it; and with it, a change from another
// origin is refused.
#include "common/check.hpp"
#include "http/authentication.hpp"

using namespace troupe::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string header(reinterpret_cast<const char*>(data), size);
  request r;
  r.method = verb::post;
  r.headers.emplace_back("host", "studio.example.org");
  r.headers.emplace_back("origin", "http://evil.example.org");
  r.headers.emplace_back("cookie", header);
  auto shown = credentials_of(r);
  TROUPE_CHECK(shown.key.empty() && !shown.malformed && shown.session.size() <= 256);
  TROUPE_CHECK(shown.session.empty() || header.find("troupe_session=" + shown.session) != std::string::npos);
  TROUPE_CHECK(shown.session.find_first_of("; ,\"\r\n") == std::string::npos);
  if (!shown.session.empty())
    TROUPE_CHECK(!origin_allowed(r, {}));
  return 0;
}

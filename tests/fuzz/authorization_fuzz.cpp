// The Authorization header: what it yields as a key is a token of ours, or it is malformed; a cookie beside it counts
// for nothing.
#include "common/check.hpp"
#include "http/authentication.hpp"

#include <algorithm>

using namespace troupe::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  request r;
  r.headers.emplace_back("authorization", std::string(reinterpret_cast<const char*>(data), size));
  r.headers.emplace_back("cookie", "troupe_session=abc");
  auto shown = credentials_of(r);
  if (size == 0) {
    TROUPE_CHECK(shown.session == "abc");
    return 0;
  }
  TROUPE_CHECK(shown.session.empty() && shown.malformed == shown.key.empty());
  TROUPE_CHECK(shown.key.size() <= 256);
  TROUPE_CHECK(std::all_of(shown.key.begin(), shown.key.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; }));
  (void)family_of("/api/v1/models", r.header("authorization"));
  return 0;
}

// A cluster.conf: refused with its place, or every number is in its range and every choice is one.
#include "common/check.hpp"
#include "common/configuration.hpp"

#include <algorithm>

using namespace troupe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto read = read_configuration(text, "fuzz.conf");
  if (!read) {
    TROUPE_CHECK(read.error().code == "configuration" && read.error().message.find("fuzz.conf") != std::string::npos);
    return 0;
  }
  for (const auto& key : configuration_keys()) {
    auto slot = key.slot(*read);
    if (auto* number = std::get_if<std::int64_t*>(&slot))
      TROUPE_CHECK(**number >= key.least && **number <= key.most);
    if (auto* word = std::get_if<std::string*>(&slot); word && !key.choices.empty())
      TROUPE_CHECK(std::find(key.choices.begin(), key.choices.end(), **word) != key.choices.end());
  }
  return 0;
}

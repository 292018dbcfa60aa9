// A subtitle file: refused, or cues in order, each with a time that a film can have and text without markup's control
// characters; written out, they are read the same.
#include "common/check.hpp"
#include "gpu/media/compose.hpp"

#include <algorithm>

using namespace troupe::media;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  auto cues = parse_subrip(text);
  if (!cues) {
    TROUPE_CHECK(cues.error().code == "media");
    return 0;
  }
  double before = 0;
  for (const auto& cue : *cues) {
    TROUPE_CHECK(cue.start_s >= before && cue.end_s > cue.start_s && cue.end_s < 1002 * 3600.0);
    before = cue.start_s;
    TROUPE_CHECK(!cue.text.empty() && std::none_of(cue.text.begin(), cue.text.end(), [](char c) {
      return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
    }));
  }
  auto again = parse_subrip(to_subrip(*cues));
  TROUPE_CHECK(again && again->size() == cues->size());
  for (std::size_t i = 0; i < cues->size(); ++i)
    TROUPE_CHECK((*again)[i].text == (*cues)[i].text);
  return 0;
}

// A JSON body: parsed within its bounds, or refused with a position; then read against a description with every kind of
// field, whose rules hold for what was read; and what is stored is read back the same.
#include "common/check.hpp"
#include "common/json.hpp"
#include "http/fields.hpp"

namespace {

using namespace troupe;
using namespace troupe::http;

struct shot {
  std::string prompt;
  std::optional<std::int64_t> seed;
};
template <class V>
void describe(V& v, shot& x) {
  v.required("prompt", x.prompt, "", {.length_min = 1, .length_max = 20});
  v.optional("seed", x.seed, "", {.min = -1, .max = 2147483647});
}

struct body {
  int frames = 81;
  double cfg = 6;
  bool loop = false;
  std::string mode = "fast", site, mail, file, word, id;
  std::vector<shot> shots;
  std::map<std::string, double> weights;
  json anything;
};
template <class V>
void describe(V& v, body& x) {
  v.required("frames", x.frames, "", {.min = 1, .max = 999});
  v.optional("cfg", x.cfg, "", {.min = 0, .max = 30});
  v.optional("loop", x.loop, "");
  v.optional("mode", x.mode, "", {.one_of = {"fast", "slow"}});
  v.optional("site", x.site, "", {.length_max = 100, .form = form::url});
  v.optional("mail", x.mail, "", {.form = form::email});
  v.optional("file", x.file, "", {.form = form::file_name});
  v.optional("word", x.word, "", {.form = form::identifier});
  v.optional("id", x.id, "", {.form = form::uuid});
  v.optional("shots", x.shots, "", {.items_min = 1, .items_max = 3});
  v.optional("weights", x.weights, "", {.items_max = 3});
  v.optional("anything", x.anything, "");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  (void)unpack(input);
  (void)from_msgpack(input);
  auto value = parse_json(input);
  if (!value) {
    TROUPE_CHECK(!value.error().message.empty());
    return 0;
  }
  auto again = unpack(pack(*value));
  TROUPE_CHECK(again && (*again == *value || again->dump() == value->dump()));
  if (!value->is_object())
    return 0;
  body x;
  value_reader values;
  body_reader reader{values, *value, {}};
  describe(reader, x);
  TROUPE_CHECK(values.faults().size() <= 20);
  for (const auto& fault : values.faults())
    TROUPE_CHECK(!fault.field.empty() && !fault.message.empty());
  if (values.faults().empty()) {
    TROUPE_CHECK(x.frames >= 1 && x.frames <= 999 && x.cfg >= 0 && x.cfg <= 30);
    TROUPE_CHECK((x.mode == "fast" || x.mode == "slow") && x.shots.size() <= 3 && x.weights.size() <= 3);
    TROUPE_CHECK(x.file.find('/') == std::string::npos && x.file != "..");
  }
  return 0;
}

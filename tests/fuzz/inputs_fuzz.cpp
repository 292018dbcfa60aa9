// What a user gives a workflow to run: the first byte chooses one of those that are shipped, the rest is the JSON of
// the inputs. They are refused with the field's name, or make a plan within its bounds, the same each time.
#include "common/check.hpp"
#include "workflows/definition_store.hpp"
#include "workflows/expand.hpp"

#include <cstdlib>

using namespace troupe;
using namespace troupe::workflow;

namespace {

const std::vector<definition_ptr>& shipped() {
  static const auto all = [] {
    definition_store store;
    for (const auto& problem : store.load(TROUPE_DEFINITIONS)) {
      std::fprintf(stderr, "%s\n", problem.text().c_str());
      std::abort();
    }
    return store.all();
  }();
  return all;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0)
    return 0;
  const auto& workflow = *shipped()[data[0] % shipped().size()];
  auto value = parse_json({reinterpret_cast<const char*>(data) + 1, size - 1});
  if (!value)
    return 0;
  auto inputs = validate_inputs(workflow, *value);
  if (!inputs) {
    TROUPE_CHECK(inputs.error().code == "invalid_input" && !inputs.error().message.empty());
    TROUPE_CHECK(!json(inputs.error().message).dump().empty()); // it goes into an answer
    return 0;
  }
  auto again = validate_inputs(workflow, *inputs);
  TROUPE_CHECK(again && *again == *inputs);
  auto made = expand(workflow, *inputs, {"", 7});
  if (!made)
    return 0;
  TROUPE_CHECK(made->stages.size() <= plan::instances_max && made->price() >= 0);
  auto twin = expand(workflow, *inputs, {"", 7});
  TROUPE_CHECK(twin && twin->stages == made->stages);
  auto kept = plan_from_json(to_json(*made));
  TROUPE_CHECK(kept && kept->stages == made->stages);
  return 0;
}

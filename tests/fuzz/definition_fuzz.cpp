// A workflow's definition: refused with the place of each mistake, or whole: then it can be described, read again from
// what was kept of it, and expanded with the inputs' defaults within the plan's bounds.
#include "common/check.hpp"
#include "workflows/expand.hpp"

using namespace troupe;
using namespace troupe::workflow;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto read = parse_definition_text(text, "fuzz.json");
  TROUPE_CHECK((read.definition == nullptr) != read.problems.empty());
  for (const auto& problem : read.problems)
    TROUPE_CHECK(!problem.message.empty() && !problem.text().empty());
  if (!read.definition)
    return 0;
  const auto& workflow = *read.definition;
  auto again = parse_definition(workflow.document, "fuzz.json");
  TROUPE_CHECK(again.definition && again.definition->hash == workflow.hash);
  TROUPE_CHECK(!describe(workflow).dump().empty());
  auto inputs = validate_inputs(workflow, json::object());
  if (!inputs)
    return 0;
  auto made = expand(workflow, *inputs, {"made by troupe", 7});
  if (!made)
    return 0;
  TROUPE_CHECK(made->stages.size() <= plan::instances_max && made->price() >= 0);
  for (const auto& stage : made->stages)
    for (auto dependency : stage.dependencies)
      TROUPE_CHECK(dependency < stage.index);
  auto kept = plan_from_json(to_json(*made));
  TROUPE_CHECK(kept && kept->stages == made->stages && kept->results == made->results);
  return 0;
}

#include "workflows/definition.hpp"

#include <algorithm>
#include <array>

namespace troupe::workflow {

namespace {

constexpr std::array<std::string_view, 3> class_names{"interactive", "standard", "preemptible"};

} // namespace

std::string_view name_of(stage_class urgency) { return class_names[static_cast<std::size_t>(urgency)]; }

std::optional<stage_class> stage_class_of(std::string_view name) {
  auto found = std::find(class_names.begin(), class_names.end(), name);
  if (found == class_names.end())
    return std::nullopt;
  return static_cast<stage_class>(found - class_names.begin());
}

const stage_definition* definition::find_stage(std::string_view id) const {
  auto found = std::find_if(stages.begin(), stages.end(), [&](const auto& stage) { return stage.id == id; });
  return found == stages.end() ? nullptr : &*found;
}

const value_rule* definition::find_input(std::string_view input) const {
  auto found = std::find_if(inputs.begin(), inputs.end(), [&](const auto& one) { return one.first == input; });
  return found == inputs.end() ? nullptr : &found->second;
}

std::string definition::fan_out_root(const stage_definition& stage) const {
  const auto* at = &stage;
  // As many steps as there are stages end any chain; one that goes round is refused when a definition is checked.
  for (std::size_t steps = 0; steps <= stages.size() && at && at->for_each; ++steps) {
    if (!at->for_each->input.empty())
      return at->for_each->input;
    at = find_stage(at->for_each->stage);
  }
  return "";
}

std::string problem::text() const {
  auto out = file + ": ";
  if (!stage.empty())
    out += "stage '" + stage + "': ";
  if (!field.empty())
    out += field + ": ";
  return out + message;
}

json describe(const definition& workflow) {
  json out{{"name", workflow.name},
           {"version", workflow.version},
           {"title", workflow.title},
           {"description", workflow.description},
           {"inputs", schema_of(workflow.inputs)},
           {"stages", json::array()},
           {"results", json::array()}};
  if (workflow.min_tier)
    out["min_tier"] = catalog::name_of(*workflow.min_tier);
  for (const auto& stage : workflow.stages) {
    json entry{{"id", stage.id}, {"title", stage.title}, {"kind", stage.kind->name}, {"price", stage.price.rule}};
    if (auto root = workflow.fan_out_root(stage); !root.empty())
      entry["for_each"] = "inputs." + root;
    if (stage.min_tier)
      entry["min_tier"] = catalog::name_of(*stage.min_tier);
    out["stages"].push_back(std::move(entry));
  }
  for (const auto& result : workflow.results) {
    const auto* port = workflow.find_stage(result.from.stage)->kind->find_output(result.from.port);
    out["results"].push_back(
        {{"name", result.name}, {"filename", result.filename}, {"content_type", content_type_of(port->type)}});
  }
  return out;
}

} // namespace troupe::workflow

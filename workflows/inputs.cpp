#include "workflows/expand.hpp"

namespace troupe::workflow {

result<json> validate_inputs(const definition& workflow, const json& inputs) {
  if (!inputs.is_null() && !inputs.is_object())
    return fail("invalid_input", "inputs must be an object");
  auto checked = check_fields(workflow.inputs, inputs.is_null() ? json::object() : inputs, "");
  if (!checked)
    return checked;
  // Defaults that come from a chosen model can be looked up only now that the model is known.
  for (const auto& [name, rule] : workflow.inputs) {
    auto value = checked->find(name);
    bool fallback = value != checked->end() && value->is_string() && rule.fallback.is_string() &&
                    *value == rule.fallback && value->get_ref<const std::string&>().starts_with('$');
    bool given = inputs.is_object() && inputs.contains(name) && !inputs[name].is_null();
    if (!fallback || given)
      continue;
    scope in;
    in.inputs = &*checked;
    auto resolved = expression::parse(*value).value().evaluate(in);
    if (!resolved)
      return fail("invalid_input", name + " " + resolved.error().message);
    if (resolved->is_null()) { // the model was left out and has no default
      if (rule.required)
        return fail("invalid_input", name + " is required");
      checked->erase(name);
      continue;
    }
    auto fits = check_value(rule, *resolved, name);
    if (!fits)
      return fits;
    (*checked)[name] = std::move(*fits);
  }
  return checked;
}

} // namespace troupe::workflow

#pragma once

#include "workflows/plan.hpp"

#include <cstdint>
#include <string>

namespace troupe::workflow {

/// Checks what a user gave against the workflow's inputs and fills in the defaults; inputs the workflow does not have
/// are left out. Errors: `invalid_input`, the message beginning with the field ("shots[1].prompt must not be empty").
result<json> validate_inputs(const definition& workflow, const json& inputs);

/// What a plan depends on besides the inputs.
struct expansion_context {
  std::string watermark;     // drawn where the workflow says so; "": none
  std::int64_t run_seed = 0; // what seeds of -1 are derived from, with the stage's id and the item's index
};

/// All instances with their parameters, files and prices; pure: the same arguments give the same plan. `inputs` must
/// come from validate_inputs. Errors: `invalid_input` (a parameter or an argument out of range; the message begins with
/// the instance, "generate[1].frames …"), `too_many_stages`, `model_unavailable` (no embedded engine may serve the
/// model).
result<plan> expand(const definition& workflow, const json& inputs, const expansion_context& context);

/// The definite seed of an instance whose seed was left open: 0 … 2^31-1, from the run's seed, the stage and the item.
std::int64_t derive_seed(std::int64_t run_seed, std::string_view stage, std::uint32_t item);

} // namespace troupe::workflow

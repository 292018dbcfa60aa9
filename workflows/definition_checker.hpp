#pragma once

#include "workflows/definition.hpp"

#include <string>
#include <vector>

namespace troupe::workflow {

/// What the form of a document cannot show: references, types, ports, cycles, stages that nobody needs. Puts the stages
/// into an order in which each comes after all it needs, when there is one. Returns all that is wrong.
std::vector<problem> check_definition(definition& workflow, const std::string& file);

} // namespace troupe::workflow

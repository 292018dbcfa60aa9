#pragma once

#include "tests/simulation/scenario.hpp"

#include <string>
#include <vector>

namespace troupe::simulation {

/// The kind of a complaint: its words without the names and numbers.
std::string kind_of(const std::string& complaint);

/// The fewest steps found that still lead to a complaint of the same kind (Zeller, Hildebrandt: Simplifying and
/// Isolating Failure-Inducing Input, IEEE TSE 2002), faults first. `tries_max`: runs.
std::vector<std::size_t> shrink(const scenario& what, std::vector<std::size_t> kept, const std::string& complaint,
                                int tries_max);

} // namespace troupe::simulation

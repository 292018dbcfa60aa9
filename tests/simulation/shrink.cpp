#include "tests/simulation/shrink.hpp"

#include "tests/simulation/child.hpp"

#include <algorithm>
#include <cctype>

namespace troupe::simulation {

std::string kind_of(const std::string& complaint) {
  std::string out;
  bool in_name = false;
  for (char c : complaint) {
    bool digit = std::isdigit(static_cast<unsigned char>(c)) != 0;
    if (digit && !in_name)
      out += '#';
    in_name = digit;
    if (!digit)
      out += c;
  }
  return out;
}

std::vector<std::size_t> shrink(const scenario& what, std::vector<std::size_t> kept, const std::string& complaint,
                                int tries_max) {
  auto kind = kind_of(complaint);
  auto still = [&](const std::vector<std::size_t>& some) {
    return tries_max-- > 0 && kind_of(run_apart(what.with(some), false).complaint) == kind;
  };
  for (bool faults : {true, false}) {
    auto mine = [&](std::size_t i) { return (what.steps[i].what >= first_fault) == faults; };
    for (auto chunk = std::max<std::size_t>(kept.size() / 2, 1); chunk > 0 && tries_max > 0; chunk /= 2)
      for (std::size_t begin = 0; begin < kept.size() && tries_max > 0;) {
        auto end = std::min(begin + chunk, kept.size());
        std::vector<std::size_t> less;
        for (std::size_t i = 0; i < kept.size(); ++i)
          if (i < begin || i >= end || !mine(kept[i]))
            less.push_back(kept[i]);
        if (less.size() < kept.size() && still(less))
          kept = std::move(less);
        else
          begin = end;
      }
  }
  return kept;
}

} // namespace troupe::simulation

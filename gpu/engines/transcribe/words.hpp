#pragma once

#include <string>
#include <vector>

namespace troupe::engines {

/// A word as it is written, with its marks, and when it is said.
struct word {
  std::string text;
  double start_s = 0;
  double end_s = 0;
  double confidence = 1; // 0 … 1

  friend bool operator==(const word&, const word&) = default;
};

/// `text` without the marks around it: "(scene)," is scene.
std::string bare(const std::string& text);

} // namespace troupe::engines

#pragma once

#include "actors/scheduler/flat_index.hpp"

#include <string>

namespace troupe::scheduling {

/// Names as small numbers, of kinds, types and models, which are few.
class name_table {
public:
  /// The name's number; a new one where it has none.
  index number(std::string_view name) {
    auto known = find(name);
    if (known != none)
      return known;
    names_.emplace_back(name);
    numbers_.insert(flat_index::hash_of(name), static_cast<index>(names_.size() - 1));
    return static_cast<index>(names_.size() - 1);
  }

  /// none when it has no number.
  index find(std::string_view name) const {
    return numbers_.find(flat_index::hash_of(name), [&](index at) { return names_[at] == name; });
  }
  /// The number is of another name from now on, which must have none.
  void rename(index number, std::string_view name) {
    numbers_.erase(flat_index::hash_of(names_[number]), number);
    names_[number] = name;
    numbers_.insert(flat_index::hash_of(name), number);
  }
  const std::string& name(index number) const { return names_[number]; }
  std::size_t size() const { return names_.size(); }

private:
  std::vector<std::string> names_;
  flat_index numbers_;
};

} // namespace troupe::scheduling

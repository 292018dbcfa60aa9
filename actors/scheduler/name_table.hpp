#pragma once

#include "actors/scheduler/slab.hpp"

#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

namespace troupe::scheduling {

/// Names as small numbers, counted: a name that nobody holds any more is forgotten and its number used again.
class name_table {
public:
  /// The name's number; holds it once more.
  index hold(std::string_view name) {
    if (auto known = numbers_.find(name); known != numbers_.end()) {
      ++records_[known->second].holders;
      return known->second;
    }
    auto number = static_cast<index>(records_.size());
    if (free_.empty()) {
      records_.emplace_back();
    } else {
      number = free_.back();
      free_.pop_back();
    }
    records_[number] = {std::string{name}, 1};
    numbers_.emplace(records_[number].name, number);
    return number;
  }

  /// Lets go of one hold.
  void release(index number) {
    auto& record = records_[number];
    TROUPE_CHECK(record.holders > 0);
    if (--record.holders == 0) {
      numbers_.erase(record.name);
      record.name = {};
      free_.push_back(number);
    }
  }

  /// none when nobody holds it.
  index find(std::string_view name) const {
    auto known = numbers_.find(name);
    return known == numbers_.end() ? none : known->second;
  }
  const std::string& name(index number) const { return records_[number].name; }
  std::size_t size() const { return numbers_.size(); }

private:
  struct named {
    std::string name;
    std::uint32_t holders = 0;
  };
  std::deque<named> records_; // does not move its names: the map's keys look into them
  std::vector<index> free_;
  std::unordered_map<std::string_view, index> numbers_;
};

} // namespace troupe::scheduling

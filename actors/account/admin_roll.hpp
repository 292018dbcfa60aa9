#pragma once

#include <mutex>
#include <set>
#include <string>

namespace troupe {

/// The admins that can act: neither disabled nor deleted. All account actors share it, because each knows only itself:
/// of two last admins who take the role from each other at one moment, both would find the other still there. Table
/// `admins` keeps it over a restart. Thread-safe.
class admin_roll {
public:
  /// Once that is durable.
  void enter(const std::string& account) {
    std::lock_guard guard(mutex_);
    admins_.insert(account);
  }
  /// Before that is durable, so that the next one counts without it; enter() again should the disk not take it. False:
  /// it is the last one, and stays.
  bool leave(const std::string& account) {
    std::lock_guard guard(mutex_);
    if (admins_.size() <= admins_.count(account))
      return false;
    admins_.erase(account);
    return true;
  }
  bool is_last(const std::string& account) const {
    std::lock_guard guard(mutex_);
    return admins_.size() == 1 && admins_.contains(account);
  }

private:
  mutable std::mutex mutex_;
  std::set<std::string> admins_;
};

} // namespace troupe

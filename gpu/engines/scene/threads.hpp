#pragma once

// Rows of a picture shared out among threads.

#include "gpu/engines/scene/scene_renderer.hpp"

#include <memory>

namespace troupe::engines::scene {

/// Threads that wait for rows. What they draw does not depend on how many they are.
class thread_team {
public:
  /// `threads` counts the caller, who works too.
  explicit thread_team(unsigned threads);
  ~thread_team();
  thread_team(const thread_team&) = delete;
  thread_team& operator=(const thread_team&) = delete;

  /// Runs rows(from, to) over 0 … count in blocks; returns when all are done. One caller at a time.
  void run(int count, const std::function<void(int from, int to)>& rows);

private:
  class team;
  std::unique_ptr<team> team_;
};

} // namespace troupe::engines::scene

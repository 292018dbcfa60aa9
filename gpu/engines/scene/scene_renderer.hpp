#pragma once

// From a plan to pixels: pure functions of the plan, the place in the picture and the time, in two passes. The same
// plan gives the same bytes on every machine, whatever the number of threads.

#include "gpu/engines/scene/scene_plan.hpp"
#include "gpu/engines/scene/view.hpp"

#include <cstdint>
#include <functional>
#include <vector>

namespace troupe::engines::scene {

/// Runs `rows(from, to)` over all of 0 … count, in any order and on any threads, and returns when all are done.
using row_runner = std::function<void(int count, const std::function<void(int from, int to)>& rows)>;

/// Draws the frames of one shot. One thread at a time; the row_runner brings the others.
class scene_renderer {
public:
  scene_renderer(const scene_plan& plan, int width, int height);

  /// Draws the picture at `seconds` into packed RGB, width x height x 3 bytes.
  void render(double seconds, const row_runner& run, std::uint8_t* pixels);

private:
  void draw_ridges(int from, int to);
  void draw_soft(int from, int to);
  void draw(int from, int to, std::uint8_t* pixels) const;

  scene_plan plan_;
  int width_;
  int height_;
  view view_;
  std::vector<soft_cell> soft_;
  std::vector<float> ridges_;
};

} // namespace troupe::engines::scene

#pragma once

// A still picture brought to life: the camera goes over it, the light breathes, and the prompt's weather falls before
// it.

#include "gpu/engines/scene/scene_renderer.hpp"
#include "gpu/media/media.hpp"

namespace troupe::engines::scene {

/// Draws the frames of a shot that begins with a given picture. The first frame is that picture, filling the frame.
class ken_burns {
public:
  /// `picture` may have any size; what does not fit the frame is cut off at its sides.
  static result<ken_burns> open(const scene_plan& plan, const media::frame& picture, int width, int height);

  /// Draws the picture at `seconds` into packed RGB.
  void render(double seconds, const row_runner& run, std::uint8_t* pixels);

private:
  void draw(const view& at, int from, int to, std::uint8_t* pixels) const;
  rgb sample(float x, float y) const;

  scene_plan plan_;
  media::frame picture_; // in the frame's size
  int width_ = 0;
  int height_ = 0;
};

} // namespace troupe::engines::scene

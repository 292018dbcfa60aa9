#pragma once

// The video and image models that the studio API names: what they are for, their defaults and their prices. Whether one
// can be served now is for the cluster to say; here is only whether an embedded engine may stand in for it.

#include "common/catalog/prices.hpp"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace troupe::catalog {

enum class category { text_to_video, image_to_video, first_last_frame, sound_to_video, specialised };

/// "text-to-video", "image-to-video", "first-last-frame", "sound-to-video", "specialised".
std::string_view name_of(category which);

/// What a request that leaves a field out gets. Every default fits the Free tier. A rate is in frames per second.
struct video_defaults {
  std::int64_t width, height, frames, steps;
  double cfg;
  std::string_view sampler, scheduler;
  double shift;
  std::int64_t frame_rate;
};

struct video_model {
  std::string_view id;
  std::string_view name;
  std::string_view description;
  catalog::category category;
  video_defaults defaults;
  video_formula price; // unless the operator set another: price_of()
  /// What it must be given besides a prompt: "image", "last_image", "audio", "video", "control_video". Empty: text
  /// alone.
  std::vector<std::string_view> needs;
  /// The stage kind of the embedded engine that may serve it as a preview; empty when none can do so honestly.
  std::string_view stand_in;
  /// For users: why no embedded engine stands in. Empty when one does.
  std::string_view no_stand_in;
};

/// All of them, in the order of the studio API's documentation.
std::span<const video_model> video_models();
/// Null when there is none of that id.
const video_model* find_video_model(std::string_view id);
/// The formula in force.
const video_formula& price_of(const video_model& model);

struct image_defaults {
  std::int64_t width, height, steps;
  double cfg;
};

struct image_model {
  std::string_view id;
  std::string_view name;
  std::string_view description;
  image_defaults defaults;
  micro_credits price; // an image; unless the operator set another: price_of()
  std::vector<std::string_view> needs;
  std::string_view stand_in;
  std::string_view no_stand_in;
};

std::span<const image_model> image_models();
/// Null when there is none of that id.
const image_model* find_image_model(std::string_view id);
/// What an image costs now.
micro_credits price_of(const image_model& model);

} // namespace troupe::catalog

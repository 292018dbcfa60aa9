#include "common/catalog/tiers.hpp"

#include <algorithm>

namespace troupe::catalog {

namespace {

struct tier_words {
  std::string_view name, title;
};

constexpr std::array<tier_words, tier_count> words{{{"free", "Free"},
                                                    {"starter", "Starter"},
                                                    {"creator", "Creator"},
                                                    {"pro", "Pro"},
                                                    {"studio", "Studio"},
                                                    {"enterprise", "Enterprise"}}};

bool allows(const tier_limits& limits, const demand& work) {
  return limits.size.allows(work.width, work.height) && work.frames <= limits.frames_max;
}

} // namespace

std::string_view name_of(tier which) { return words[static_cast<std::size_t>(which)].name; }

std::string_view title_of(tier which) { return words[static_cast<std::size_t>(which)].title; }

std::optional<tier> tier_of(std::string_view name) {
  for (std::size_t rank = 0; rank < tier_count; ++rank)
    if (words[rank].name == name)
      return static_cast<tier>(rank);
  return std::nullopt;
}

bool resolution::allows(std::int64_t width, std::int64_t height) const {
  auto [shorter, longer] = std::minmax(width, height);
  return shorter <= short_side_max && longer <= long_side_max;
}

std::optional<resolution> resolution_of(std::string_view name) {
  if (name == "480p")
    return resolution{"480p", 480, 854};
  if (name == "720p")
    return resolution{"720p", 720, 1280};
  if (name == "1080p")
    return resolution{"1080p", 1080, 1920};
  if (name == "4K")
    return resolution{"4K", 2160, 4096};
  return std::nullopt;
}

tier_table default_tiers() {
  auto sd = *resolution_of("480p"), hd = *resolution_of("1080p"), uhd = *resolution_of("4K");
  return {{{150, sd, 81, true, 1},
           {500, hd, 121, false, 2},
           {1'500, uhd, 201, false, 3},
           {5'000, uhd, 301, false, 4},
           {15'000, uhd, 301, false, 6},
           {50'000, uhd, 999, false, 8}}};
}

std::optional<tier> lowest_tier_for(const tier_table& table, const demand& work) {
  for (std::size_t rank = 0; rank < tier_count; ++rank)
    if (allows(table[rank], work))
      return static_cast<tier>(rank);
  return std::nullopt;
}

result<void> check_demand(const tier_table& table, tier has, const demand& work) {
  const auto& limits = limits_of(table, has);
  if (allows(limits, work))
    return {};
  std::string what;
  if (work.frames > limits.frames_max)
    what = "frames: " + std::to_string(work.frames) + " is over the " + std::string{title_of(has)} + " tier's " +
           std::to_string(limits.frames_max);
  else
    what = "width, height: " + std::to_string(work.width) + " x " + std::to_string(work.height) + " is over the " +
           std::string{title_of(has)} + " tier's " + limits.size.name;
  auto needed = lowest_tier_for(table, work);
  if (!needed)
    return fail("beyond_all_tiers", what + ", and over what any tier allows");
  return fail("tier_required", what + "; the " + std::string{title_of(*needed)} + " tier allows it");
}

tier required_tier(feature which) {
  switch (which) {
    case feature::stock_media:
    case feature::speech:
    case feature::upscale: return tier::creator;
    case feature::hosting:
    case feature::organisations:
    case feature::brand_kits:
    case feature::subtitle_translation:
    case feature::face_swap: return tier::pro;
  }
  return tier::enterprise;
}

} // namespace troupe::catalog

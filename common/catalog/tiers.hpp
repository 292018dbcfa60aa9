#pragma once

// What each subscription tier grants and allows. The operator may change the numbers; names and order are fixed.

#include "common/result.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::catalog {

/// In rank order: a higher tier has every feature of the lower ones.
enum class tier { free, starter, creator, pro, studio, enterprise };

inline constexpr std::size_t tier_count = 6;

/// "free", "starter", …: the name in requests and answers.
std::string_view name_of(tier which);
/// "Free", "Starter", …: for people.
std::string_view title_of(tier which);
/// The tier of that name, in lower case; nothing for another word.
std::optional<tier> tier_of(std::string_view name);

/// A picture is within a resolution when its shorter side is at most `short_side_max` and its longer at most
/// `long_side_max`, so portrait and landscape are treated alike. 480p is 854 × 480 (848 × 480 fits), 1080p is 1920 ×
/// 1080, 4K is 4096 × 2160 (the wider of the two 4K formats).
struct resolution {
  std::string name;
  std::int64_t short_side_max = 0;
  std::int64_t long_side_max = 0;

  bool allows(std::int64_t width, std::int64_t height) const;
};

/// The resolution of that name ("480p", "720p", "1080p", "4K"); nothing for another word.
std::optional<resolution> resolution_of(std::string_view name);

struct tier_limits {
  std::int64_t credits_per_month = 0; // whole credits
  resolution size;
  std::int64_t frames_max = 0;
  bool watermark = false;  // drawn on every video
  std::int64_t weight = 1; // of its accounts in the fair queue; 1 … 10,000
};

/// One entry a tier, by rank.
using tier_table = std::array<tier_limits, tier_count>;

/// The table of the studio API's documentation ("Subscription Tiers").
tier_table default_tiers();

inline const tier_limits& limits_of(const tier_table& table, tier which) {
  return table[static_cast<std::size_t>(which)];
}

/// What a piece of work asks of a tier: the largest picture and the longest clip in it. 0: none.
struct demand {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t frames = 0;
};

/// The lowest tier that allows all of it; nothing when no tier does.
std::optional<tier> lowest_tier_for(const tier_table& table, const demand& work);

/// Whether `has` may do it. Errors: `tier_required` (a higher tier may: lowest_tier_for says which),
/// `beyond_all_tiers` (no tier may: the value is wrong, not the tier). The message begins with the field.
result<void> check_demand(const tier_table& table, tier has, const demand& work);

/// What only some tiers have, apart from sizes.
enum class feature {
  stock_media,
  speech,
  upscale,
  hosting,
  organisations,
  brand_kits,
  subtitle_translation,
  face_swap
};

/// The lowest tier that has it.
tier required_tier(feature which);

} // namespace troupe::catalog

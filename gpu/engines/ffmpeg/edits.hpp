#pragma once

// What each edit does to its inputs, as a composition to be carried out. Reads its inputs' headers, writes nothing but
// the burned-in subtitles' script.

#include "gpu/engines/engine.hpp"
#include "gpu/media/compose.hpp"

namespace troupe::engines::edits {

using plan = boost::system::result<media::composition, stage_failure>;

plan trim(const stage_request& request);
plan concat(const stage_request& request);
plan mix(const stage_request& request);
plan subtitle(const stage_request& request);
plan watermark(const stage_request& request);

} // namespace troupe::engines::edits

#pragma once

#include "common/result.hpp"

#include <string>

namespace troupe::app {

/// A portrait of an uploaded picture, made by this program started again with little memory, time and no files: what
/// the picture does to a codec, it does to that process. Blocks. Errors: `media`, those of engines::run_child.
result<std::string> make_portrait(const std::string& picture);

/// main() calls this first. It returns in every other process, and never in the one that makes a portrait.
void portray_if_asked(int argc, char** argv);

} // namespace troupe::app

#pragma once

// What a stage can be: the fixed contract between workflow definitions and the engines on the nodes. A kind is named
// engine.operation; it has ports for files in and out, and parameters.

#include "workflows/value_rule.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::workflow {

/// What a file is. A port that takes `any` takes all of them, one that takes `sound` takes audio and video.
enum class media { image, video, audio, sound, subtitles, words, data, any };

std::string_view name_of(media what);
/// The content type of an output ("video/mp4", …); empty for `sound` and `any`, which only inputs are.
std::string_view content_type_of(media what);
/// Whether a port of type `port` takes a file of type `file`.
bool accepts(media port, media file);

struct input_port {
  std::string name;
  media type = media::any;
  bool optional = false;
  bool list = false; // takes several files, list_min … list_max
  std::size_t list_min = 1, list_max = 1;
};

struct output_port {
  std::string name;
  media type = media::data;
  bool optional = false; // made only with some parameters
};

struct stage_kind {
  std::string name;
  std::string title;
  std::vector<input_port> inputs; // in the order in which an engine gets them
  std::vector<std::pair<std::string, value_rule>> params;
  std::vector<output_port> outputs;

  const input_port* find_input(std::string_view port) const;
  const output_port* find_output(std::string_view port) const;
  const value_rule* find_param(std::string_view param) const;
};

/// All kinds, in a fixed order.
std::span<const stage_kind> stage_kinds();
/// Null when there is none of that name.
const stage_kind* find_stage_kind(std::string_view name);

/// Checks resolved parameters and fills in defaults; parameters the kind does not have are refused. Errors:
/// `invalid_input`, the message beginning with the parameter's name.
result<json> check_params(const stage_kind& kind, const json& params);

/// {"kind", "title", "inputs", "params": JSON Schema, "outputs"}: for the documentation and the console.
json describe(const stage_kind& kind);

} // namespace troupe::workflow

#include "workflows/stage_kinds.hpp"

#include <algorithm>
#include <limits>

namespace troupe::workflow {

namespace {

using fields = std::vector<std::pair<std::string, value_rule>>;

constexpr double seed_max = 2147483647;

value_rule text(std::size_t min_length, std::size_t max_length, std::string description) {
  value_rule rule;
  rule.description = std::move(description);
  rule.min_length = min_length;
  rule.max_length = max_length;
  rule.required = min_length > 0;
  if (min_length == 0)
    rule.fallback = "";
  return rule;
}

value_rule numeric(value_type type, double min, double max, json fallback, std::string description) {
  value_rule rule;
  rule.type = type;
  rule.description = std::move(description);
  rule.min = min;
  rule.max = max;
  rule.required = fallback.is_null();
  rule.fallback = std::move(fallback);
  return rule;
}

value_rule integer(double min, double max, json fallback, std::string description) {
  return numeric(value_type::integer, min, max, std::move(fallback), std::move(description));
}

value_rule number(double min, double max, json fallback, std::string description) {
  return numeric(value_type::number, min, max, std::move(fallback), std::move(description));
}

value_rule optional(value_rule rule) {
  rule.required = false;
  rule.fallback = nullptr;
  return rule;
}

value_rule side(std::int64_t fallback, std::string description) {
  auto rule = integer(64, 4096, fallback, std::move(description));
  rule.multiple_of = 2;
  return rule;
}

value_rule flag(bool fallback, std::string description) {
  value_rule rule;
  rule.type = value_type::boolean;
  rule.description = std::move(description);
  rule.fallback = fallback;
  return rule;
}

value_rule choice(std::vector<std::string> words, std::string fallback, std::string description) {
  value_rule rule;
  rule.type = value_type::choice;
  rule.description = std::move(description);
  rule.choices = std::move(words);
  rule.fallback = std::move(fallback);
  return rule;
}

input_port takes(std::string name, media type) { return {std::move(name), type, false, false, 1, 1}; }

fields picture() {
  return {{"prompt", text(1, 2'000, "What to show")},
          {"negative_prompt", text(0, 2'000, "What not to show")},
          {"width", side(848, "Pixels")},
          {"height", side(480, "Pixels")},
          {"seed", integer(0, seed_max, nullptr, "The same seed gives the same pictures")}};
}

stage_kind scene_video() {
  auto params = picture();
  fields more{{"frames", integer(1, 999, 41, "How many pictures")},
              {"frame_rate", integer(1, 60, 24, "Pictures a second")},
              {"model", text(0, 100, "The model that is asked for")},
              {"steps", integer(1, 200, 4, "Sampling steps")},
              {"cfg", number(0, 30, 1, "Guidance scale")},
              {"sampler", text(0, 100, "Sampler")},
              {"scheduler", text(0, 100, "Noise schedule")},
              {"shift", optional(number(0, 100, nullptr, "Flow shift"))},
              {"watermark", text(0, 200, "Drawn on every picture when not empty")}};
  more[2].second.fallback = "scene";
  params.insert(params.end(), more.begin(), more.end());
  return {"scene.video",
          "Text to video",
          {{"image", media::image, true, false, 1, 1}},
          std::move(params),
          {{"video", media::video, false}}};
}

fields upscaling() {
  return {{"factor", integer(1, 4, 2, "How many times wider and higher; 1 hands the input through")},
          {"method", choice({"neural", "lanczos"}, "neural", "How")}};
}

stage_kind speech() {
  return {
      "speech.synthesize",
      "Text to speech",
      {},
      {{"text", text(1, 2'000, "What to say")},
       {"voice", choice({"en_gb_male", "en_gb_female", "en_us_male", "en_us_female"}, "en_gb_female", "Who says it")},
       {"speed", number(0.5, 2, 1, "How fast, 1 is normal")}},
      {{"audio", media::audio, false}}};
}

stage_kind concat() {
  return {"ffmpeg.concat",
          "Join clips",
          {{"videos", media::video, false, true, 1, 20}},
          {{"crossfade_s", number(0, 5, 0.5, "How long one clip fades into the next, in seconds")}},
          {{"video", media::video, false}}};
}

stage_kind mix() {
  return {"ffmpeg.mix",
          "Put sound on a video",
          {takes("video", media::video), takes("audio", media::sound)},
          {{"offset_seconds", number(0, 3600, 0, "When the sound begins")},
           {"volume", number(0, 4, 1, "How loud, 1 is unchanged")},
           {"extend", flag(true, "Hold the last picture until the sound has ended")}},
          {{"video", media::video, false}}};
}

stage_kind subtitle() {
  return {"ffmpeg.subtitle",
          "Put subtitles on a video",
          {takes("video", media::video), takes("subtitles", media::subtitles)},
          {{"burn", flag(true, "Draw them into the pictures")},
           {"soft", flag(true, "Add them as a track that can be switched off")},
           {"style", choice({"default", "bold-yellow", "minimal"}, "default", "How burned ones look")},
           {"language", text(0, 8, "ISO 639-2 code of the track")}},
          {{"video", media::video, false}}};
}

stage_kind watermark() {
  return {"ffmpeg.watermark",
          "Draw a text on a video",
          {takes("video", media::video)},
          {{"text", text(1, 200, "The text")},
           {"position", choice({"top-left", "top-right", "bottom-left", "bottom-right"}, "bottom-right", "Where")}},
          {{"video", media::video, false}}};
}

stage_kind null_work() {
  return {"null.work",
          "Nothing, for benchmarks and tests",
          {{"after", media::any, true, false, 1, 1}},
          {{"ms", integer(0, 600'000, 0, "How long it works, in milliseconds")},
           {"fail", choice({"", "bad_input", "device", "unknown", "out_of_memory"}, "", "Fail in this way")},
           {"fail_attempts", integer(0, 1'000, 0, "Fail on attempts up to this one")},
           {"bytes", integer(0, 16'777'216, 0, "Size of its file; 0: makes none")},
           {"seed", integer(0, seed_max, 0, "What the file's content is made from")}},
          {{"data", media::data, true}}};
}

std::vector<stage_kind> build() {
  std::vector<stage_kind> kinds;
  kinds.push_back(scene_video());
  kinds.push_back({"scene.image", "Text to image", {}, picture(), {{"image", media::image, false}}});
  kinds.push_back({"upscale.video",
                   "Enlarge a video",
                   {takes("video", media::video)},
                   upscaling(),
                   {{"video", media::video, false}}});
  kinds.push_back({"upscale.image",
                   "Enlarge an image",
                   {takes("image", media::image)},
                   upscaling(),
                   {{"image", media::image, false}}});
  kinds.push_back(speech());
  kinds.push_back({"transcribe.audio",
                   "Speech to subtitles",
                   {takes("audio", media::sound)},
                   {{"language", choice({"en"}, "en", "What is spoken")}},
                   {{"subtitles", media::subtitles, false}, {"words", media::words, false}}});
  kinds.push_back({"ffmpeg.trim",
                   "Cut a video",
                   {takes("video", media::video)},
                   {{"start_seconds", number(0, 86'400, nullptr, "From")},
                    {"end_seconds", number(0, 86'400, nullptr, "To; after start_seconds")}},
                   {{"video", media::video, false}}});
  kinds.push_back(concat());
  kinds.push_back(mix());
  kinds.push_back(subtitle());
  kinds.push_back(watermark());
  kinds.push_back(null_work());
  kinds[9].params[3].second.fallback = "eng";
  return kinds;
}

const std::vector<stage_kind>& table() {
  static const std::vector<stage_kind> kinds = build();
  return kinds;
}

template <class Named>
const Named* find_named(const std::vector<Named>& all, std::string_view name) {
  auto found = std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

// What a rule about one parameter cannot say.
result<void> check_together(const stage_kind& kind, const json& params) {
  if (kind.name == "ffmpeg.trim" && params["end_seconds"].get<double>() <= params["start_seconds"].get<double>())
    return fail("invalid_input", "end_seconds must be greater than start_seconds");
  return {};
}

} // namespace

std::string_view name_of(media what) {
  switch (what) {
    case media::image: return "image";
    case media::video: return "video";
    case media::audio: return "audio";
    case media::sound: return "audio or video";
    case media::subtitles: return "subtitles";
    case media::words: return "words";
    case media::data: return "data";
    case media::any: return "any";
  }
  return "";
}

std::string_view content_type_of(media what) {
  switch (what) {
    case media::image: return "image/png";
    case media::video: return "video/mp4";
    case media::audio: return "audio/wav";
    case media::subtitles: return "application/x-subrip";
    case media::words: return "application/json";
    case media::data: return "application/octet-stream";
    case media::sound:
    case media::any: return "";
  }
  return "";
}

bool accepts(media port, media file) {
  return port == media::any || port == file || (port == media::sound && (file == media::audio || file == media::video));
}

const input_port* stage_kind::find_input(std::string_view port) const { return find_named(inputs, port); }

const output_port* stage_kind::find_output(std::string_view port) const { return find_named(outputs, port); }

const value_rule* stage_kind::find_param(std::string_view param) const {
  auto found = std::find_if(params.begin(), params.end(), [&](const auto& one) { return one.first == param; });
  return found == params.end() ? nullptr : &found->second;
}

std::span<const stage_kind> stage_kinds() { return table(); }

const stage_kind* find_stage_kind(std::string_view name) { return find_named(table(), name); }

result<json> check_params(const stage_kind& kind, const json& params) {
  if (!params.is_object())
    return fail("invalid_input", "params must be an object");
  for (const auto& [name, value] : params.items())
    if (!kind.find_param(name))
      return fail("invalid_input", name + " is not a parameter of " + kind.name);
  auto checked = check_fields(kind.params, params, "");
  if (!checked)
    return checked;
  if (auto together = check_together(kind, *checked); !together)
    return together.error();
  return checked;
}

json describe(const stage_kind& kind) {
  json out{{"kind", kind.name},
           {"title", kind.title},
           {"inputs", json::array()},
           {"params", schema_of(kind.params)},
           {"outputs", json::array()}};
  for (const auto& port : kind.inputs)
    out["inputs"].push_back({{"port", port.name},
                             {"type", name_of(port.type)},
                             {"optional", port.optional},
                             {"list", port.list},
                             {"min", port.optional ? 0 : port.list_min},
                             {"max", port.list_max}});
  for (const auto& port : kind.outputs)
    out["outputs"].push_back(
        {{"port", port.name}, {"content_type", content_type_of(port.type)}, {"optional", port.optional}});
  return out;
}

} // namespace troupe::workflow

// subtitle: cues drawn into the pictures, as a track beside them, or both.

#include "gpu/engines/ffmpeg/edits.hpp"
#include "gpu/engines/ffmpeg/filters.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

namespace troupe::engines::edits {
namespace {

constexpr std::size_t subtitles_bytes_max = 4 << 20;

boost::system::result<std::vector<media::cue>, stage_failure> read_cues(const stage_request& request,
                                                                        double duration_s) {
  const auto inputs = inputs_of(request, "subtitles");
  if (inputs.empty())
    return stage_failure(fault::bad_input, "the input `subtitles` is missing");
  std::ifstream in(inputs[0]->path, std::ios::binary);
  std::string text(subtitles_bytes_max + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  auto cues = media::parse_subrip(text);
  if (!cues)
    return to_stage_failure(cues.error());
  // A cue that outlasts the picture would make the film longer.
  std::erase_if(*cues, [duration_s](const media::cue& c) { return c.start_s >= duration_s; });
  for (auto& shown : *cues)
    shown.end_s = std::min(shown.end_s, duration_s);
  return *cues;
}

/// One line of ASS: a brace would open an override, a backslash a command.
std::string ass_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n')
      out += "\\N";
    else if (c == '{' || c == '}')
      out += std::string("\\") + c;
    else if (c == '\\')
      out += "\\\xE2\x81\xA0"; // a word joiner, which shows nothing, keeps the backslash from meaning something
    else
      out.push_back(c);
  }
  return out;
}

std::string ass_time(double seconds) {
  const auto cs = std::llround(std::clamp(seconds, 0.0, 359'999.0) * 100);
  char text[32];
  std::snprintf(text, sizeof text, "%lld:%02lld:%02lld.%02lld", cs / 360'000, cs / 6000 % 60, cs / 100 % 60, cs % 100);
  return text;
}

/// Colours are ABGR. Sizes are in the film's pixels.
std::string ass_style(const std::string& name, int height) {
  const bool yellow = name == "bold-yellow";
  const bool minimal = name == "minimal";
  const int size = std::max(10, height * (yellow ? 9 : minimal ? 6 : 8) / 100);
  const double outline = minimal ? 0 : std::max(1.0, size / (yellow ? 10.0 : 13.0));
  const double shadow = minimal ? std::max(1.0, size / 18.0) : 0;
  return std::string("Style: Default,DejaVu Sans,") + std::to_string(size) + "," +
         (yellow    ? "&H0000E6FF"
          : minimal ? "&H10FFFFFF"
                    : "&H00FFFFFF") +
         ",&H00FFFFFF,&H00101010,&H80000000," + (yellow ? "-1" : "0") + ",0,0,0,100,100,0,0,1," + decimal(outline) +
         "," + decimal(shadow) + ",2," + std::to_string(height / 20) + "," + std::to_string(height / 20) + "," +
         std::to_string(height / 16) + ",1\n";
}

std::string ass_script(const std::vector<media::cue>& cues, const std::string& style, int width, int height) {
  std::string out =
      "[Script Info]\nScriptType: v4.00+\nWrapStyle: 0\nScaledBorderAndShadow: yes\nPlayResX: " +
      std::to_string(width) + "\nPlayResY: " + std::to_string(height) +
      "\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, "
      "BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, "
      "Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n" +
      ass_style(style, height) +
      "\n[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n";
  for (const auto& shown : cues)
    out += "Dialogue: 0," + ass_time(shown.start_s) + "," + ass_time(shown.end_s) + ",Default,,0,0,0,," +
           ass_text(shown.text) + "\n";
  return out;
}

bool is_language(const std::string& code) {
  return code.size() == 3 && std::all_of(code.begin(), code.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

} // namespace

plan subtitle(const stage_request& request) {
  parameter_reader read(request.params);
  const bool burn = read.flag("burn", true);
  const bool soft = read.flag("soft", true);
  const std::string style = read.choice("style", {"default", "bold-yellow", "minimal"});
  const std::string language = read.text("language", "eng", 3);
  if (!is_language(language))
    read.wrong("language", "a language code of three lower-case letters, like eng");
  if (read.failure())
    return *read.failure();
  auto source = open_clip(request, "video");
  if (!source)
    return source.error();
  const auto& info = source->info;
  auto cues = read_cues(request, info.duration_s);
  if (!cues)
    return cues.error();

  media::composition made = of_clip(*source, request.threads);
  made.video = (burn && !cues->empty()) || info.codec != "h264";
  if (made.video)
    made.filters += chain("v0", {constant_rate(info.frame_rate), picture_format(info.width, info.height)},
                          burn && !cues->empty() ? "plain" : "video");
  if (burn && !cues->empty()) {
    const auto script = request.folder / "burn.ass";
    std::ofstream out(script, std::ios::binary);
    out << ass_script(*cues, style, info.width / 2 * 2, info.height / 2 * 2);
    out.close();
    if (!out)
      return stage_failure(fault::unknown, "the subtitles' script cannot be written");
    made.filters += chain("plain",
                          {"ass=filename=" + media::filter_value(script.string()) +
                           ":fontsdir=" + media::filter_value(media::fonts_folder().string())},
                          "video");
  }
  if (soft)
    made.subtitles = std::move(*cues);
  made.language = language;
  return made;
}

} // namespace troupe::engines::edits

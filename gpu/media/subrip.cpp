#include "gpu/media/compose.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string_view>

namespace troupe::media {
namespace {

constexpr std::size_t bytes_max = 4 << 20;
constexpr std::size_t cues_max = 20'000;
constexpr std::size_t cue_bytes_max = 2000;
constexpr double seconds_max = 359'999; // 99:59:59

/// Strict UTF-8 (RFC 3629): no overlong forms, no surrogates.
bool is_utf8(std::string_view s) {
  for (std::size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const std::size_t more = c < 0x80                ? 0
                             : c >= 0xC2 && c < 0xE0 ? 1
                             : (c & 0xF0U) == 0xE0U  ? 2
                             : c >= 0xF0 && c < 0xF5 ? 3
                                                     : 9;
    if (more == 9 || i + more >= s.size())
      return false;
    for (std::size_t k = 1; k <= more; ++k)
      if ((static_cast<unsigned char>(s[i + k]) & 0xC0U) != 0x80U)
        return false;
    const auto second = more > 0 ? static_cast<unsigned char>(s[i + 1]) : 0U;
    if ((c == 0xE0 && second < 0xA0) || (c == 0xED && second >= 0xA0) || (c == 0xF0 && second < 0x90) ||
        (c == 0xF4 && second >= 0x90))
      return false;
    i += more + 1;
  }
  return true;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = text.find_first_of("\r\n");
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos)
      break;
    text.remove_prefix(text.substr(end, 2) == "\r\n" ? end + 2 : end + 1);
  }
  return lines;
}

/// "01:02:03,456" or "02:03.4", with anything behind it.
std::optional<double> read_time(std::string_view text) {
  const auto end = text.find_first_not_of(" \t0123456789:,."); // sscanf would take a sign for part of a number
  const std::string copy(text.substr(0, std::min<std::size_t>(end, 32)));
  unsigned h = 0, m = 0, s = 0, ms = 0;
  if (std::sscanf(copy.c_str(), " %3u:%2u:%2u%*1[,.]%3u", &h, &m, &s, &ms) < 3) {
    h = 0;
    if (std::sscanf(copy.c_str(), " %3u:%2u%*1[,.]%3u", &m, &s, &ms) < 2)
      return std::nullopt;
  }
  return h * 3600.0 + m * 60.0 + s + ms / 1000.0;
}

/// What is later than can be written with two digits of hours is no timing.
std::optional<cue> read_timing(std::string_view line) {
  const auto arrow = line.find("-->");
  if (arrow == std::string_view::npos)
    return std::nullopt;
  const auto start = read_time(line.substr(0, arrow));
  const auto end = read_time(line.substr(arrow + 3));
  if (!start || !end || *end <= *start || *end > seconds_max)
    return std::nullopt;
  return cue{*start, *end, {}};
}

/// Tabs are blanks; other control characters are not there.
std::string without_controls(std::string_view line) {
  std::string out;
  for (const char c : line)
    if (c == '\t')
      out.push_back(' ');
    else if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F)
      out.push_back(c);
  return out;
}

/// Without tags (<i>, <font …>) and override blocks ({\an8}).
std::string without_markup(std::string_view line) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool tag = c == '<' && i + 1 < line.size() &&
                     (std::isalpha(static_cast<unsigned char>(line[i + 1])) != 0 || line[i + 1] == '/');
    const bool block = c == '{' && i + 1 < line.size() && line[i + 1] == '\\';
    if (tag || block)
      if (const auto close = line.find(tag ? '>' : '}', i); close != std::string_view::npos) {
        i = close;
        continue;
      }
    out.push_back(c);
  }
  while (!out.empty() && out.back() == ' ')
    out.pop_back();
  return out;
}

/// The text of a line: read once more it is the same, also where taking something out put new markup together.
std::string plain(std::string_view line) {
  auto text = without_controls(line);
  for (auto less = without_markup(text); less != text; less = without_markup(text))
    text = std::move(less);
  return text;
}

bool is_number(std::string_view line) {
  return !line.empty() && std::all_of(line.begin(), line.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

/// The lines below a timing line up to the next cue. What would be a cue's beginning without its markup is one.
std::string read_text(const std::vector<std::string_view>& lines, std::size_t& at) {
  std::string text;
  for (; at < lines.size() && !lines[at].empty(); ++at) {
    const std::string line = plain(lines[at]);
    if (read_timing(line) || (is_number(line) && at + 1 < lines.size() && read_timing(plain(lines[at + 1]))))
      break;
    if (line.empty() || text.size() + line.size() > cue_bytes_max)
      continue;
    text += (text.empty() ? "" : "\n") + line;
  }
  return text;
}

} // namespace

result<std::vector<cue>> parse_subrip(const std::string& text) {
  if (text.size() > bytes_max)
    return fail("media", "the subtitles are larger than 4 MiB");
  if (!is_utf8(text))
    return fail("media", "the subtitles are not UTF-8 text");
  const std::string_view body = text.starts_with("\xEF\xBB\xBF") ? std::string_view(text).substr(3) : text;
  const auto lines = lines_of(body);
  std::vector<cue> cues;
  for (std::size_t at = 0; at < lines.size();) {
    auto timing = read_timing(plain(lines[at++]));
    if (!timing)
      continue;
    timing->text = read_text(lines, at);
    if (!timing->text.empty())
      cues.push_back(std::move(*timing));
    if (cues.size() > cues_max)
      return fail("media", "the subtitles hold more than 20,000 cues");
  }
  if (cues.empty() && body.find_first_not_of(" \t\r\n") != std::string_view::npos)
    return fail("media",
                "the subtitles hold no cue: SubRip text with lines like 00:00:01,000 --> 00:00:02,500 is expected");
  std::stable_sort(cues.begin(), cues.end(), [](const cue& a, const cue& b) { return a.start_s < b.start_s; });
  return cues;
}

std::string to_subrip(const std::vector<cue>& cues) {
  const auto time = [](double seconds) {
    const auto ms = std::llround(std::clamp(seconds, 0.0, seconds_max) * 1000);
    char text[32];
    std::snprintf(text, sizeof text, "%02lld:%02lld:%02lld,%03lld", ms / 3'600'000, ms / 60'000 % 60, ms / 1000 % 60,
                  ms % 1000);
    return std::string(text);
  };
  std::string out;
  for (std::size_t i = 0; i < cues.size(); ++i)
    out += std::to_string(i + 1) + "\n" + time(cues[i].start_s) + " --> " + time(cues[i].end_s) + "\n" + cues[i].text +
           "\n\n";
  return out;
}

} // namespace troupe::media

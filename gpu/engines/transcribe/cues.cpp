#include "gpu/engines/transcribe/cues.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace troupe::engines {

namespace {

bool ends_with_any(const std::string& text, std::string_view marks) {
  const auto last = text.find_last_not_of("\"')");
  return last != std::string::npos && marks.find(text[last]) != std::string_view::npos;
}

bool ends_sentence(const std::string& text) { return ends_with_any(text, ".!?"); }
bool ends_clause(const std::string& text) { return ends_with_any(text, ".!?,;:"); }

std::string text_of(std::span<const word> words) {
  std::string out;
  for (const auto& each : words)
    out += (out.empty() ? "" : " ") + each.text;
  return out;
}

/// Where to break so that both lines fit and look best; nothing if they cannot fit.
std::optional<std::size_t> best_break(const std::string& text, std::size_t line_bytes_max) {
  std::optional<std::size_t> best;
  long best_cost = 0;
  for (auto at = text.find(' '); at != std::string::npos; at = text.find(' ', at + 1)) {
    const auto second = text.size() - at - 1;
    if (at > line_bytes_max || second > line_bytes_max)
      continue;
    constexpr long mark_bonus = 10; // characters of imbalance that a break after a mark is worth
    const long cost = std::labs(static_cast<long>(at) - static_cast<long>(second)) -
                      (ends_clause(text.substr(0, at)) ? mark_bonus : 0);
    if (!best || cost < best_cost) {
      best = at;
      best_cost = cost;
    }
  }
  return best;
}

bool fits(std::span<const word> words, const cue_limits& limits) {
  const auto text = text_of(words);
  const bool readable = text.size() <= limits.line_bytes_max || best_break(text, limits.line_bytes_max);
  return readable && words.back().end_s - words.front().start_s <= limits.most_s;
}

/// How many of `words` make the first cue: as many as fit, but not beyond a sentence that fills a line or a pause, and
/// not a few words into a clause that must be cut anyway.
std::size_t first_cue(std::span<const word> words, const cue_limits& limits) {
  std::size_t count = 1;
  std::size_t clause = 0; // words up to the last mark
  while (true) {
    const auto so_far = words.first(count);
    if (ends_clause(words[count - 1].text))
      clause = count;
    if (count == words.size() || words[count].start_s - words[count - 1].end_s >= limits.pause_s)
      return count;
    const bool long_enough = so_far.back().end_s - so_far.front().start_s >= limits.least_s;
    if (ends_sentence(words[count - 1].text) && long_enough)
      return count;
    if (!fits(words.first(count + 1), limits))
      return clause * 2 >= count ? clause : count;
    ++count;
  }
}

} // namespace

std::string bare(const std::string& text) {
  const auto part_of_word = [](unsigned char c) {
    return std::isalnum(c) || c >= 0x80 || c == '%' || c == '$' || c == '&';
  };
  const auto first = std::find_if(text.begin(), text.end(), part_of_word);
  const auto last = std::find_if(text.rbegin(), text.rend(), part_of_word).base();
  return first < last ? std::string(first, last) : std::string();
}

std::string two_lines(const std::string& text, std::size_t line_bytes_max) {
  if (text.size() <= line_bytes_max)
    return text;
  auto at = best_break(text, line_bytes_max);
  if (!at) { // a word longer than a line
    const auto middle = text.find(' ', text.size() / 2);
    at = middle != std::string::npos ? middle : text.rfind(' ');
    if (*at == std::string::npos)
      return text;
  }
  return text.substr(0, *at) + "\n" + text.substr(*at + 1);
}

std::vector<cue> cues_of(std::span<const word> words, double length_s, const cue_limits& limits) {
  std::vector<cue> out;
  while (!words.empty()) {
    const auto count = first_cue(words, limits);
    const auto own = words.first(count);
    words = words.subspan(count);
    const double start = own.front().start_s;
    const double next = words.empty() ? length_s : std::min(length_s, words.front().start_s);
    double end = std::clamp(std::max(own.back().end_s, start + limits.least_s), start, std::max(start, next));
    end = std::min(end, start + limits.most_s);
    out.push_back({start, end, two_lines(text_of(own), limits.line_bytes_max)});
  }
  return out;
}

} // namespace troupe::engines

#include "gpu/engines/speech/spoken_text.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <utility>

namespace troupe::engines {

namespace {

using code_points = std::u32string;

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }
bool is_space(char32_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// Nothing unless `text` is UTF-8: no overlong forms, no surrogates.
std::optional<code_points> decode(std::string_view text) {
  code_points out;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || i + length > text.size())
      return std::nullopt;
    char32_t c = length == 1 ? lead : lead & (0x7fU >> length);
    for (std::size_t k = 1; k < length; ++k) {
      const auto byte = static_cast<unsigned char>(text[i + k]);
      if ((byte & 0xc0) != 0x80)
        return std::nullopt;
      c = c << 6 | (byte & 0x3f);
    }
    static constexpr std::array<char32_t, 5> least{0, 0, 0x80, 0x800, 0x10000};
    if (c < least[length] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
      return std::nullopt;
    out.push_back(c);
    i += length;
  }
  return out;
}

/// U+00C0 … U+017F without their accents; a dot stands for what has no such letter.
constexpr std::string_view plain_latin = "AAAAAAACEEEEIIIIDNOOOOO.OUUUUYTsaaaaaaaceeeeiiiidnooooo.ouuuuyty"
                                         "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIiIiJjKkkLlLlLlL"
                                         "lLlNnNnNnnNnOoOoOoOoRrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";
static_assert(plain_latin.size() == 0x180 - 0xc0);

/// How a sign is said; nothing for one that is left out.
std::string_view said(char32_t c) {
  static constexpr std::pair<char32_t, std::string_view> words[] = {
      {'&', " and "},
      {'@', " at "},
      {'+', " plus "},
      {'=', " equals "},
      {'%', " percent"},
      {0x2018, "'"},
      {0x2019, "'"},
      {0x2bc, "'"},
      {0x2013, ", "},
      {0x2014, ", "},
      {0x2026, ". "},
      {0x2022, ", "},
      {0xb0, " degrees "},
      {0xd7, " times "},
      {0xf7, " divided by "},
      {0xbd, " one half"},
      {0xbc, " one quarter"},
      {0xbe, " three quarters"},
      {0x2212, " minus "},
      {0xa9, " copyright "},
      {0x2010, "-"},
      {0x2011, "-"},
      {'(', ", "},
      {')', ", "},
      {0x201c, " "},
      {0x201d, " "},
      {0xab, " "},
      {0xbb, " "},
      {0xa0, " "},
      {0xe6, "ae"},
      {0xc6, "ae"},
      {0x153, "oe"},
      {0x152, "oe"},
      {0xdf, "ss"},
  };
  for (const auto& [sign, word] : words)
    if (sign == c)
      return word;
  if (c >= 0xc0 && c < 0x180)
    return plain_latin[c - 0xc0] == '.' ? " " : plain_latin.substr(c - 0xc0, 1);
  if (c < 0x80 || (c >= 0x2000 && c <= 0x200a))
    return " "; // the brackets, quotes and strokes of ASCII, and spaces of all widths
  return {};
}

std::string_view currency(char32_t c) {
  switch (c) {
    case '$': return "dollars";
    case 0xa3: return "pounds";
    case 0x20ac: return "euros";
    case 0xa5: return "yen";
    default: return {};
  }
}

/// "£5.20" is said "5.20 pounds", "$3 million" "3 million dollars". Returns where the reading goes on.
std::size_t say_money(const code_points& in, std::size_t at, std::string& out) {
  const auto unit = currency(in[at++]);
  out += ' ';
  while (at < in.size() &&
         (is_digit(in[at]) || ((in[at] == '.' || in[at] == ',') && at + 1 < in.size() && is_digit(in[at + 1]))))
    out += static_cast<char>(in[at++]);
  for (const std::u32string_view scale : {U" thousand", U" million", U" billion", U" trillion"})
    if (std::u32string_view(in).substr(at).starts_with(scale)) {
      out.append(scale.begin(), scale.end());
      at += scale.size();
      break;
    }
  out.append(" ").append(unit).append(" ");
  return at;
}

/// ASCII that only holds what phrase::text may, with line breaks kept.
std::string plain(const code_points& in) {
  static constexpr std::string_view kept = ".,!?;:'-\n";
  std::string out;
  for (std::size_t i = 0; i < in.size();) {
    const char32_t c = in[i];
    if (!currency(c).empty() && i + 1 < in.size() && is_digit(in[i + 1])) {
      i = say_money(in, i, out);
      continue;
    }
    const bool ascii = c < 0x80;
    if (ascii && (std::isalnum(static_cast<int>(c)) || kept.find(static_cast<char>(c)) != std::string_view::npos))
      out += static_cast<char>(c);
    else
      out += said(c);
    ++i;
  }
  return out;
}

bool ends_sentence(std::string_view text, std::size_t at) {
  const char c = text[at];
  if (c == '\n')
    return true;
  if (c != '.' && c != '!' && c != '?')
    return false;
  if (at + 1 < text.size() && !is_space(static_cast<unsigned char>(text[at + 1])))
    return false;
  if (c != '.')
    return true;
  auto begin = at;
  while (begin > 0 && (is_letter(text[begin - 1]) || text[begin - 1] == '.'))
    --begin;
  const auto word = text.substr(begin, at - begin);
  static constexpr std::string_view shortened[] = {"Mr", "Mrs", "Ms",  "Dr",  "St", "Prof",
                                                   "vs", "etc", "e.g", "i.e", "No", "approx"};
  const bool initial = word.size() == 1 && std::isupper(static_cast<unsigned char>(word[0])) && word != "I";
  return !initial && std::find(std::begin(shortened), std::end(shortened), word) == std::end(shortened);
}

/// Single spaces, no word longer than word_bytes_max, no dash or mark that stands alone; empty when nothing is spoken.
std::string tidy(std::string_view sentence) {
  std::string out;
  bool speaks = false;
  for (std::size_t i = 0; i < sentence.size();) {
    while (i < sentence.size() && is_space(static_cast<unsigned char>(sentence[i])))
      ++i;
    const auto begin = i;
    while (i < sentence.size() && !is_space(static_cast<unsigned char>(sentence[i])))
      ++i;
    auto word = sentence.substr(begin, i - begin);
    const bool marks = std::none_of(word.begin(), word.end(), [](unsigned char c) { return std::isalnum(c) != 0; });
    if (word.empty())
      continue;
    if (marks) { // "," after a bracket belongs to the word before; any other lone mark is a short stop
      const bool stopped = out.empty() || std::string_view(",.;:!?").find(out.back()) != std::string_view::npos;
      const char mark = std::string_view(".!?").find(word[0]) != std::string_view::npos ? word[0] : ',';
      if (!stopped)
        out += mark;
      continue;
    }
    speaks = true;
    while (!word.empty()) {
      out.append(out.empty() ? "" : " ").append(word.substr(0, word_bytes_max));
      word.remove_prefix(std::min(word_bytes_max, word.size()));
    }
  }
  return speaks ? out : std::string();
}

/// Cuts what is too long at the last comma, or else the last space, that fits.
void add(std::vector<phrase>& out, std::string text, double pause_s) {
  while (text.size() > phrase_bytes_max) {
    auto cut = text.rfind(", ", phrase_bytes_max - 1);
    cut = cut == std::string::npos || cut < phrase_bytes_max / 2 ? text.rfind(' ', phrase_bytes_max) : cut + 1;
    out.push_back({text.substr(0, cut), breath_pause_s});
    text.erase(0, cut + 1);
  }
  out.push_back({std::move(text), pause_s});
}

} // namespace

result<std::vector<phrase>> spoken_phrases(std::string_view text) {
  const auto points = decode(text);
  if (!points)
    return fail("bad_text", "the text is not valid UTF-8");
  const auto control = [](char32_t c) { return (c < 0x20 && !is_space(c)) || (c >= 0x7f && c < 0xa0); };
  if (std::any_of(points->begin(), points->end(), control))
    return fail("bad_text", "the text holds control characters: remove them");

  const std::string all = plain(*points);
  std::vector<phrase> out;
  for (std::size_t begin = 0; begin < all.size();) {
    auto end = begin;
    while (end < all.size() && !ends_sentence(all, end))
      ++end;
    const bool paragraph = end < all.size() && all[end] == '\n';
    if (end < all.size())
      ++end;
    if (auto sentence = tidy(std::string_view(all).substr(begin, end - begin)); !sentence.empty())
      add(out, std::move(sentence), paragraph ? paragraph_pause_s : sentence_pause_s);
    else if (paragraph && !out.empty())
      out.back().pause_s = paragraph_pause_s;
    begin = end;
  }
  if (out.empty())
    return fail("bad_text", "the text holds nothing that can be spoken in English");
  out.back().pause_s = 0;
  return out;
}

} // namespace troupe::engines

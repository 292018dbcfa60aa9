#pragma once

// Letters as protocols have them: ASCII, whatever the locale. And text of others, as it can be shown.

#include <algorithm>
#include <string>
#include <string_view>

namespace troupe {

constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

inline std::string lower(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return lower(c); });
  return out;
}

/// The same but for the case of letters.
inline bool same_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

/// UTF-8 with each control character (C0, DEL, C1) as '?': one line, which drives no terminal.
inline std::string without_controls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    bool c1 = c == 0xc2 && next >= 0x80 && next <= 0x9f; // U+0080 to U+009F, of two bytes
    out += c < 0x20 || c == 0x7f || c1 ? '?' : text[i];
    i += c1 ? 1 : 0;
  }
  return out;
}

} // namespace troupe

#include "gpu/engines/transcribe/pronunciation.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <mutex>

extern "C" {
#include <flite/flite.h>
cst_lexicon* cmu_lex_init(void);
}

namespace troupe::engines {

namespace {

const char* const small_numbers[] = {"zero",     "one",     "two",     "three",     "four",     "five",    "six",
                                     "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
                                     "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
const char* const tens[] = {"", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};

std::string joined(const std::string& a, const std::string& b) { return a.empty() ? b : b.empty() ? a : a + " " + b; }

std::string below_hundred(std::uint64_t n) {
  if (n < 20)
    return small_numbers[n];
  return joined(tens[n / 10], n % 10 ? small_numbers[n % 10] : "");
}

std::string cardinal(std::uint64_t n) {
  if (n < 100)
    return below_hundred(n);
  if (n < 1000)
    return joined(std::string(small_numbers[n / 100]) + " hundred", n % 100 ? below_hundred(n % 100) : "");
  std::uint64_t unit = 1000;
  const char* name = "thousand";
  for (const char* const next : {"million", "billion"})
    if (n / unit >= 1000) {
      unit *= 1000;
      name = next;
    }
  return joined(cardinal(n / unit) + " " + name, n % unit ? cardinal(n % unit) : "");
}

bool all(const std::string& text, int (*is)(int)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](unsigned char c) { return is(c) != 0; });
}

std::string spelt(const std::string& letters) {
  std::string out;
  for (const char c : letters)
    out = joined(out, std::string(1, c));
  return out;
}

std::string one_by_one(const std::string& digits) {
  std::string out;
  for (const char c : digits)
    out = joined(out, small_numbers[c - '0']);
  return out;
}

std::string lower(std::string text) {
  for (char& c : text)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// Runs of letters (with apostrophes inside), runs of digits, and the signs that are said.
std::vector<std::string> parts(const std::string& written) {
  std::vector<std::string> out;
  const auto at = [&](std::size_t i) { return i < written.size() ? static_cast<unsigned char>(written[i]) : 0U; };
  for (std::size_t i = 0; i < written.size();) {
    const auto begin = i;
    if (std::isalpha(static_cast<int>(at(i)))) {
      while (std::isalpha(static_cast<int>(at(i))) || (at(i) == '\'' && std::isalpha(static_cast<int>(at(i + 1)))))
        ++i;
      out.push_back(written.substr(begin, i - begin));
    } else if (std::isdigit(static_cast<int>(at(i)))) {
      std::string digits;
      while (std::isdigit(static_cast<int>(at(i))) || (at(i) == ',' && std::isdigit(static_cast<int>(at(i + 1)))))
        if (const auto c = at(i++); c != ',')
          digits += static_cast<char>(c);
      out.push_back(digits);
      if (at(i) == '.' && std::isdigit(static_cast<int>(at(i + 1))))
        out.emplace_back("point");
    } else {
      if (at(i) == '%')
        out.emplace_back("percent");
      else if (at(i) == '&')
        out.emplace_back("and");
      ++i;
    }
  }
  if (written.starts_with('$') && !out.empty())
    out.emplace_back("dollars");
  return out;
}

} // namespace

std::vector<std::string> number_readings(const std::string& digits) {
  constexpr std::size_t digits_max = 12;
  if (!all(digits, std::isdigit) || digits.size() > digits_max)
    return {};
  std::vector<std::string> out;
  if (digits.size() == 1 || digits[0] != '0')
    out.push_back(cardinal(std::stoull(digits)));
  if (digits.size() == 4 && digits[0] != '0') { // as years are read
    const auto low = std::stoull(digits.substr(2));
    const auto high = below_hundred(std::stoull(digits.substr(0, 2)));
    out.push_back(low == 0 ? high + " hundred" : high + (low < 10 ? " oh " : " ") + below_hundred(low));
  }
  if (digits.size() > 1)
    out.push_back(one_by_one(digits));
  return out;
}

std::vector<std::string> readings(const std::string& written) {
  constexpr std::size_t readings_max = 4;
  constexpr std::size_t spelt_max = 5;
  std::vector<std::string> out{""};
  for (const auto& part : parts(written)) {
    std::vector<std::string> ways;
    if (all(part, std::isdigit)) {
      ways = number_readings(part);
      if (ways.empty())
        ways.push_back(one_by_one(part.substr(0, 24)));
    } else {
      ways.push_back(lower(part));
      if (part.size() > 1 && part.size() <= spelt_max && all(part, std::isupper))
        ways.push_back(spelt(lower(part)));
    }
    std::vector<std::string> longer;
    for (const auto& before : out)
      for (const auto& way : ways)
        if (longer.size() < readings_max)
          longer.push_back(joined(before, way));
    out = std::move(longer);
  }
  std::erase(out, "");
  return out;
}

std::string guess_phones(const std::string& plain_word) {
  static std::mutex mutex; // flite's lexicon is one to a process
  std::lock_guard lock(mutex);
  static cst_lexicon* const lexicon = cmu_lex_init();
  constexpr std::size_t letters_max = 40;
  if (!lexicon || plain_word.empty() || plain_word.size() > letters_max)
    return {};
  cst_val* const phones = lex_lookup(lexicon, plain_word.c_str(), nullptr, nullptr);
  std::string out;
  for (const cst_val* each = phones; each; each = val_cdr(each)) {
    std::string phone = val_string(val_car(each));
    while (!phone.empty() && std::isdigit(static_cast<unsigned char>(phone.back())))
      phone.pop_back(); // the stress
    if (phone == "ax")
      phone = "ah";
    for (char& c : phone)
      c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    if (!phone.empty() && phone != "PAU")
      out = joined(out, phone);
  }
  if (phones)
    delete_val(phones);
  return out;
}

} // namespace troupe::engines

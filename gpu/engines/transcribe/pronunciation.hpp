#pragma once

// How a written word may be said, as phones of the CMU set (the one pocketsphinx' English model knows).

#include <string>
#include <vector>

namespace troupe::engines {

/// The words in which a number's digits may be read: "1984" is "nineteen eighty four" and "one thousand …". Empty
/// unless `digits` is one to twelve digits.
std::vector<std::string> number_readings(const std::string& digits);

/// The plain words, in small letters, that a written word stands for, in each way it may be read: "GPU" is "gpu" and
/// "g p u", "50%" is "fifty percent". Empty when it holds nothing that is said.
std::vector<std::string> readings(const std::string& written);

/// Phones of one plain word by flite's letter-to-sound rules: "K L OW Z". Empty when it has none. Thread-safe.
std::string guess_phones(const std::string& plain_word);

} // namespace troupe::engines

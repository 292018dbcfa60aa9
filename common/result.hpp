#pragma once

// A value or why there is none. A bug is TROUPE_CHECK; all else that can go wrong is one of these.

#include <boost/system/result.hpp>

#include <stdexcept>
#include <string>
#include <utility>

namespace troupe {

/// What went wrong, for a program (`code`, stable) and for a person (`message`: what happened, to whom, what to do).
struct failure {
  failure() = default;
  failure(std::string code_, std::string message_) : code(std::move(code_)), message(std::move(message_)) {}

  std::string code;
  std::string message;

  friend bool operator==(const failure&, const failure&) = default;
};

[[noreturn]] inline void throw_exception_from_error(const failure& why, const boost::source_location&) {
  throw std::runtime_error(why.code + ": " + why.message);
}

template <class T>
using result = boost::system::result<T, failure>;

inline failure fail(std::string code, std::string message) { return failure{std::move(code), std::move(message)}; }

} // namespace troupe

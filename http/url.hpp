#pragma once

// What is read from a request's target. Everything here is hostile input.

#include "common/result.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::http {

/// Undoes percent-encoding; nullopt for a broken escape, a NUL, or what is not UTF-8 afterwards. `plus_is_space`: as in
/// a query.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

/// Encodes all but unreserved characters (RFC 3986).
std::string percent_encode(std::string_view text);

/// The parameters of a query (the part behind '?'). Errors: `bad_query` (encoding, more than 100 parameters).
result<std::multimap<std::string, std::string>> parse_query(std::string_view text);

/// "https://studio.example.org:8443" of a URL: what a browser sends as Origin. Empty for what is no URL.
std::string origin_of(std::string_view url);

/// True for well-formed UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text);

/// How many code points valid UTF-8 has.
std::size_t code_points(std::string_view utf8);

/// True for the text form of a UUID (8-4-4-4-12 hex digits).
bool is_uuid(std::string_view text);

} // namespace troupe::http

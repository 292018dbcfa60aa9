#include "app/operator_client.hpp"

#include <curl/curl.h>

#include <memory>

namespace troupe::app {

namespace {

constexpr long patience_ms = 30'000;
constexpr std::size_t answer_bytes_max = 64 << 20;

std::size_t take(char* data, std::size_t size, std::size_t count, void* into) {
  auto& out = *static_cast<std::string*>(into);
  if (out.size() + size * count > answer_bytes_max)
    return 0; // curl ends the transfer
  out.append(data, size * count);
  return size * count;
}

/// What the head says is wrong, in any of its shapes.
std::string words_of(const json& answer, long status) {
  auto error = answer.is_object() ? answer.value("error", json()) : json();
  if (error.is_object())
    error = error.value("message", json());
  auto words = error.is_string() ? error.get<std::string>() : "no reason given";
  return "the head answered " + std::to_string(status) + ": " + words +
         (status == 401 ? "; TROUPE_API_KEY must be an API key of an admin" : "");
}

} // namespace

operator_client::operator_client(std::string url, std::string key) : url_(std::move(url)), key_(std::move(key)) {
  while (url_.ends_with('/'))
    url_.pop_back();
  curl_global_init(CURL_GLOBAL_DEFAULT);
}

result<json> operator_client::ask(const std::string& method, const std::string& path, const json& body) const {
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl{curl_easy_init(), curl_easy_cleanup};
  if (!curl)
    return fail("unreachable", "no memory");
  auto authorization = "Authorization: Bearer " + key_;
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers{curl_slist_append(nullptr, authorization.c_str()),
                                                                      curl_slist_free_all};
  if (!headers || curl_slist_append(headers.get(), "Content-Type: application/json") == nullptr)
    return fail("unreachable", "no memory");
  auto url = url_ + path, sent = body.is_null() ? std::string{} : body.dump();
  std::string answer;
  auto set = [&](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "https,http");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TIMEOUT_MS, patience_ms);
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_WRITEFUNCTION, take);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&answer));
  if (!sent.empty()) {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(sent.size()));
    set(CURLOPT_POSTFIELDS, sent.c_str());
  }
  set(CURLOPT_CUSTOMREQUEST, method.c_str());
  if (auto code = curl_easy_perform(curl.get()); code != CURLE_OK)
    return fail("unreachable", "no head answers at " + url_ + ": " + curl_easy_strerror(code));
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  auto read = parse_json(answer);
  if (status >= 400 || status == 0)
    return fail("refused", words_of(read ? *read : json(), status));
  if (!read)
    return fail("refused", url_ + " answers, but not as a head of Troupe does");
  return std::move(*read);
}

} // namespace troupe::app

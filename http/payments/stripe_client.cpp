#include "http/payments/stripe_client.hpp"

#include "common/log.hpp"
#include "http/bridge/offload.hpp"

#include <curl/curl.h>

#include <memory>
#include <mutex>
#include <thread>

namespace troupe::payments {

namespace asio = boost::asio;

namespace {

// The version whose parameters are used here; what events look like is set at the webhook's endpoint.
constexpr const char* version = "Stripe-Version: 2024-06-20";
constexpr auto first_pause = std::chrono::milliseconds(250);
constexpr int declines_asked_anew = 5; // cards that are tried under one Idempotency-Key of a client

struct list_closer {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using header_list = std::unique_ptr<curl_slist, list_closer>;

void add(header_list& to, const std::string& line) {
  if (auto* grown = curl_slist_append(to.get(), line.c_str())) {
    (void)to.release();
    to.reset(grown);
  }
}

struct sink {
  std::string bytes;
  std::size_t most = 0;
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* into) {
  auto& out = *static_cast<sink*>(into);
  if (out.bytes.size() + size * count > out.most)
    return 0; // curl ends the transfer
  out.bytes.append(data, size * count);
  return size * count;
}

/// What headers say.
struct heard {
  int should_retry = -1; // 1 yes, 0 no
  bool replayed = false; // it is what this Idempotency-Key was answered before
};

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* into) {
  std::string line(data, std::min<std::size_t>(size * count, 200));
  for (auto& c : line)
    c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  auto& out = *static_cast<heard*>(into);
  bool yes = line.find("true") != std::string::npos;
  if (line.starts_with("stripe-should-retry:"))
    out.should_retry = yes ? 1 : 0;
  else if (line.starts_with("idempotent-replayed:"))
    out.replayed = yes;
  return size * count;
}

/// What Stripe says is wrong, bounded and without line breaks.
std::string said(const json& error, const char* field) {
  auto found = error.is_object() ? error.find(field) : error.end();
  if (!error.is_object() || found == error.end() || !found->is_string())
    return {};
  auto out = found->get<std::string>().substr(0, 300);
  for (auto& c : out)
    if (static_cast<unsigned char>(c) < 0x20)
      c = ' ';
  return out;
}

} // namespace

std::string encode_form(const form_fields& fields) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  auto write = [&out](const std::string& text) {
    for (unsigned char c : text) {
      bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
                   c == '.' || c == '~';
      if (plain)
        out += static_cast<char>(c);
      else
        (((out += '%') += hex[c >> 4]) += hex[c & 15]);
    }
  };
  for (const auto& [name, value] : fields) {
    if (!out.empty())
      out += '&';
    write(name);
    out += '=';
    write(value);
  }
  return out;
}

stripe_client::stripe_client(stripe_client_options options) : options_(std::move(options)), pool_(options_.threads) {
  static std::once_flag started;
  std::call_once(started, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

stripe_client::~stripe_client() { pool_.join(); }

asio::awaitable<result<json>> stripe_client::post(std::string path, form_fields fields, std::string once) {
  call what{"POST", std::move(path), encode_form(fields), std::move(once)};
  co_return co_await run(std::move(what));
}

asio::awaitable<result<json>> stripe_client::get(std::string path) {
  call what{"GET", std::move(path), {}, {}};
  co_return co_await run(std::move(what));
}

asio::awaitable<result<json>> stripe_client::remove(std::string path) {
  call what{"DELETE", std::move(path), {}, {}};
  co_return co_await run(std::move(what));
}

asio::awaitable<result<json>> stripe_client::run(call what) {
  if (waiting_.fetch_add(1) >= options_.waiting_max) {
    waiting_.fetch_sub(1);
    co_return fail("busy", "too many calls of Stripe's API wait");
  }
  std::function<result<json>()> job = [this, what = std::move(what)] { return work(what); };
  auto out = co_await http::offload<result<json>>(pool_, std::move(job));
  waiting_.fetch_sub(1);
  co_return out;
}

// Stripe keeps a decline under its key for a day, as it keeps all answers; but who has another card by now means to
// try it. So a decline that is only repeated is asked anew, under a name that follows from the first: what such a name
// bought is found again by who repeats the same request.
result<json> stripe_client::work(const call& what) const {
  auto first = work_once(what);
  for (int again = 2; again <= declines_asked_anew && first.declined_before; ++again) {
    auto next = what;
    next.once += "-" + std::to_string(again);
    first = work_once(next);
  }
  return std::move(first.said);
}

stripe_client::outcome stripe_client::work_once(const call& what) const {
  answer got;
  for (int attempt = 1;; ++attempt) {
    got = send(what);
    bool unclear = got.status == 0 || got.status == 409 || got.status == 429 || got.status >= 500;
    if (got.should_retry >= 0)
      unclear = got.should_retry == 1;
    if (!unclear || attempt >= options_.attempts)
      break;
    std::this_thread::sleep_for(first_pause * (1 << (attempt - 1)));
  }
  if (got.status == 0)
    return {fail("unreachable", "Stripe's API does not answer: " + got.problem), false};
  auto body = parse_json(got.body);
  if (got.status >= 200 && got.status < 300) {
    if (!body || !body->is_object())
      return {fail("unreachable", "Stripe's API answered what is no JSON object"), false};
    return {std::move(*body), false};
  }
  json error = body && body->is_object() ? body->value("error", json::object()) : json::object();
  if (got.status == 401)
    return {fail("refused", "Stripe does not accept the secret key"), false};
  if (got.status == 402)
    return {fail("declined", said(error, "message")), got.replayed && !what.once.empty()};
  const char* code = got.status >= 500 || got.status == 429 ? "unreachable" : got.status == 404 ? "missing" : "refused";
  if (got.status == 400 && said(error, "code") == "resource_missing" && said(error, "param") == "customer")
    code = "customer_gone";
  return {fail(code, "Stripe's API answered " + std::to_string(got.status) + " to " + what.path + ": " +
                         said(error, "type") + " " + said(error, "code") + " " + said(error, "param") + ": " +
                         said(error, "message")),
          false};
}

stripe_client::answer stripe_client::send(const call& what) const {
  answer out;
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl{curl_easy_init(), curl_easy_cleanup};
  if (!curl) {
    out.problem = "no memory";
    return out;
  }
  header_list headers;
  add(headers, "Authorization: Bearer " + options_.key);
  add(headers, version);
  if (!what.once.empty())
    add(headers, "Idempotency-Key: " + what.once);
  auto url = options_.url + what.path;
  sink body{{}, options_.answer_bytes_max};
  heard headers_heard;
  auto set = [&](CURLoption option, auto value) { curl_easy_setopt(curl.get(), option, value); };
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "https,http");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, options_.connect_ms);
  set(CURLOPT_TIMEOUT_MS, options_.call_ms);
  set(CURLOPT_HTTPHEADER, headers.get());
  set(CURLOPT_WRITEFUNCTION, take_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&body));
  set(CURLOPT_HEADERFUNCTION, take_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&headers_heard));
  if (std::string_view{what.method} == "DELETE")
    set(CURLOPT_CUSTOMREQUEST, what.method);
  if (std::string_view{what.method} == "POST") {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(what.body.size()));
    set(CURLOPT_POSTFIELDS, what.body.c_str());
  }
  auto code = curl_easy_perform(curl.get());
  if (code != CURLE_OK) {
    out.problem = curl_easy_strerror(code);
    return out;
  }
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &out.status);
  out.body = std::move(body.bytes);
  out.should_retry = headers_heard.should_retry;
  out.replayed = headers_heard.replayed;
  return out;
}

} // namespace troupe::payments

#pragma once

// A request as a handler sees it, and what a handler answers. Nothing of the server's library shows through here.

#include "common/json.hpp"
#include "http/dialects.hpp"
#include "http/wakeup.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::http {

namespace asio = boost::asio;

enum class verb { get, head, post, put, patch, del, options, other };

std::string_view to_string(verb v);
/// `other` for what the server does not serve.
verb verb_from(std::string_view name);

/// Who sends a request, as the authenticator found out.
struct identity {
  std::string account; ///< account id
  std::string username;
  bool admin = false;                     ///< role `admin`
  std::string tier;                       ///< e.g. "creator"
  std::string key;                        ///< id of the API key; empty with a session
  std::string session;                    ///< id of the session; empty with a key
  std::optional<std::int64_t> per_minute; ///< the key's own rate limit; 0 = none
  std::int64_t spend_limit = 0;           ///< what the key may spend in all, in micro-credits; 0 = no limit
  std::vector<std::string> scopes = {};   ///< what the key may do; empty: all that its account may
  std::string credential = {};            ///< the keyed hash of the key or of the session's token
  bool restricted = false;                ///< the key has scopes, an end or a spend limit

  bool may(std::string_view scope) const;
};

/// What an Idempotency-Key means to a handler.
struct once {
  /// The row to write in the same batch as the work (only if it is absent), with once_row(), so that a crash before the
  /// answer cannot let the work be done again. Handlers whose work may be repeated need not.
  std::string row;
  std::string fingerprint;
  std::string made; ///< the id of the job or API key that was made for it before a crash, and never answered
};

using header_list = std::vector<std::pair<std::string, std::string>>;

struct request {
  verb method = verb::get;                       ///< HEAD arrives as `get` at a handler; the server leaves out the body
  std::string target;                            ///< as it was sent, e.g. "/api/video/a%20b.mp4?token=x"
  std::string raw_path;                          ///< the target without its query, still encoded
  std::multimap<std::string, std::string> query; ///< decoded, valid UTF-8
  header_list headers;                           ///< in their order, names in lower case
  std::string body;                              ///< whole and within the limits
  std::string remote_address;                    ///< of the client, without a port
  std::string request_id;                        ///< a UUID; it is sent back as x-request-id
  std::map<std::string, std::string> path_params; ///< decoded; filled by the router
  http::family family = http::family::studio;     ///< whose error shape answers
  std::optional<identity> who;                    ///< filled by the pipeline
  std::optional<once> only_once;                  ///< with an Idempotency-Key
  bool secure = false;                            ///< it came over TLS (or a trusted proxy says so)

  /// The first header of that name (in any case); empty if there is none.
  std::string_view header(std::string_view name) const;
  /// The first value of a query parameter.
  std::optional<std::string> query_value(const std::string& name) const;
  /// A path parameter; "" if the template has none of that name.
  const std::string& param(const std::string& name) const;
};

/// One server-sent event. Empty `id` and `name` are left out; `data` may have several lines.
struct event {
  event() = default;
  // A constructor, as g++ 12 destroys aggregate temporaries of a co_await expression twice.
  event(std::string id_, std::string name_, std::string data_)
    : id(std::move(id_)), name(std::move(name_)), data(std::move(data_)) {}

  std::string id;
  std::string name;
  std::string data;
};

/// The client's end of an event stream. Belongs to one coroutine; only `bell()` may be used by other threads.
/// A source's loop is: read the log after its cursor; send; with nothing to send, wait.
class event_sink {
public:
  virtual ~event_sink() = default;
  /// Writes events and returns when they have left; false: the client is gone or the server drains, return.
  virtual asio::awaitable<bool> send(event one) = 0;
  virtual asio::awaitable<bool> send(std::vector<event> several) = 0;
  /// Sleeps until the bell is rung or `at_most` has passed; keeps the connection warm with comments meanwhile.
  /// False: the client is gone or the server drains, return. It notices a client that leaves while nothing is sent.
  virtual asio::awaitable<bool> wait(std::chrono::milliseconds at_most) = 0;
  /// To be rung by whoever has something new; from any thread, also after the stream has ended.
  virtual std::shared_ptr<wakeup> bell() = 0;
  /// False once the client is gone or the server drains.
  virtual bool open() const = 0;
};

/// Bytes of any type.
struct bytes_body {
  std::string bytes;
  std::string content_type = "application/octet-stream";
};

/// A file on disk. The server does Range, If-Range, If-None-Match and HEAD. Only for names the server itself made.
struct file_body {
  std::filesystem::path path;
  std::string content_type = "application/octet-stream";
  std::string etag;          ///< without quotes, e.g. the SHA-256; empty: no ETag and no ranges by validator
  std::string download_name; ///< not empty: Content-Disposition: attachment
};

/// Server-sent events. `run` returns when it has nothing more to send; the server then ends the response.
struct event_stream {
  std::function<asio::awaitable<void>(event_sink&)> run;
};

/// What a handler answers. Made from a `problem`, it becomes the error of the request's family.
struct reply {
  int status = 200;
  header_list headers; ///< content-length, date, x-request-id and the like are the server's
  std::variant<std::monostate, json, bytes_body, file_body, event_stream, problem> body;
  bool final = true; ///< false: the same request goes on with the work, so no Idempotency-Key keeps this answer

  reply() = default;
  reply(problem why) : status(why.status), body(std::move(why)) {} // NOLINT(google-explicit-constructor)
  static reply of(json value, int status = 200);
  static reply bytes(std::string bytes, std::string content_type, int status = 200);
  static reply file(file_body file);
  static reply events(std::function<asio::awaitable<void>(event_sink&)> run);
  static reply empty(int status = 204);

  reply&& with(std::string name, std::string value) &&;
};

using request_handler = std::function<asio::awaitable<reply>(request&&)>;

} // namespace troupe::http

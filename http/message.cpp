#include "http/message.hpp"

#include "common/text.hpp"

#include <algorithm>

namespace troupe::http {

bool identity::may(std::string_view scope) const {
  return scopes.empty() || std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
}

std::string_view to_string(verb v) {
  switch (v) {
    case verb::get: return "GET";
    case verb::head: return "HEAD";
    case verb::post: return "POST";
    case verb::put: return "PUT";
    case verb::patch: return "PATCH";
    case verb::del: return "DELETE";
    case verb::options: return "OPTIONS";
    case verb::other: break;
  }
  return "OTHER";
}

verb verb_from(std::string_view name) {
  for (auto v : {verb::get, verb::head, verb::post, verb::put, verb::patch, verb::del, verb::options})
    if (name == to_string(v))
      return v;
  return verb::other;
}

std::string_view request::header(std::string_view name) const {
  auto found = std::find_if(headers.begin(), headers.end(), [&](const auto& h) { return same_text(h.first, name); });
  return found == headers.end() ? std::string_view{} : std::string_view{found->second};
}

std::optional<std::string> request::query_value(const std::string& name) const {
  auto found = query.lower_bound(name); // the first of its equals
  if (found == query.end() || found->first != name)
    return std::nullopt;
  return found->second;
}

const std::string& request::param(const std::string& name) const {
  static const std::string none;
  auto found = path_params.find(name);
  return found == path_params.end() ? none : found->second;
}

reply reply::of(json value, int status) {
  reply out;
  out.status = status;
  out.body = std::move(value);
  return out;
}

reply reply::bytes(std::string bytes, std::string content_type, int status) {
  reply out;
  out.status = status;
  out.body = bytes_body{std::move(bytes), std::move(content_type)};
  return out;
}

reply reply::file(file_body file) {
  reply out;
  out.body = std::move(file);
  return out;
}

reply reply::events(std::function<asio::awaitable<void>(event_sink&)> run) {
  reply out;
  out.body = event_stream{std::move(run)};
  return out;
}

reply reply::empty(int status) {
  reply out;
  out.status = status;
  return out;
}

reply&& reply::with(std::string name, std::string value) && {
  headers.emplace_back(std::move(name), std::move(value));
  return std::move(*this);
}

} // namespace troupe::http

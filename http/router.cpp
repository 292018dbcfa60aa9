#include "http/router.hpp"

#include "http/url.hpp"

#include <algorithm>
#include <optional>

namespace troupe::http {

namespace {

constexpr std::size_t segments_max = 32;
constexpr std::size_t segment_bytes_max = 512;

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    path.remove_prefix(1); // the slash
    auto end = std::min(path.find('/'), path.size());
    out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  if (!out.empty() && out.back().empty())
    out.pop_back();
  return out;
}

bool is_param(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

} // namespace

struct router::node {
  std::map<std::string, std::unique_ptr<node>, std::less<>> exact;
  std::unique_ptr<node> any;  // "{name}"
  std::unique_ptr<node> rest; // "{name*}"
  std::vector<const endpoint*> here;

  /// The deepest match with endpoints, exact segments first.
  const node* find(const std::vector<std::string>& path, std::size_t at) const {
    if (at == path.size())
      return here.empty() ? nullptr : this;
    if (auto next = exact.find(path[at]); next != exact.end())
      if (auto found = next->second->find(path, at + 1))
        return found;
    if (any && !path[at].empty() && path[at].find_first_of("/\\") == std::string::npos)
      if (auto found = any->find(path, at + 1))
        return found;
    return at + 1 < path.size() || !path[at].empty() ? rest.get() : nullptr; // of nothing there is no rest
  }
};

router::router() : root_(std::make_unique<node>()) {}
router::router(router&&) noexcept = default;
router& router::operator=(router&&) noexcept = default;
router::~router() = default;

result<router> router::make(const std::vector<endpoint>& all) {
  router out;
  std::map<std::string, int> operations;
  for (const auto& e : all) {
    auto bad = [&](const std::string& why) {
      return fail("bad_declaration", e.operation + " (" + e.path + "): " + why);
    };
    if (++operations[e.operation] > 1)
      return bad("another endpoint has the same operation");
    if (!e.path.starts_with('/') || !e.serve)
      return bad("it needs a path from '/' and a handler");
    auto segments = split(e.path);
    auto* at = out.root_.get();
    for (std::size_t i = 0; i < segments.size(); ++i) {
      bool greedy = is_param(segments[i]) && segments[i][segments[i].size() - 2] == '*';
      if (greedy && i + 1 != segments.size())
        return bad("only the last segment may take the rest");
      auto& next = greedy ? at->rest : is_param(segments[i]) ? at->any : at->exact[std::string{segments[i]}];
      if (!next)
        next = std::make_unique<node>();
      at = next.get();
    }
    for (auto* other : at->here)
      if (other->method == e.method && other->family == e.family)
        return bad("it answers the same requests as " + other->operation);
    at->here.push_back(&e);
  }
  return out;
}

namespace {

std::string allowed(const std::vector<const endpoint*>& here) {
  std::string out;
  for (auto v : {verb::get, verb::post, verb::put, verb::patch, verb::del})
    if (std::any_of(here.begin(), here.end(), [v](auto* e) { return e->method == v; }))
      out += std::string{to_string(v)} + (v == verb::get ? ", HEAD, " : ", ");
  return out + "OPTIONS";
}

// Each segment is decoded for itself, so that an encoded slash cannot make two of one.
std::optional<std::vector<std::string>> decode(std::string_view raw_path) {
  auto pieces = split(raw_path);
  if (pieces.size() > segments_max)
    return std::nullopt;
  std::vector<std::string> out;
  for (auto piece : pieces) {
    auto text = percent_decode(piece);
    bool control = text && std::any_of(text->begin(), text->end(),
                                       [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (!text || control || text->size() > segment_bytes_max)
      return std::nullopt;
    // ".." between any kind of slashes, encoded or not
    for (std::size_t from = 0; from <= text->size();) {
      auto end = std::min(text->find_first_of("/\\", from), text->size());
      auto part = std::string_view{*text}.substr(from, end - from);
      if (part == ".." || part == ".")
        return std::nullopt;
      from = end + 1;
    }
    out.push_back(std::move(*text));
  }
  return out;
}

std::map<std::string, std::string> params_of(const endpoint& e, const std::vector<std::string>& path) {
  std::map<std::string, std::string> out;
  auto segments = split(e.path);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (!is_param(segments[i]))
      continue;
    auto name = segments[i].substr(1, segments[i].size() - 2);
    if (!name.ends_with('*')) {
      out.emplace(name, path[i]);
      continue;
    }
    std::string rest;
    for (auto n = i; n < path.size(); ++n)
      rest += (n > i ? "/" : "") + path[n];
    out.emplace(name.substr(0, name.size() - 1), std::move(rest));
  }
  return out;
}

} // namespace

router::answer router::find(verb method, std::string_view raw_path, family speaks) const {
  auto path = decode(raw_path);
  if (!path)
    return malformed{};
  auto* at = root_->find(*path, 0);
  if (!at || at->here.empty())
    return unknown{};
  const endpoint* chosen = nullptr;
  for (auto* e : at->here)
    if (e->method == method && (!chosen || e->family == speaks))
      chosen = e;
  if (!chosen)
    return other_methods{allowed(at->here)};
  return found{chosen, params_of(*chosen, *path)};
}

} // namespace troupe::http

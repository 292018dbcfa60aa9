#include "common/configuration.hpp"

#include "common/check.hpp"
#include "common/toml.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <numeric>
#include <set>
#include <sstream>

namespace troupe {

namespace {

using problem = std::optional<failure>;

problem complain(const std::string& where, const std::string& what) {
  return fail("configuration", where + ": " + what);
}

// Variables that begin like ours and are not keys: for builds, tests and the first start.
const std::set<std::string> other_variables = {"TROUPE_PREFIX", "TROUPE_TSAN",   "TROUPE_CUDA", "TROUPE_ADMIN_PASSWORD",
                                               "TROUPE_SEED",   "TROUPE_CONFIG", "TROUPE_URL",  "TROUPE_API_KEY"};

// Levenshtein's distance: insertions, deletions and replacements.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      auto replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

template <class Name>
std::string nearest(const std::string& unknown, Name name_of) {
  const auto& keys = configuration_keys();
  auto cut = unknown.substr(0, 200); // a hostile name costs no more than a long one
  auto best = std::min_element(keys.begin(), keys.end(), [&](const auto& a, const auto& b) {
    return distance(cut, name_of(a.path)) < distance(cut, name_of(b.path));
  });
  return name_of(best->path);
}

const configuration_key* find_key(const std::string& path) {
  for (const auto& key : configuration_keys())
    if (path == key.path)
      return &key;
  return nullptr;
}

// -- values -----------------------------------------------------------------------------------------------------------

std::string range_of(const configuration_key& key) {
  return "must be an integer from " + std::to_string(key.least) + " to " + std::to_string(key.most);
}

std::string set_integer(const configuration_key& key, std::int64_t& slot, std::int64_t value) {
  if (value < key.least || value > key.most)
    return range_of(key) + ", not " + std::to_string(value);
  slot = value;
  return "";
}

std::string wrong_text(const configuration_key& key, const std::string& value) {
  if (!key.choices.empty() && std::find(key.choices.begin(), key.choices.end(), value) == key.choices.end()) {
    std::string all;
    for (const auto* choice : key.choices)
      all += (all.empty() ? "" : ", ") + std::string{choice};
    return "must be one of " + all;
  }
  return key.wrong ? key.wrong(value) : "";
}

std::string set_text(const configuration_key& key, std::string& slot, std::string value) {
  auto wrong = wrong_text(key, value);
  if (wrong.empty())
    slot = std::move(value);
  return wrong;
}

std::string set_list(const configuration_key& key, std::vector<std::string>& slot, std::vector<std::string> values) {
  for (const auto& value : values)
    if (auto wrong = wrong_text(key, value); !wrong.empty())
      return "`" + value + "` " + wrong;
  slot = std::move(values);
  return "";
}

// From the file. What is wrong, or "".
std::string set_node(const configuration_key& key, configuration& into, const toml::node& node) {
  auto slot = key.slot(into);
  if (auto* flag = std::get_if<bool*>(&slot)) {
    if (!node.is_boolean())
      return "must be true or false";
    **flag = node.as_boolean()->get();
    return "";
  }
  if (auto* number = std::get_if<std::int64_t*>(&slot))
    return node.is_integer() ? set_integer(key, **number, node.as_integer()->get()) : range_of(key);
  if (auto* text = std::get_if<std::string*>(&slot))
    return node.is_string() ? set_text(key, **text, node.as_string()->get()) : "must be a text in quotes";
  std::vector<std::string> values;
  if (!node.is_array())
    return "must be a list of texts, e.g. [\"…\"]";
  for (const auto& item : *node.as_array()) {
    if (!item.is_string())
      return "must be a list of texts, e.g. [\"…\"]";
    values.push_back(item.as_string()->get());
  }
  return set_list(key, *std::get<std::vector<std::string>*>(slot), std::move(values));
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string item; std::getline(in, item, ',');) {
    auto first = item.find_first_not_of(' ');
    if (first != std::string::npos)
      out.push_back(item.substr(first, item.find_last_not_of(' ') - first + 1));
  }
  return out;
}

// From the environment and the command line.
std::string set_from_text(const configuration_key& key, configuration& into, const std::string& text) {
  auto slot = key.slot(into);
  if (auto* flag = std::get_if<bool*>(&slot)) {
    if (text != "true" && text != "false" && text != "1" && text != "0")
      return "must be true or false";
    **flag = text == "true" || text == "1";
    return "";
  }
  if (auto* number = std::get_if<std::int64_t*>(&slot)) {
    std::int64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size())
      return range_of(key);
    return set_integer(key, **number, value);
  }
  if (auto* one = std::get_if<std::string*>(&slot))
    return set_text(key, **one, text);
  return set_list(key, *std::get<std::vector<std::string>*>(slot), split(text));
}

// -- sources ----------------------------------------------------------------------------------------------------------

std::string position(const std::string& name, const toml::source_region& at) {
  return name + ":" + std::to_string(at.begin.line) + ":" + std::to_string(at.begin.column);
}

// An unknown section is named with its first key, so that the nearest known one is of use.
std::string first_leaf(std::string path, const toml::node& node) {
  const auto* table = node.as_table();
  return table == nullptr || table->empty() ? path : path + "." + std::string{table->begin()->first.str()};
}

// Sections that the catalogue reads by itself, as it knows what may stand there: see catalog::read_tariff().
bool is_of_the_catalogue(const std::string& path) { return path == "tiers" || path == "prices"; }

// Tables nest as deep as the keys do, so this recursion ends after a few.
problem read_table(const toml::table& table, const std::string& prefix, const std::string& name, configuration& into) {
  for (const auto& [key_text, node] : table) {
    auto path = prefix + std::string{key_text.str()};
    auto where = position(name, key_text.source());
    if (is_of_the_catalogue(path))
      continue;
    if (const auto* key = find_key(path)) {
      if (auto wrong = set_node(*key, into, node); !wrong.empty())
        return complain(position(name, node.source()), path + " " + wrong);
      continue;
    }
    const auto& keys = configuration_keys();
    auto is_section =
        std::any_of(keys.begin(), keys.end(), [&](auto& k) { return std::string{k.path}.starts_with(path + "."); });
    if (!is_section)
      return complain(where, "unknown key `" + path + "`; the nearest known one is `" +
                                 nearest(first_leaf(path, node), [](const char* p) { return std::string{p}; }) + "`");
    if (!node.is_table())
      return complain(position(name, node.source()), "`" + path + "` is a section and takes no value itself");
    if (auto wrong = read_table(*node.as_table(), path + ".", name, into))
      return wrong;
  }
  return {};
}

problem read_environment(const std::map<std::string, std::string>& environment, configuration& into) {
  for (const auto& [variable, value] : environment) {
    if (!variable.starts_with("TROUPE_") || other_variables.contains(variable))
      continue;
    const auto& keys = configuration_keys();
    auto key =
        std::find_if(keys.begin(), keys.end(), [&](const auto& k) { return environment_name(k.path) == variable; });
    if (key == keys.end())
      return complain("environment", "unknown variable " + variable + "; the nearest known one is " +
                                         nearest(variable, [](const char* p) { return environment_name(p); }));
    if (auto wrong = set_from_text(*key, into, value); !wrong.empty())
      return complain("environment", variable + " " + wrong);
  }
  return {};
}

problem read_overrides(const std::map<std::string, std::string>& overrides, configuration& into) {
  for (const auto& [path, value] : overrides) {
    const auto* key = find_key(path);
    if (key == nullptr)
      return complain("command line", "unknown key `" + path + "`; the nearest known one is `" +
                                          nearest(path, [](const char* p) { return std::string{p}; }) + "`");
    if (auto wrong = set_from_text(*key, into, value); !wrong.empty())
      return complain("command line", path + " " + wrong);
  }
  return {};
}

// The part before "=" that comes twice; "" when none does.
std::string named_twice(const std::vector<std::string>& all) {
  std::set<std::string> names;
  for (const auto& one : all)
    if (auto name = one.substr(0, one.find('=')); !names.insert(name).second)
      return name;
  return "";
}

// What one key alone cannot say.
problem check_whole(const configuration& c) {
  if (c.node.timeout_ms < 2 * c.node.heartbeat_ms)
    return complain("configuration", "node.timeout_ms must be at least twice node.heartbeat_ms (" +
                                         std::to_string(c.node.heartbeat_ms) + ")");
  if (c.node.lease_ms < c.node.timeout_ms)
    return complain("configuration",
                    "node.lease_ms must not be below node.timeout_ms (" + std::to_string(c.node.timeout_ms) + ")");
  if (c.payments.provider == "stripe" && c.payments.stripe_key.empty() && c.payments.stripe_key_file.empty())
    return complain("configuration", "payments.provider is stripe, which needs payments.stripe_key_file");
  if (c.payments.provider == "stripe" && c.payments.stripe_webhook_secret.empty() &&
      c.payments.stripe_webhook_secret_file.empty())
    return complain("configuration", "payments.provider is stripe, which needs payments.stripe_webhook_secret_file");
  std::set<std::string> prices;
  for (const auto& one : c.payments.stripe_prices)
    if (auto price = one.substr(one.find('=') + 1); !prices.insert(price).second)
      return complain("configuration", "payments.stripe_prices names " + price + " twice");
  for (const auto& [key, amounts] : {std::pair{"devices.slots", &c.devices.slots},
                                     std::pair{"devices.vram_reserved_mib", &c.devices.vram_reserved_mib}})
    if (auto twice = named_twice(*amounts); !twice.empty())
      return complain("configuration", std::string{key} + " names " + twice + " twice");
  const auto& shares = c.scheduler;
  if (auto all = shares.interactive_share_percent + shares.standard_share_percent + shares.preemptible_share_percent;
      all > 100)
    return complain("configuration", "scheduler.interactive_share_percent, standard_share_percent and "
                                     "preemptible_share_percent must not be above 100 together, and are " +
                                         std::to_string(all));
  if (c.scheduler.queue_per_account > c.scheduler.queue_max)
    return complain("configuration", "scheduler.queue_per_account must not be above scheduler.queue_max");
  return {};
}

} // namespace

std::string environment_name(const std::string& path) {
  std::string out = "TROUPE_";
  for (char c : path)
    out +=
        c == '.' ? std::string{"__"} : std::string(1, static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  return out;
}

void clear_environment() {
  for (const auto& key : configuration_keys())
    ::unsetenv(environment_name(key.path).c_str());
}

std::map<std::string, std::string> troupe_environment() {
  std::map<std::string, std::string> out;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    std::string pair = *at;
    auto equals = pair.find('=');
    if (pair.starts_with("TROUPE_") && equals != std::string::npos)
      out[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return out;
}

result<configuration> read_configuration(std::string_view text, const std::string& name,
                                         const std::map<std::string, std::string>& environment,
                                         const std::map<std::string, std::string>& overrides) {
  configuration out;
  auto parsed = toml::parse(text);
  if (!parsed)
    return *complain(position(name, parsed.error().source()), std::string{parsed.error().description()});
  if (auto wrong = read_table(parsed.table(), "", name, out))
    return *wrong;
  if (auto wrong = read_environment(environment, out))
    return *wrong;
  if (auto wrong = read_overrides(overrides, out))
    return *wrong;
  if (auto wrong = check_whole(out))
    return *wrong;
  return out;
}

result<configuration> load_configuration(const std::optional<std::filesystem::path>& file,
                                         const std::map<std::string, std::string>& environment,
                                         const std::map<std::string, std::string>& overrides) {
  constexpr std::uintmax_t bytes_max = 1 << 20;
  if (!file)
    return read_configuration("", "", environment, overrides);
  std::error_code error;
  auto size = std::filesystem::file_size(*file, error);
  if (!error && size > bytes_max)
    return *complain(file->string(), "is larger than 1 MiB: not a configuration");
  std::ifstream in(*file, std::ios::binary);
  std::ostringstream text;
  if (error || !in || !(text << in.rdbuf() || size == 0))
    return *complain(file->string(), "cannot be read; is the path right, and is it a file that you may read?");
  return read_configuration(text.str(), file->filename().string(), environment, overrides);
}

// -- the shipped file -------------------------------------------------------------------------------------------------

namespace {

std::string in_quotes(const std::string& text) { return '"' + text + '"'; } // defaults hold nothing to escape

std::string default_of(const configuration_key& key, configuration& defaults) {
  auto slot = key.slot(defaults);
  if (auto* flag = std::get_if<bool*>(&slot))
    return **flag ? "true" : "false";
  if (auto* number = std::get_if<std::int64_t*>(&slot))
    return std::to_string(**number);
  if (auto* text = std::get_if<std::string*>(&slot))
    return in_quotes(**text);
  std::string out;
  for (const auto& item : *std::get<std::vector<std::string>*>(slot))
    out += (out.empty() ? "" : ", ") + in_quotes(item);
  return "[" + out + "]";
}

std::string note_of(const configuration_key& key, configuration& defaults) {
  std::string note = key.meaning;
  if (!key.choices.empty()) {
    note += " One of";
    for (const auto* choice : key.choices)
      note += std::string{choice == key.choices.front() ? " " : ", "} + choice;
    note += ".";
  }
  if (std::holds_alternative<std::int64_t*>(key.slot(defaults)))
    note += " " + std::to_string(key.least) + " to " + std::to_string(key.most) + ".";
  return note;
}

} // namespace

std::string default_configuration_file() {
  std::string out = "# Troupe's settings, with their defaults. Each is also an environment variable: TROUPE_ and its "
                    "path in capitals, with __\n"
                    "# between levels (http.listen: TROUPE_HTTP__LISTEN). The command line wins, then the environment, "
                    "then this file.\n";
  std::string section;
  configuration defaults;
  for (const auto& key : configuration_keys()) {
    std::string path = key.path;
    auto dot = path.find('.');
    if (path.substr(0, dot) != section) {
      section = path.substr(0, dot);
      out += "\n[" + section + "]\n";
    }
    out += "# " + note_of(key, defaults) + "\n" + path.substr(dot + 1) + " = " + default_of(key, defaults) + "\n";
  }
  out +=
      "\n# Tiers and prices: [tiers.NAME] with credits, resolution, frames, watermark, weight; [prices.…]. "
      "docs/money.md "
      "says what\n# can be set; only what differs need be said, e.g.\n# [prices.video.wan-t2v]\n# per_frame = 0.25\n#\n"
      "# An account's share of devices that others want too goes by its tier's weight, 1 to 10000. By default: free 1, "
      "starter 2,\n# creator 3, pro 4, studio 6, enterprise 8.\n# [tiers.pro]\n# weight = 5\n";
  return out;
}

} // namespace troupe

#include "common/catalog/tariff.hpp"

#include "common/toml.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace troupe::catalog {

namespace {

// Prices times quantities (at most 10^9 of anything, 10^7 tokens) stay within 63 bits.
constexpr double credits_max = 1'000, credits_per_million_tokens_max = 100'000;

/// Walks the two sections and remembers the first thing that is wrong, with its place.
class tariff_reader {
public:
  explicit tariff_reader(std::string name) : name_(std::move(name)) {}

  result<tariff> read(const toml::table& all) {
    each_table(all, "tiers", [&](const std::string& key, const toml::table& t, auto where) { tier(key, t, where); });
    if (const auto* section = section_of(all, "prices"))
      for (const auto& [key, node] : *section)
        group(std::string{key.str()}, node, key.source());
    if (wrong_)
      return *wrong_;
    return out_;
  }

private:
  using place = toml::source_region;

  void complain(const place& at, const std::string& what) {
    if (!wrong_)
      wrong_ = fail("configuration",
                    name_ + ":" + std::to_string(at.begin.line) + ":" + std::to_string(at.begin.column) + ": " + what);
  }

  const toml::table* section_of(const toml::table& in, const std::string& key) {
    const auto* node = in.get(key);
    if (node != nullptr && !node->is_table())
      complain(node->source(), "`" + key + "` is a section and takes no value itself");
    return node == nullptr ? nullptr : node->as_table();
  }

  template <class Visit>
  void each_table(const toml::table& in, const std::string& section, Visit visit) {
    const auto* found = section_of(in, section);
    if (found == nullptr)
      return;
    for (const auto& [key, node] : *found) {
      auto path = section + "." + std::string{key.str()};
      if (!node.is_table())
        complain(node.source(), "`" + path + "` is a section and takes no value itself");
      else
        visit(std::string{key.str()}, *node.as_table(), key.source());
    }
  }

  void tier(const std::string& name, const toml::table& in, const place& where) {
    auto which = tier_of(name);
    if (!which)
      return complain(where,
                      "no tier is called `" + name + "`; there are free, starter, creator, pro, studio, enterprise");
    auto& limits = out_.tiers[static_cast<std::size_t>(*which)];
    fields(in, "tiers." + name,
           {{"credits", [&](const toml::node& n) { return whole(n, limits.credits_per_month, 0, 1'000'000'000); }},
            {"frames", [&](const toml::node& n) { return whole(n, limits.frames_max, 1, 999); }},
            {"resolution",
             [&](const toml::node& n) -> std::string {
               auto size = n.is_string() ? resolution_of(n.as_string()->get()) : std::nullopt;
               if (!size)
                 return "must be one of \"480p\", \"720p\", \"1080p\", \"4K\"";
               limits.size = *size;
               return "";
             }},
            {"watermark",
             [&](const toml::node& n) -> std::string {
               if (!n.is_boolean())
                 return "must be true or false";
               limits.watermark = n.as_boolean()->get();
               return "";
             }},
            {"weight", [&](const toml::node& n) { return whole(n, limits.weight, 1, 10'000); }}});
  }

  void group(const std::string& name, const toml::node& node, const place& where) {
    auto path = "prices." + name;
    if (!node.is_table())
      return complain(node.source(), "`" + path + "` is a section and takes no value itself");
    const auto& in = *node.as_table();
    auto& p = out_.prices;
    if (name == "video")
      return tables(in, path, p.video, false, [&](video_formula& f) -> field_list {
        return {{"base", amount(f.base)}, {"per_frame", amount(f.per_frame)}, {"per_step", amount(f.per_step)}};
      });
    if (name == "timed")
      return tables(in, path, p.timed, false, [&](timed_price& t) -> field_list {
        return {{"credits", amount(t.amount)}, {"least", amount(t.least, true)}, {"seconds", [&t](const toml::node& n) {
                                                                                    std::int64_t seconds = 0;
                                                                                    auto wrong =
                                                                                        whole(n, seconds, 1, 86'400);
                                                                                    t.stretch_ms = seconds * 1000;
                                                                                    return wrong;
                                                                                  }}};
      });
    if (name == "tokens")
      return tables(in, path, p.tokens, true, [&](token_prices& t) -> field_list {
        return {{"input_per_million", amount(t.input_per_million, false, credits_per_million_tokens_max)},
                {"output_per_million", amount(t.output_per_million, false, credits_per_million_tokens_max)}};
      });
    if (name == "image")
      return amounts(in, path, p.image, false, true);
    if (name == "flat")
      return amounts(in, path, p.flat, false, true);
    if (name == "image_megapixel")
      return amounts(in, path, p.image_megapixel, true, false);
    if (name == "merge")
      return fields(in, path, {{"per_clip", amount(p.merge_clip, true)}, {"least", amount(p.merge_least, true)}});
    complain(where,
             "unknown section `" + path + "`; there are video, image, flat, timed, merge, tokens and image_megapixel");
  }

  using setter = std::function<std::string(const toml::node&)>; // what is wrong, or ""
  using field_list = std::vector<std::pair<std::string, setter>>;

  /// Each key of `in` must be one of the fields.
  void fields(const toml::table& in, const std::string& path, const field_list& known) {
    for (const auto& [key, node] : in) {
      auto found = std::find_if(known.begin(), known.end(), [&](const auto& f) { return f.first == key.str(); });
      auto full = path + "." + std::string{key.str()};
      if (found == known.end()) {
        std::string all;
        for (const auto& field : known)
          all += (all.empty() ? "" : ", ") + field.first;
        complain(key.source(), "unknown key `" + full + "`; there are " + all);
      } else if (auto wrong = found->second(node); !wrong.empty()) {
        complain(node.source(), full + " " + wrong);
      }
    }
  }

  template <class T, class Fields>
  void tables(const toml::table& in, const std::string& path, price_list::by_name<T>& into, bool may_add, Fields list) {
    for (const auto& [key, node] : in) {
      auto full = path + "." + std::string{key.str()};
      if (!node.is_table())
        return complain(node.source(), "`" + full + "` is a section and takes no value itself");
      if (auto* slot = slot_of(into, std::string{key.str()}, may_add, full, key.source()))
        fields(*node.as_table(), full, list(*slot));
    }
  }

  void amounts(const toml::table& in, const std::string& path, price_list::by_name<micro_credits>& into, bool may_add,
               bool whole_credits) {
    for (const auto& [key, node] : in) {
      auto full = path + "." + std::string{key.str()};
      auto* slot = slot_of(into, std::string{key.str()}, may_add, full, key.source());
      if (slot == nullptr)
        return;
      if (auto wrong = amount(*slot, whole_credits)(node); !wrong.empty())
        complain(node.source(), full + " " + wrong);
    }
  }

  template <class T>
  T* slot_of(price_list::by_name<T>& into, const std::string& key, bool may_add, const std::string& full,
             const place& where) {
    auto found = into.find(key);
    if (found == into.end() && !may_add) {
      std::string all;
      for (const auto& [name, value] : into)
        all += (all.empty() ? "" : ", ") + name;
      complain(where, "nothing is called `" + full + "`; there are " + all);
      return nullptr;
    }
    return found == into.end() ? &into[key] : &found->second;
  }

  static std::string whole(const toml::node& node, std::int64_t& slot, std::int64_t least, std::int64_t most) {
    if (!node.is_integer() || node.as_integer()->get() < least || node.as_integer()->get() > most)
      return "must be an integer from " + std::to_string(least) + " to " + std::to_string(most);
    slot = node.as_integer()->get();
    return "";
  }

  /// Credits with up to six decimals. Only here is a price ever a floating-point number, and it is made whole at once.
  static setter amount(micro_credits& slot, bool whole_credits = false, double most = credits_max) {
    return [&slot, whole_credits, most](const toml::node& node) -> std::string {
      auto value = node.value<double>().value_or(-1);
      if (!node.is_number() || !(value >= 0 && value <= most))
        return "must be credits, a number from 0 to " + std::to_string(static_cast<std::int64_t>(most));
      auto micro = std::llround(value * micro_per_credit);
      if (std::abs(value * micro_per_credit - static_cast<double>(micro)) > 1e-3)
        return "may have six decimals at most";
      if (whole_credits && micro % micro_per_credit != 0)
        return "must be whole credits: what the studio API charges at once is never a fraction";
      slot = micro;
      return "";
    };
  }

  std::string name_;
  std::optional<failure> wrong_;
  tariff out_;
};

} // namespace

result<tariff> read_tariff(std::string_view text, const std::string& name) {
  auto parsed = toml::parse(text);
  if (!parsed)
    return fail("configuration", name + ":" + std::to_string(parsed.error().source().begin.line) + ":" +
                                     std::to_string(parsed.error().source().begin.column) + ": " +
                                     std::string{parsed.error().description()});
  return tariff_reader{name}.read(parsed.table());
}

} // namespace troupe::catalog

#include "workflows/price_rules.hpp"

#include "common/catalog/models.hpp"
#include "common/catalog/prices.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::workflow {

namespace {

using fields = std::vector<std::pair<std::string, value_rule>>;

value_rule argument(value_type type, double min, double max) {
  value_rule rule;
  rule.type = type;
  rule.required = true;
  rule.min = min;
  rule.max = max;
  return rule;
}

value_rule seconds() { return argument(value_type::number, 0, 1e6); }
value_rule count() { return argument(value_type::integer, 0, 1e6); }

value_rule or_else(value_rule rule, json fallback) {
  rule.required = false;
  rule.fallback = std::move(fallback);
  return rule;
}

value_rule model() {
  value_rule rule;
  rule.type = value_type::video_model;
  rule.required = true;
  return rule;
}

value_rule words() {
  value_rule rule;
  rule.required = true;
  rule.max_length = value_limits::string_length_max;
  return rule;
}

// From here on integers: a price is never computed in floating point.
std::int64_t milli(const json& number) { return std::llround(number.get<double>() * 1000); }

std::int64_t duration_ms(const json& in) {
  if (in.contains("seconds"))
    return milli(in["seconds"]);
  return catalog::clip_ms(in["frames"].get<std::int64_t>(), in["frame_rate"].get<std::int64_t>());
}

micro_credits video_model_price(const json& in) {
  const auto* which = catalog::find_video_model(in["model"].get_ref<const std::string&>());
  return catalog::video_price(catalog::price_of(*which), in["frames"].get<std::int64_t>(),
                              in["steps"].get<std::int64_t>());
}

micro_credits speech_rule_price(const json& in) {
  return catalog::speech_price(
      catalog::estimated_speech_ms(in["text"].get_ref<const std::string&>(), milli(in["speed"])));
}

std::vector<price_rule> build() {
  std::vector<fields> by_duration{{{"seconds", seconds()}},
                                  {{"frames", count()}, {"frame_rate", argument(value_type::integer, 1, 1000)}}};
  std::vector<fields> by_clips{{{"clips", count()}}};
  return {
      {"free", "Nothing", {{}}, [](const json&) -> micro_credits { return 0; }},
      {"flat",
       "So many whole credits, times count",
       {{{"credits", argument(value_type::integer, 0, 1e6)}, {"count", or_else(count(), 1)}}},
       [](const json& in) { return credits(in["credits"].get<std::int64_t>() * in["count"].get<std::int64_t>()); }},
      {"video_model",
       "The model's formula: ceil(base + frames × per_frame + steps × per_step)",
       {{{"model", model()}, {"frames", count()}, {"steps", count()}}},
       video_model_price},
      {"speech",
       "ceil(6 × s / 60), s estimated from the text: 2.5 words a second, divided by the speed",
       {{{"text", words()}, {"speed", or_else(argument(value_type::number, 0.1, 10), 1)}}},
       speech_rule_price},
      {"upscale", "max(2, 2 × ceil(s / 10))", by_duration,
       [](const json& in) { return catalog::upscale_price(duration_ms(in)); }},
      {"video_to_video", "max(3, 3 × ceil(s / 10))", by_duration,
       [](const json& in) { return catalog::video_to_video_price(duration_ms(in)); }},
      {"audio",
       "ceil(8 × s / 30)",
       {{{"seconds", seconds()}}},
       [](const json& in) { return catalog::audio_price(duration_ms(in)); }},
      {"concat", "max(3, 2 × clips)", by_clips,
       [](const json& in) { return catalog::merge_price(in["clips"].get<std::int64_t>()); }},
      {"subtitles", "5", {{}}, [](const json&) { return catalog::subtitles_price(); }},
      {"edit", "3", {{}}, [](const json&) { return catalog::edit_price(); }},
      {"tool", "1", {{}}, [](const json&) { return catalog::tool_price(); }},
  };
}

} // namespace

std::span<const price_rule> price_rules() {
  static const std::vector<price_rule> rules = build();
  return rules;
}

const price_rule* find_price_rule(std::string_view name) {
  auto rules = price_rules();
  auto found = std::find_if(rules.begin(), rules.end(), [&](const auto& rule) { return rule.name == name; });
  return found == rules.end() ? nullptr : &*found;
}

result<micro_credits> price_of(const price_rule& rule, const json& arguments) {
  auto complete = [&](const auto& form) {
    return std::all_of(form.begin(), form.end(), [&](const auto& field) {
      auto given = arguments.find(field.first);
      return !field.second.required || (given != arguments.end() && !given->is_null());
    });
  };
  auto form = std::find_if(rule.forms.begin(), rule.forms.end(), complete);
  if (form == rule.forms.end())
    form = rule.forms.begin();
  auto checked = check_fields(*form, arguments, "");
  if (!checked)
    return checked.error();
  return rule.price(*checked);
}

} // namespace troupe::workflow

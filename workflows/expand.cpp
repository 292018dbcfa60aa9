#include "workflows/expand.hpp"

#include "common/catalog/models.hpp"
#include "common/check.hpp"
#include "common/sha256.hpp"
#include "workflows/price_rules.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace troupe::workflow {

namespace {

// No price of a run may come near the end of the integers, whatever a definition says.
constexpr micro_credits run_price_max = credits(1'000'000'000);

// Beyond every tier; keeps a long chain of enlargements from overflowing.
constexpr std::int64_t side_max = 1'000'000;

/// How large the pictures of an instance's output are.
struct picture {
  std::int64_t width = 0, height = 0;
};

class expander {
public:
  expander(const definition& workflow, const json& inputs, const expansion_context& context)
    : workflow_(workflow), inputs_(inputs), context_(context) {}

  result<plan> expand();

private:
  struct repeated {
    std::string root; // the list input; empty: once
    std::vector<std::uint32_t> instances;
  };

  result<void> add(const stage_definition& stage);
  result<void> add_instance(const stage_definition& stage, std::size_t item, std::size_t count, const json* value);
  result<json> resolve_params(const stage_definition& stage, const scope& in, std::size_t item) const;
  result<micro_credits> resolve_price(const stage_definition& stage, const scope& in) const;
  static result<std::uint32_t> resolve_estimate(const expression& seconds, std::uint32_t timeout_s, const scope& in);
  result<std::vector<bound_input>> bind(const stage_definition& stage, std::size_t item) const;
  std::vector<std::uint32_t> instances_of(const std::string& id, const stage_definition& consumer,
                                          std::size_t item) const;
  void measure(const stage_instance& instance);
  void add_results();

  const definition& workflow_;
  const json& inputs_;
  const expansion_context& context_;
  plan out_;
  std::map<std::string, repeated> made_;
  std::vector<picture> pictures_;
};

failure in_instance(const std::string& name, const failure& why) { return fail(why.code, name + "." + why.message); }

// Where both go with the same list, item belongs to item; otherwise the consumer gets all there are.
std::vector<std::uint32_t> expander::instances_of(const std::string& id, const stage_definition& consumer,
                                                  std::size_t item) const {
  const auto& source = made_.at(id);
  if (!source.root.empty() && source.root == workflow_.fan_out_root(consumer))
    return {source.instances.at(item)};
  return source.instances;
}

result<std::vector<bound_input>> expander::bind(const stage_definition& stage, std::size_t item) const {
  std::vector<bound_input> out;
  for (const auto& port : stage.kind->inputs) {
    auto given =
        std::find_if(stage.inputs.begin(), stage.inputs.end(), [&](const auto& one) { return one.port == port.name; });
    if (given == stage.inputs.end())
      continue;
    bound_input bound{port.name, port.optional, {}};
    for (const auto& from : given->from)
      for (auto instance : instances_of(from.stage, stage, item))
        bound.from.push_back({instance, from.port});
    auto most = port.list ? port.list_max : 1;
    if (bound.from.size() > most || (bound.from.size() < port.list_min && !port.optional))
      return fail("invalid_input", "inputs." + port.name + " takes " + std::to_string(port.list_min) + " to " +
                                       std::to_string(most) + " files, not " + std::to_string(bound.from.size()));
    out.push_back(std::move(bound));
  }
  return out;
}

result<json> expander::resolve_params(const stage_definition& stage, const scope& in, std::size_t item) const {
  auto values = json::object();
  for (const auto& [name, given] : stage.params) {
    auto value = given.evaluate(in);
    if (!value)
      return fail(value.error().code, name + " " + value.error().message);
    if (!value->is_null())
      values[name] = std::move(*value);
  }
  const auto* seed = stage.kind->find_param("seed");
  bool open = seed && (values.contains("seed") ? values["seed"] == -1 : seed->required);
  if (open)
    values["seed"] = derive_seed(context_.run_seed, stage.id, static_cast<std::uint32_t>(item));
  return check_params(*stage.kind, values);
}

result<micro_credits> expander::resolve_price(const stage_definition& stage, const scope& in) const {
  auto arguments = json::object();
  for (const auto& [name, given] : stage.price.arguments) {
    auto value = given.evaluate(in);
    if (!value)
      return fail(value.error().code, "price." + name + " " + value.error().message);
    arguments[name] = std::move(*value);
  }
  const auto* rule = find_price_rule(stage.price.rule);
  TROUPE_CHECK(rule);
  auto price = price_of(*rule, arguments);
  if (!price)
    return fail(price.error().code, "price." + price.error().message);
  if (*price > run_price_max)
    return fail("invalid_input", "price is out of range");
  return price;
}

// In milliseconds. No longer than the time-out, and never nothing: neither is worth to refuse a run for.
result<std::uint32_t> expander::resolve_estimate(const expression& seconds, std::uint32_t timeout_s, const scope& in) {
  auto value = seconds.evaluate(in);
  if (!value)
    return fail(value.error().code, "estimate_s " + value.error().message);
  return static_cast<std::uint32_t>(std::clamp(value->get<double>() * 1000, 1.0, timeout_s * 1000.0));
}

// An embedded engine must not pass for a model whose inputs it would ignore.
result<void> may_stand_in(const stage_kind& kind, const json& params) {
  auto given = params.find("model");
  const auto* model = given != params.end() && given->is_string()
                          ? catalog::find_video_model(given->get_ref<const std::string&>())
                          : nullptr;
  if (!model || kind.name != "scene.video" || model->stand_in == kind.name)
    return {};
  return fail("model_unavailable",
              std::string{model->id} + " cannot be served now: " + std::string{model->no_stand_in});
}

void expander::measure(const stage_instance& instance) {
  picture largest;
  auto area = [](const picture& p) { return p.width * p.height; };
  for (const auto& bound : instance.inputs)
    for (const auto& from : bound.from)
      if (area(pictures_[from.instance]) > area(largest))
        largest = pictures_[from.instance];
  const auto& params = instance.params;
  if (params.contains("width") && params.contains("height"))
    largest = {params["width"].get<std::int64_t>(), params["height"].get<std::int64_t>()};
  if (params.contains("factor")) {
    auto factor = params["factor"].get<std::int64_t>();
    largest = {std::min(largest.width * factor, side_max), std::min(largest.height * factor, side_max)};
  }
  pictures_.push_back(largest);
  auto& demand = out_.demand;
  if (area(largest) > demand.width * demand.height) {
    demand.width = largest.width;
    demand.height = largest.height;
  }
  if (params.contains("frames"))
    demand.frames = std::max(demand.frames, params["frames"].get<std::int64_t>());
}

result<void> expander::add_instance(const stage_definition& stage, std::size_t item, std::size_t count,
                                    const json* value) {
  stage_instance made;
  made.index = static_cast<std::uint32_t>(out_.stages.size());
  made.stage = stage.id;
  made.item = static_cast<std::uint32_t>(item);
  made.name = stage.for_each ? stage.id + "[" + std::to_string(item) + "]" : stage.id;
  made.kind = stage.kind->name;
  made.retry = stage.retry;
  made.timeout_s = stage.timeout_s;
  made.urgency = stage.urgency;
  made.vram_mib = stage.vram_mib;
  made.speculative = stage.speculative;
  scope in;
  in.inputs = &inputs_;
  in.item = value;
  in.index = item;
  in.count = count;
  in.watermark = context_.watermark;
  auto params = resolve_params(stage, in, item);
  if (!params)
    return in_instance(made.name, params.error());
  made.params = std::move(*params);
  if (auto served = may_stand_in(*stage.kind, made.params); !served)
    return served;
  in.params = &made.params;
  auto price = resolve_price(stage, in);
  if (!price)
    return in_instance(made.name, price.error());
  made.price = *price;
  if (stage.estimate_s) {
    auto estimate = resolve_estimate(*stage.estimate_s, stage.timeout_s, in);
    if (!estimate)
      return in_instance(made.name, estimate.error());
    made.estimate_ms = *estimate;
  }
  auto inputs = bind(stage, item);
  if (!inputs)
    return in_instance(made.name, inputs.error());
  made.inputs = std::move(*inputs);
  std::set<std::uint32_t> needed;
  for (const auto& bound : made.inputs)
    for (const auto& from : bound.from)
      needed.insert(from.instance);
  for (const auto& id : stage.after)
    for (auto instance : instances_of(id, stage, item))
      needed.insert(instance);
  made.dependencies.assign(needed.begin(), needed.end());
  measure(made);
  made_[stage.id].instances.push_back(made.index);
  out_.stages.push_back(std::move(made));
  return {};
}

result<void> expander::add(const stage_definition& stage) {
  auto root = workflow_.fan_out_root(stage);
  made_[stage.id].root = root;
  const json* list = root.empty() ? nullptr : &inputs_.at(root);
  auto count = list ? list->size() : 1;
  if (out_.stages.size() + count > plan::instances_max)
    return fail("too_many_stages",
                "the workflow would have more than " + std::to_string(plan::instances_max) + " stages");
  for (std::size_t item = 0; item < count; ++item)
    if (auto added = add_instance(stage, item, count, list ? &(*list)[item] : nullptr); !added)
      return added;
  return {};
}

std::string numbered(std::string pattern, std::size_t number) {
  auto open = pattern.find("{n");
  if (open == std::string::npos)
    return pattern;
  auto close = pattern.find('}', open);
  auto digits = std::to_string(number);
  auto width = close - open - 1;
  if (digits.size() < width)
    digits.insert(0, width - digits.size(), '0');
  return pattern.replace(open, close - open + 1, digits);
}

void expander::add_results() {
  for (const auto& result : workflow_.results) {
    const auto& source = made_.at(result.from.stage);
    const auto* port = workflow_.find_stage(result.from.stage)->kind->find_output(result.from.port);
    for (std::size_t i = 0; i < source.instances.size(); ++i)
      out_.results.push_back({source.root.empty() ? result.name : result.name + "[" + std::to_string(i) + "]",
                              {source.instances[i], result.from.port},
                              numbered(result.filename, i + 1),
                              port->optional});
  }
}

result<plan> expander::expand() {
  out_.workflow = workflow_.name;
  out_.version = workflow_.version;
  out_.hash = workflow_.hash;
  out_.min_tier = workflow_.min_tier.value_or(catalog::tier::free);
  for (const auto& stage : workflow_.stages) {
    if (auto added = add(stage); !added)
      return added.error();
    out_.min_tier = std::max(out_.min_tier, stage.min_tier.value_or(catalog::tier::free));
  }
  if (out_.stages.empty())
    return fail("invalid_input", "there is nothing to do: the list is empty");
  add_results();
  return std::move(out_);
}

} // namespace

std::int64_t derive_seed(std::int64_t run_seed, std::string_view stage, std::uint32_t item) {
  auto digest = sha256_hex(std::to_string(run_seed) + "/" + std::string{stage} + "/" + std::to_string(item));
  return static_cast<std::int64_t>(std::stoull(digest.substr(0, 8), nullptr, 16) & 0x7fffffff);
}

result<plan> expand(const definition& workflow, const json& inputs, const expansion_context& context) {
  return expander(workflow, inputs, context).expand();
}

} // namespace troupe::workflow

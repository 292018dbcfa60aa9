#include "workflows/plan.hpp"

#include "common/packed.hpp"

#include <algorithm>

namespace troupe::workflow {

micro_credits plan::price() const {
  micro_credits sum = 0;
  for (const auto& stage : stages)
    sum += stage.price;
  return sum;
}

std::string filename_of(const planned_result& result, std::string_view job) {
  auto out = result.filename;
  if (auto at = out.find("{job}"); at != std::string::npos)
    out.replace(at, 5, job);
  return out;
}

namespace {

packed_map packed_fields(const source& from) { return {"stage", from.instance, "port", from.port}; }

packed_map packed_fields(const stage_instance& stage) {
  packed_list inputs;
  for (const auto& bound : stage.inputs) {
    packed_list from;
    for (const auto& one : bound.from)
      from.push(packed_fields(one));
    inputs.push(packed_map("port", bound.port, "optional", bound.optional, "from", from));
  }
  packed_map out("index", stage.index, "stage", stage.stage, "item", stage.item, "name", stage.name);
  out.add("kind", stage.kind, "params", stage.params, "inputs", inputs, "dependencies", stage.dependencies);
  out.add("price", stage.price, "attempts", stage.retry.attempts, "backoff_ms", stage.retry.backoff_ms);
  out.add("timeout_s", stage.timeout_s, "estimate_ms", stage.estimate_ms);
  out.add("class", name_of(stage.urgency), "speculative", stage.speculative);
  if (stage.vram_mib > 0)
    out.add("vram_mib", stage.vram_mib);
  return out;
}

source source_from(const json& in) { return {in.at("stage").get<std::uint32_t>(), in.at("port").get<std::string>()}; }

stage_instance stage_from(const json& in) {
  stage_instance out;
  out.index = in.at("index").get<std::uint32_t>();
  out.stage = in.at("stage").get<std::string>();
  out.item = in.at("item").get<std::uint32_t>();
  out.name = in.at("name").get<std::string>();
  out.kind = in.at("kind").get<std::string>();
  out.params = in.at("params");
  for (const auto& bound : in.at("inputs")) {
    bound_input one{bound.at("port").get<std::string>(), bound.at("optional").get<bool>(), {}};
    for (const auto& from : bound.at("from"))
      one.from.push_back(source_from(from));
    out.inputs.push_back(std::move(one));
  }
  out.dependencies = in.at("dependencies").get<std::vector<std::uint32_t>>();
  out.price = in.at("price").get<micro_credits>();
  out.retry = {in.at("attempts").get<std::uint32_t>(), in.at("backoff_ms").get<std::uint32_t>()};
  out.timeout_s = in.at("timeout_s").get<std::uint32_t>();
  // Plans of jobs that were submitted before there were these have none of them.
  out.estimate_ms = in.value("estimate_ms", out.estimate_ms);
  out.urgency = stage_class_of(in.value("class", std::string{})).value_or(stage_class::standard);
  out.vram_mib = in.value("vram_mib", out.vram_mib);
  out.speculative = in.value("speculative", false);
  return out;
}

// What everything that walks a plan relies on.
bool sound(const plan& what) {
  if (what.stages.empty() || what.stages.size() > plan::instances_max)
    return false;
  for (std::size_t i = 0; i < what.stages.size(); ++i) {
    const auto& stage = what.stages[i];
    auto depends_on = [&](const source& from) {
      return std::binary_search(stage.dependencies.begin(), stage.dependencies.end(), from.instance);
    };
    bool ok = stage.index == i && stage.price >= 0 && stage.retry.attempts > 0 && stage.params.is_object() &&
              std::is_sorted(stage.dependencies.begin(), stage.dependencies.end()) &&
              (stage.dependencies.empty() || stage.dependencies.back() < i) &&
              std::all_of(stage.inputs.begin(), stage.inputs.end(), [&](const auto& bound) {
                return std::all_of(bound.from.begin(), bound.from.end(), depends_on);
              });
    if (!ok)
      return false;
  }
  return std::all_of(what.results.begin(), what.results.end(),
                     [&](const auto& result) { return result.from.instance < what.stages.size(); });
}

} // namespace

packed_map packed_fields(const plan& what) {
  packed_list stages, results;
  for (const auto& stage : what.stages)
    stages.push(packed_fields(stage));
  for (const auto& result : what.results)
    results.push(packed_map("name", result.name, "from", packed_fields(result.from), "filename", result.filename,
                            "optional", result.optional));
  packed_map out("workflow", what.workflow, "version", what.version, "hash", what.hash, "stages", stages);
  out.add("results", results, "min_tier", catalog::name_of(what.min_tier), "width", what.demand.width);
  out.add("height", what.demand.height, "frames", what.demand.frames);
  return out;
}

json to_json(const plan& what) { return packed_fields(what).tree(); }

void to_json(json& out, const plan_ptr& what) { out = what ? to_json(*what) : json(); }

void from_json(const json& in, plan_ptr& out) {
  out = nullptr;
  if (in.is_null())
    return;
  auto read = plan_from_json(in);
  if (!read)
    throw json::other_error::create(500, read.error().message, &in);
  out = std::make_shared<const plan>(std::move(*read));
}

result<plan> plan_from_json(const json& in) {
  try {
    plan out;
    out.workflow = in.at("workflow").get<std::string>();
    out.version = in.at("version").get<std::uint32_t>();
    out.hash = in.at("hash").get<std::string>();
    for (const auto& stage : in.at("stages"))
      out.stages.push_back(stage_from(stage));
    for (const auto& result : in.at("results"))
      out.results.push_back({result.at("name").get<std::string>(), source_from(result.at("from")),
                             result.at("filename").get<std::string>(), result.at("optional").get<bool>()});
    auto tier = catalog::tier_of(in.at("min_tier").get<std::string>());
    out.min_tier = tier.value_or(catalog::tier::enterprise);
    out.demand = {in.at("width").get<std::int64_t>(), in.at("height").get<std::int64_t>(),
                  in.at("frames").get<std::int64_t>()};
    if (!tier || !sound(out))
      return fail("corrupt", "the plan breaks its own rules");
    return out;
  } catch (const json::exception&) {
    return fail("corrupt", "not a plan");
  }
}

} // namespace troupe::workflow

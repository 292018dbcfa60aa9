#include "tests/simulation/authors.hpp"

#include "common/check.hpp"
#include "common/money.hpp"
#include "workflows/expand.hpp"

#include <spdlog/fmt/fmt.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace troupe::simulation {

namespace {

constexpr std::size_t workflows = 3;

/// With a mistake, and what that is.
std::pair<std::string, std::string> mistaken(const std::string& text, dice& luck) {
  auto document = json::parse(text);
  auto& first = document["stages"][0];
  switch (luck.below(4)) {
    case 0: return {text.substr(0, text.size() / 2), "half of it"};
    case 1: first["kind"] = "null.wonk"; return {document.dump(), "a kind of stage that there is not"};
    case 2: first["after"] = {first["id"]}; return {document.dump(), "a stage after itself"};
    default: document["version"] = 0; return {document.dump(), "version 0"};
  }
}

} // namespace

authors::authors(const habits& what, dice luck) : habits_(what), folder_(folder_of(::getpid())) {
  std::filesystem::remove_all(folder_);
  std::filesystem::create_directory(folder_);
  for (std::size_t i = 0; i < workflows; ++i) {
    auto name = "workflow-" + std::to_string(i);
    documents_.push_back(draw_document(name, 1, luck.stream(name)));
    write(documents_.back());
  }
}

authors::~authors() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::filesystem::path authors::folder_of(int process) {
  return std::filesystem::temp_directory_path() / ("troupe-sim-" + std::to_string(process));
}

std::string authors::begin() {
  auto problems = store_.load(folder_);
  if (!problems.empty())
    return "a definition without a mistake is refused: " + problems.front().text();
  for (const auto& one : documents_)
    if (auto found = store_.find(one.name); !found || found->version != one.version)
      return fmt::format("{} is not at version {} after a reload", one.name, one.version);
  return {};
}

std::string authors::rewrite(dice luck, bool head_is_up) {
  auto next = documents_;
  for (auto& one : next)
    if (luck.permille(600))
      one = draw_document(one.name, one.version + 1, luck.stream(one.name));
  auto& last = luck.pick(next);
  if (head_is_up && luck.permille(300)) {
    for (const auto& one : next)
      write(one);
    auto bad = last;
    std::string mistake;
    std::tie(bad.text, mistake) = mistaken(last.text, luck);
    write(bad);
    bool refused = !store_.load(folder_).empty();
    for (const auto& one : documents_)
      write(one);
    if (!refused)
      return fmt::format("{} is loaded with a mistake: {}", bad.name, mistake);
    for (const auto& one : documents_)
      if (auto found = store_.find(one.name); !found || found->version != one.version)
        return fmt::format("{} is not at version {} after a reload that was refused", one.name, one.version);
    return {};
  }
  documents_ = std::move(next);
  for (const auto& one : documents_)
    write(one);
  return head_is_up ? begin() : std::string{};
}

task authors::draw(dice& luck) const {
  task out;
  out.workflow = documents_[luck.below(documents_.size())].name;
  auto count = luck.between(1, 5);
  for (std::int64_t i = 0; i < count; ++i)
    out.items.push_back(luck.between(1, habits_.work_ms));
  out.ms = luck.between(1, habits_.work_ms);
  out.seed = luck.between(0, 1'000'000);
  return out;
}

std::variant<order, std::string> authors::order_of(const task& what, std::string& wrong) const {
  auto written =
      std::find_if(documents_.begin(), documents_.end(), [&](const auto& one) { return one.name == what.workflow; });
  auto definition = store_.find(what.workflow);
  TROUPE_CHECK(written != documents_.end());
  if (!definition) {
    wrong = what.workflow + " is not there";
    return wrong;
  }
  auto inputs = workflow::validate_inputs(*definition, {{"items", what.items}, {"ms", what.ms}});
  bool too_many = what.items.size() > written->items_max;
  if (inputs.has_value() == too_many)
    wrong = fmt::format("{} items of at most {} are {}", what.items.size(), written->items_max,
                        too_many ? "taken" : "refused: " + inputs.error().message);
  if (!inputs)
    return "422: " + inputs.error().message;
  auto plan = workflow::expand(*definition, *inputs, {"", what.seed});
  if (!plan) {
    wrong = "a plan cannot be made: " + plan.error().message;
    return wrong;
  }
  order out;
  for (const auto& s : written->stages) {
    auto count = s.repeated ? what.items.size() : 1;
    out.stages += count;
    out.price += static_cast<std::int64_t>(count) * s.credits * micro_per_credit;
  }
  if (plan->version != written->version)
    wrong = fmt::format("{} is planned at version {}, not {}", what.workflow, plan->version, written->version);
  out.plan = std::make_shared<const workflow::plan>(std::move(*plan));
  return out;
}

authors::document authors::draw_document(const std::string& name, std::uint32_t version, dice luck) const {
  document out;
  out.name = name;
  out.version = version;
  out.items_max = static_cast<std::size_t>(luck.between(3, 6));
  auto count = luck.between(1, 4);
  json stages = json::array();
  std::vector<bool> needed(static_cast<std::size_t>(count), false);
  for (std::int64_t i = 0; i < count; ++i) {
    bool last = i + 1 == count;
    stage made{luck.between(0, 9), !last && luck.permille(400)};
    json one = {{"id", "s" + std::to_string(i)},
                {"kind", "null.work"},
                {"params", {{"ms", made.repeated ? "$item" : "$inputs.ms"}}},
                {"price", {{"rule", "flat"}, {"credits", made.credits}}},
                {"retry", {{"attempts", luck.between(1, 4)}, {"backoff_ms", luck.magnitude(100, 10'000)}}},
                {"timeout_s", luck.between(5, 60)},
                {"speculative", luck.permille(habits_.speculative)}};
    if (made.repeated)
      one["for_each"] = "inputs.items";
    if (luck.permille(habits_.spoilt))
      one["params"]["fail"] = "bad_input";
    if (luck.permille(habits_.urgencies))
      one["class"] = luck.permille(500) ? "interactive" : "preemptible";
    json after = json::array();
    for (std::size_t j = 0; j < static_cast<std::size_t>(i); ++j)
      if (luck.permille(400) || (last && !needed[j])) { // a stage that nobody needs is a mistake
        after.push_back("s" + std::to_string(j));
        needed[j] = true;
      }
    if (!after.empty())
      one["after"] = std::move(after);
    out.stages.push_back(made);
    stages.push_back(std::move(one));
  }
  json ms = {{"type", "integer"}, {"min", 0}, {"max", 60'000}, {"description", "how long"}};
  json items = {{"type", "list"},
                {"required", true},
                {"min_length", 1},
                {"max_length", out.items_max},
                {"description", "one stage each"},
                {"items", ms}};
  ms["default"] = 10;
  json all = {{"name", name},
              {"version", version},
              {"title", name},
              {"inputs", {{"ms", std::move(ms)}, {"items", std::move(items)}}},
              {"stages", std::move(stages)},
              {"result", {{"file", {{"from", "s" + std::to_string(count - 1) + ".data"}, {"filename", "{job}.bin"}}}}}};
  out.text = all.dump();
  return out;
}

void authors::write(const document& what) const {
  std::ofstream to(folder_ / (what.name + ".json"), std::ios::binary | std::ios::trunc);
  to << what.text;
  to.close();
  TROUPE_CHECK(to.good());
}

} // namespace troupe::simulation

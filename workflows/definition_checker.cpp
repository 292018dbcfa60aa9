#include "workflows/definition_checker.hpp"

#include "workflows/price_rules.hpp"

#include <algorithm>
#include <map>
#include <set>

namespace troupe::workflow {

namespace {

using fields = std::vector<std::pair<std::string, value_rule>>;

bool assignable(value_type from, value_type to) {
  switch (to) {
    case value_type::string:
      return from == value_type::string || from == value_type::choice || from == value_type::video_model;
    case value_type::number: return from == value_type::number || from == value_type::integer;
    default: return from == to;
  }
}

template <class Named>
std::vector<std::string> names_of(const std::vector<Named>& all) {
  std::vector<std::string> out;
  for (const auto& one : all) {
    if constexpr (requires { one.first; })
      out.push_back(one.first);
    else
      out.push_back(one.name);
  }
  return out;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  auto meant = nearest(word, known);
  return meant.empty() ? "" : "; did you mean '" + meant + "'?";
}

class checker {
public:
  checker(definition& workflow, std::string file) : workflow_(workflow), file_(std::move(file)) {}

  std::vector<problem> check();

private:
  void wrong(std::string field, std::string message) {
    problems_.push_back({file_, stage_, std::move(field), std::move(message)});
  }
  void input_defaults();
  void no_nested_reference(const value_rule& rule, const std::string& field);
  void duplicates();
  bool fan_outs();
  bool fan_out_ends(const stage_definition& stage);
  void params(const stage_definition& stage);
  void value(const expression& given, const value_rule& rule, const type_scope& in, const std::string& field);
  void inputs(const stage_definition& stage);
  void source_of(const stage_definition& stage, const input_port& port, const port_reference& from,
                 const std::string& field);
  void after(const stage_definition& stage);
  void price(const stage_definition& stage);
  void estimate(const stage_definition& stage);
  void results();
  void filename(const result_definition& result, bool repeated);
  void order();
  void reachable();
  std::vector<std::string> needs(const stage_definition& stage) const;
  type_scope scope_of(const stage_definition& stage) const;
  std::vector<std::string> stage_ids() const;

  definition& workflow_;
  std::string file_;
  std::string stage_;
  std::vector<problem> problems_;
};

std::vector<std::string> checker::stage_ids() const {
  std::vector<std::string> out;
  for (const auto& stage : workflow_.stages)
    out.push_back(stage.id);
  return out;
}

std::vector<std::string> checker::needs(const stage_definition& stage) const {
  std::vector<std::string> out = stage.after;
  for (const auto& bound : stage.inputs)
    for (const auto& from : bound.from)
      out.push_back(from.stage);
  return out;
}

type_scope checker::scope_of(const stage_definition& stage) const {
  const auto* list = workflow_.find_input(workflow_.fan_out_root(stage));
  return {&workflow_.inputs, list ? &list->items.front() : nullptr, nullptr};
}

void checker::no_nested_reference(const value_rule& rule, const std::string& field) {
  for (const auto& [name, inner] : rule.fields) {
    if (inner.fallback.is_string() && inner.fallback.get_ref<const std::string&>().starts_with('$'))
      wrong(field + "." + name + ".default", "only a workflow's own inputs may take a default from a model");
    no_nested_reference(inner, field + "." + name);
  }
  for (const auto& item : rule.items)
    no_nested_reference(item, field + ".items");
}

// A default may be a field of a chosen model and nothing else, so that no order among inputs matters.
void checker::input_defaults() {
  for (const auto& [name, rule] : workflow_.inputs) {
    auto field = "inputs." + name;
    no_nested_reference(rule, field);
    if (!rule.fallback.is_string() || !rule.fallback.get_ref<const std::string&>().starts_with('$'))
      continue;
    auto parsed = expression::parse(rule.fallback);
    const auto& text = rule.fallback.get_ref<const std::string&>();
    if (!parsed) {
      wrong(field + ".default", parsed.error().message);
    } else if (!text.starts_with("$$")) {
      auto type = parsed->type({&workflow_.inputs, nullptr, nullptr});
      if (!text.starts_with("$inputs.") || std::count(text.begin(), text.end(), '.') != 2)
        wrong(field + ".default", "may only refer to a model's field, such as \"$inputs.model.width\"");
      else if (!type)
        wrong(field + ".default", type.error().message);
      else if (!assignable(*type, rule.type))
        wrong(field + ".default",
              "is of type " + std::string{name_of(*type)} + ", not " + std::string{name_of(rule.type)});
    }
  }
}

void checker::duplicates() {
  std::set<std::string> seen;
  for (const auto& stage : workflow_.stages) {
    stage_ = stage.id;
    if (!seen.insert(stage.id).second)
      wrong("id", "is used by two stages");
  }
}

bool checker::fan_out_ends(const stage_definition& stage) {
  std::set<std::string> seen{stage.id};
  const auto* at = &stage;
  while (at->for_each && !at->for_each->stage.empty()) {
    const auto* next = workflow_.find_stage(at->for_each->stage);
    if (!next || !seen.insert(next->id).second)
      return !next; // an unknown stage is that stage's problem
    at = next;
  }
  return true;
}

bool checker::fan_outs() {
  auto before = problems_.size();
  for (const auto& stage : workflow_.stages) {
    stage_ = stage.id;
    if (!stage.for_each)
      continue;
    const auto& what = *stage.for_each;
    if (what.stage.empty()) {
      const auto* list = workflow_.find_input(what.input);
      if (!list)
        wrong("for_each",
              "there is no input '" + what.input + "'" + suggestion(what.input, names_of(workflow_.inputs)));
      else if (list->type != value_type::list)
        wrong("for_each", "'" + what.input + "' is not a list");
      else if (!list->required && list->fallback.is_null())
        wrong("for_each", "'" + what.input + "' may be left out: make it required or give it a default");
      continue;
    }
    const auto* other = workflow_.find_stage(what.stage);
    if (!other)
      wrong("for_each", "there is no stage '" + what.stage + "'" + suggestion(what.stage, stage_ids()) +
                            " (a list input is written inputs.NAME)");
    else if (!fan_out_ends(stage))
      wrong("for_each", "goes round in a circle");
    else if (!other->for_each)
      wrong("for_each", "the stage '" + what.stage + "' is not repeated");
  }
  return problems_.size() == before;
}

void checker::value(const expression& given, const value_rule& rule, const type_scope& in, const std::string& field) {
  if (const auto* literal = given.literal()) {
    if (auto checked = check_value(rule, *literal, "it"); !checked)
      wrong(field, checked.error().message);
    return;
  }
  auto type = given.type(in);
  if (!type)
    return wrong(field, type.error().message);
  if (!assignable(*type, rule.type))
    return wrong(field, "is of type " + std::string{name_of(*type)} + ", but " + std::string{name_of(rule.type)} +
                            " is wanted");
  if ((rule.required || !given.is_reference()) && given.may_be_absent(in))
    wrong(field, "refers to a value that may be left out: make that required or give it a default");
}

void checker::params(const stage_definition& stage) {
  auto in = scope_of(stage);
  for (const auto& [name, given] : stage.params) {
    auto field = "params." + name;
    const auto* rule = stage.kind->find_param(name);
    if (!rule) {
      wrong(field, stage.kind->name + " has no such parameter" + suggestion(name, names_of(stage.kind->params)));
      continue;
    }
    auto relaxed = *rule;
    if (name == "seed") { // -1 and nothing mean: derive one
      relaxed.min = -1;
      relaxed.required = false;
    }
    value(given, relaxed, in, field);
  }
  for (const auto& [name, rule] : stage.kind->params) {
    bool given =
        std::any_of(stage.params.begin(), stage.params.end(), [&](const auto& one) { return one.first == name; });
    if (rule.required && !given && name != "seed")
      wrong("params." + name, "is missing: " + stage.kind->name + " needs it");
  }
}

void checker::source_of(const stage_definition& stage, const input_port& port, const port_reference& from,
                        const std::string& field) {
  const auto* source = workflow_.find_stage(from.stage);
  if (!source)
    return wrong(field, "there is no stage '" + from.stage + "'" + suggestion(from.stage, stage_ids()));
  const auto* output = source->kind->find_output(from.port);
  if (!output)
    return wrong(field, "'" + from.stage + "' (" + source->kind->name + ") has no output '" + from.port + "'" +
                            suggestion(from.port, names_of(source->kind->outputs)));
  if (!accepts(port.type, output->type))
    return wrong(field, "takes " + std::string{name_of(port.type)} + ", but '" + from.stage + "." + from.port +
                            "' is " + std::string{name_of(output->type)});
  if (output->optional && !port.optional)
    return wrong(field, "'" + from.stage + "." + from.port + "' is not always made, but the port needs a file");
  auto root = workflow_.fan_out_root(*source);
  if (!port.list && !root.empty() && root != workflow_.fan_out_root(stage))
    wrong(field, "takes one file, but '" + from.stage + "' makes one for each of inputs." + root);
}

void checker::inputs(const stage_definition& stage) {
  for (const auto& bound : stage.inputs) {
    auto field = "inputs." + bound.port;
    const auto* port = stage.kind->find_input(bound.port);
    if (!port) {
      wrong(field, stage.kind->name + " has no such input" + suggestion(bound.port, names_of(stage.kind->inputs)));
      continue;
    }
    if (!port->list && bound.from.size() > 1)
      wrong(field, "takes one file, not a list");
    for (const auto& from : bound.from)
      source_of(stage, *port, from, field);
  }
  for (const auto& port : stage.kind->inputs) {
    bool given =
        std::any_of(stage.inputs.begin(), stage.inputs.end(), [&](const auto& one) { return one.port == port.name; });
    if (!port.optional && !given)
      wrong("inputs." + port.name, "is missing: " + stage.kind->name + " needs it");
  }
}

void checker::after(const stage_definition& stage) {
  for (const auto& id : stage.after)
    if (!workflow_.find_stage(id))
      wrong("after", "there is no stage '" + id + "'" + suggestion(id, stage_ids()));
}

void checker::price(const stage_definition& stage) {
  const auto* rule = find_price_rule(stage.price.rule);
  if (!rule) {
    std::vector<std::string> known;
    for (const auto& one : price_rules())
      known.emplace_back(one.name);
    return wrong("price.rule", "unknown rule '" + stage.price.rule + "'" + suggestion(stage.price.rule, known));
  }
  auto given = [&](const std::string& name) {
    return std::any_of(stage.price.arguments.begin(), stage.price.arguments.end(),
                       [&](const auto& one) { return one.first == name; });
  };
  auto in = scope_of(stage);
  in.params = &stage.kind->params;
  for (const auto& [name, argument] : stage.price.arguments) {
    const value_rule* wanted = nullptr;
    std::vector<std::string> known;
    for (const auto& form : rule->forms)
      for (const auto& [field, what] : form) {
        known.push_back(field);
        wanted = field == name ? &what : wanted;
      }
    if (wanted)
      value(argument, *wanted, in, "price." + name);
    else
      wrong("price." + name, "the rule '" + stage.price.rule + "' has no such argument" + suggestion(name, known));
  }
  auto complete = [&](const fields& form) {
    return std::all_of(form.begin(), form.end(),
                       [&](const auto& one) { return !one.second.required || given(one.first); });
  };
  if (std::any_of(rule->forms.begin(), rule->forms.end(), complete))
    return;
  std::string wanted;
  for (const auto& form : rule->forms) {
    wanted += wanted.empty() ? "" : ", or ";
    for (std::size_t i = 0; i < form.size(); ++i)
      wanted += (i == 0 ? "" : " and ") + form[i].first;
  }
  wrong("price", "the rule '" + stage.price.rule + "' needs " + wanted);
}

void checker::filename(const result_definition& result, bool repeated) {
  auto field = "result." + result.name + ".filename";
  auto text = result.filename;
  auto job = text.find("{job}");
  if (job == std::string::npos)
    return wrong(field, "must contain {job}, so that no two jobs' files have one name");
  text.replace(job, 5, "j");
  auto open = text.find("{n");
  if (open != std::string::npos) {
    auto close = text.find_first_not_of('n', open + 1);
    if (close == std::string::npos || text[close] != '}')
      return wrong(field, "{n…} is not closed");
    text.replace(open, close - open + 1, "1");
  } else if (repeated) {
    return wrong(field, "must contain {n}, because the stage is repeated");
  }
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  };
  if (text.size() > 100 || !std::all_of(text.begin(), text.end(), allowed) || text.front() == '.' ||
      text.find("..") != std::string::npos)
    return wrong(field, "must be of letters, digits, '_', '-' and '.', at most 100, and {job} and {n…} once each");
  if (text.find('.') == std::string::npos || text.back() == '.')
    wrong(field, "must have an extension");
}

void checker::estimate(const stage_definition& stage) {
  if (!stage.estimate_s)
    return;
  value_rule seconds;
  seconds.type = value_type::number;
  seconds.required = true;
  seconds.min = 0;
  seconds.max = 86'400;
  auto in = scope_of(stage);
  in.params = &stage.kind->params;
  value(*stage.estimate_s, seconds, in, "estimate_s");
}

void checker::results() {
  stage_.clear();
  std::set<std::string> names;
  for (const auto& result : workflow_.results) {
    auto field = "result." + result.name + ".from";
    const auto* source = workflow_.find_stage(result.from.stage);
    if (!source) {
      wrong(field, "there is no stage '" + result.from.stage + "'" + suggestion(result.from.stage, stage_ids()));
      continue;
    }
    if (!source->kind->find_output(result.from.port))
      wrong(field, "'" + result.from.stage + "' (" + source->kind->name + ") has no output '" + result.from.port + "'" +
                       suggestion(result.from.port, names_of(source->kind->outputs)));
    filename(result, !workflow_.fan_out_root(*source).empty());
    if (!names.insert(result.filename).second)
      wrong("result." + result.name + ".filename", "is the name of another result too");
  }
}

// Kahn's algorithm, taking the first stage that is free in the author's order; what is left over is in or behind a
// cycle.
void checker::order() {
  stage_.clear();
  std::vector<stage_definition> sorted, left = workflow_.stages;
  std::set<std::string> done;
  auto free = [&](const stage_definition& stage) {
    auto needed = needs(stage);
    return std::all_of(needed.begin(), needed.end(), [&](const auto& id) { return done.contains(id); });
  };
  for (auto next = left.begin(); (next = std::find_if(left.begin(), left.end(), free)) != left.end();) {
    done.insert(next->id);
    sorted.push_back(std::move(*next));
    left.erase(next);
  }
  if (left.empty()) {
    workflow_.stages = std::move(sorted);
    return;
  }
  // Following what is not done always stays among the left over, so it comes round.
  std::vector<std::string> path{left.front().id};
  while (std::count(path.begin(), path.end(), path.back()) < 2) {
    auto needed =
        needs(*std::find_if(left.begin(), left.end(), [&](const auto& one) { return one.id == path.back(); }));
    path.push_back(*std::find_if(needed.begin(), needed.end(), [&](const auto& id) { return !done.contains(id); }));
  }
  path.erase(path.begin(), std::find(path.begin(), path.end(), path.back()));
  std::string circle;
  for (auto at = path.rbegin(); at != path.rend(); ++at)
    circle += (circle.empty() ? "" : " -> ") + *at;
  stage_ = path.front();
  wrong("inputs", "the stages go round in a circle: " + circle);
}

void checker::reachable() {
  std::set<std::string> needed;
  std::vector<std::string> open;
  for (const auto& result : workflow_.results)
    open.push_back(result.from.stage);
  while (!open.empty()) {
    auto id = std::move(open.back());
    open.pop_back();
    if (!needed.insert(id).second)
      continue;
    for (auto& more : needs(*workflow_.find_stage(id)))
      open.push_back(std::move(more));
  }
  for (const auto& stage : workflow_.stages) {
    stage_ = stage.id;
    if (!needed.contains(stage.id))
      wrong("", "is unreachable: no result depends on it");
  }
}

std::vector<problem> checker::check() {
  input_defaults();
  duplicates();
  if (!problems_.empty() || !fan_outs())
    return problems_;
  for (const auto& stage : workflow_.stages) {
    stage_ = stage.id;
    params(stage);
    inputs(stage);
    after(stage);
    price(stage);
    estimate(stage);
  }
  results();
  if (problems_.empty())
    order();
  if (problems_.empty())
    reachable();
  return problems_;
}

} // namespace

std::vector<problem> check_definition(definition& workflow, const std::string& file) {
  return checker(workflow, file).check();
}

} // namespace troupe::workflow

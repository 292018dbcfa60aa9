#include "builders.hpp"
#include "world.hpp"

#include <cstdlib>

namespace troupe::workflow {
namespace {

using namespace workflow::testing;

const std::filesystem::path page = source_dir / "docs/adding-a-workflow.md";

std::string between(const std::string& text, const std::string& open, const std::string& close) {
  auto from = text.find(open);
  auto to = from == std::string::npos ? from : text.find(close, from + open.size());
  if (to == std::string::npos) {
    ADD_FAILURE() << "the page has no " << open << " … " << close;
    return "";
  }
  return text.substr(from + open.size(), to - from - open.size());
}

std::string range_of(const value_rule& rule) {
  auto schema = schema_of(rule);
  std::string out;
  if (!rule.choices.empty())
    for (const auto& choice : rule.choices)
      out += (out.empty() ? "`" : ", `") + choice + "`";
  else if (schema.contains("minimum"))
    out = schema["minimum"].dump() + " … " + schema["maximum"].dump();
  else if (rule.type == value_type::string)
    out = std::to_string(rule.min_length) + " … " + std::to_string(rule.max_length) + " characters";
  if (rule.multiple_of > 1)
    out += ", a multiple of " + std::to_string(rule.multiple_of);
  return out;
}

/// The part of the page that is made from the table of kinds.
std::string kinds_as_markdown() {
  std::string out = "\n";
  for (const auto& kind : stage_kinds()) {
    out += "\n### `" + kind.name + "`: " + kind.title + "\n\n";
    for (const auto& port : kind.inputs)
      out +=
          "- takes `" + port.name + "`: " + std::string{name_of(port.type)} +
          (port.list ? ", a list of " + std::to_string(port.list_min) + " to " + std::to_string(port.list_max) : "") +
          (port.optional ? ", optional" : "") + "\n";
    for (const auto& port : kind.outputs)
      out += "- makes `" + port.name + "`: " + std::string{content_type_of(port.type)} +
             (port.optional ? ", not always" : "") + "\n";
    out += "\n| parameter | type | range | default | |\n|---|---|---|---|---|\n";
    for (const auto& [name, rule] : kind.params)
      out += "| `" + name + "` | " + std::string{name_of(rule.type)} + " | " + range_of(rule) + " | " +
             (rule.fallback.is_null() ? (rule.required ? (name == "seed" ? "derived" : "required") : "none")
                                      : "`" + rule.fallback.dump() + "`") +
             " | " + rule.description + " |\n";
  }
  return out + "\n";
}

TEST(Documentation, ItsExampleLoadsAndRuns) {
  auto text = between(file_text(page), "```json\n", "```");
  auto parsed = parse_definition_text(text, "adding-a-workflow.md");
  ASSERT_TRUE(parsed.definition) << texts(parsed.problems);
  json inputs{{"chapters", {{{"picture", "a lighthouse"}}, {{"picture", "a storm"}, {"seconds", 1.5}}}},
              {"story", "It was a dark and stormy night."}};
  auto plan = planned(parsed.definition, inputs);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->stages.size(), 5u);
  EXPECT_EQ(plan->stages[1].params["frames"], 36);
  // 10 + 72 × 0.2 + 4 × 0.5 = 26.4, 10 + 36 × 0.2 + 4 × 0.5 = 19.2; 2 × 2 clips; 7 words → 2.8 s; an edit.
  EXPECT_EQ(plan->price(), credits(27 + 20 + 4 + 1 + 3));
  World world(plan);
  EXPECT_EQ(world.play(), phase::succeeded);
  EXPECT_EQ(world.job.results().size(), 3u);
}

/// Goal: the page lists the stage kinds as they are. Method: it holds just what is made from their table; run the test
/// with TROUPE_UPDATE_DOCS=1 to write it anew.
TEST(Documentation, ListsTheStageKindsAsTheyAre) {
  const std::string open = "<!-- stage-kinds -->", close = "<!-- /stage-kinds -->";
  auto text = file_text(page);
  auto listed = between(text, open, close);
  if (std::getenv("TROUPE_UPDATE_DOCS") != nullptr) {
    text.replace(text.find(open) + open.size(), listed.size(), kinds_as_markdown());
    std::ofstream(page, std::ios::binary) << text;
    return;
  }
  EXPECT_EQ(listed, kinds_as_markdown()) << "run with TROUPE_UPDATE_DOCS=1";
}

} // namespace
} // namespace troupe::workflow

#pragma once

// Workflows to test with, in as few words as possible.

#include "common/sha256.hpp"
#include "workflows/expand.hpp"
#include "workflows/run.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>

namespace troupe::workflow::testing {

inline const std::filesystem::path source_dir = TROUPE_SOURCE_DIR;

inline std::string file_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  EXPECT_TRUE(in.is_open()) << path;
  return out.str();
}

inline std::string texts(const std::vector<problem>& problems) {
  std::string out;
  for (const auto& one : problems)
    out += one.text() + "\n";
  return out;
}

/// A definition that must be right.
inline definition_ptr accepted(const json& document) {
  auto parsed = parse_definition(document, "test.json");
  EXPECT_TRUE(parsed.problems.empty()) << texts(parsed.problems);
  return parsed.definition;
}

/// One of those that the program comes with.
inline definition_ptr shipped(const std::string& name) {
  auto parsed =
      parse_definition_text(file_text(source_dir / "workflows/definitions" / (name + ".json")), name + ".json");
  EXPECT_TRUE(parsed.problems.empty()) << texts(parsed.problems);
  return parsed.definition;
}

/// A stage of null.work that makes one byte, after others.
inline json null_stage(const std::string& id, std::vector<std::string> after = {}, json retry = json::object()) {
  return {{"id", id},
          {"kind", "null.work"},
          {"after", std::move(after)},
          {"params", {{"bytes", 1}}},
          {"price", {{"rule", "flat"}, {"credits", 1}}},
          {"retry", std::move(retry)}};
}

inline json null_workflow(std::vector<json> stages, const std::string& last) {
  return {{"name", "test"},
          {"version", 1},
          {"stages", std::move(stages)},
          {"result", {{"data", {{"from", last + ".data"}, {"filename", "{job}.bin"}}}}}};
}

inline plan_ptr planned(const definition_ptr& workflow, const json& inputs = json::object()) {
  auto checked = validate_inputs(*workflow, inputs);
  EXPECT_TRUE(checked) << (checked ? "" : checked.error().message);
  if (!checked)
    return nullptr;
  auto made = expand(*workflow, *checked, {"", 7});
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return made ? std::make_shared<const plan>(std::move(*made)) : nullptr;
}

inline plan_ptr null_plan(std::vector<json> stages, const std::string& last) {
  return planned(accepted(null_workflow(std::move(stages), last)));
}

inline json film_inputs(std::size_t shots = 3) {
  json out{{"shots", json::array()}, {"narration", "Once upon a time there was a light house by the sea."}};
  for (std::size_t i = 0; i < shots; ++i)
    out["shots"].push_back({{"prompt", "shot " + std::to_string(i)}});
  return out;
}

/// What an engine would deliver for an instance: one file for each output of its kind.
inline std::vector<artifact> outputs_of(const stage_instance& stage) {
  std::vector<artifact> out;
  for (const auto& port : find_stage_kind(stage.kind)->outputs)
    out.push_back({port.name, sha256_hex(stage.name + "." + port.name), 1, std::string{content_type_of(port.type)},
                   json::object()});
  return out;
}

} // namespace troupe::workflow::testing

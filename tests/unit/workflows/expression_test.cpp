#include "workflows/expression.hpp"

#include <gtest/gtest.h>

namespace troupe::workflow {
namespace {

json inputs() { return {{"rate", 24}, {"name", "x"}, {"shots", {1, 2, 3}}, {"model", "ltx-t2v"}}; }

result<json> value_of(const json& text, const json& item = nullptr) {
  auto parsed = expression::parse(text);
  if (!parsed)
    return parsed.error();
  auto given = inputs();
  scope in;
  in.inputs = &given;
  in.item = &item;
  in.index = 2;
  in.count = 3;
  in.watermark = "Troupe";
  return parsed->evaluate(in);
}

std::string parse_error(const json& text) {
  auto parsed = expression::parse(text);
  return parsed ? "" : parsed.error().message;
}

TEST(Expression, LiteralsAreThemselves) {
  EXPECT_EQ(value_of("plain").value(), "plain");
  EXPECT_EQ(value_of(2.5).value(), 2.5);
  EXPECT_EQ(value_of(true).value(), true);
  EXPECT_EQ(value_of("$$5 a day").value(), "$5 a day");
}

TEST(Expression, ReferencesLeadToWhatTheyName) {
  EXPECT_EQ(value_of("$inputs.rate").value(), 24);
  EXPECT_EQ(value_of("$item.prompt", {{"prompt", "a"}}).value(), "a");
  EXPECT_EQ(value_of("$item", 9).value(), 9);
  EXPECT_EQ(value_of("$index").value(), 2);
  EXPECT_EQ(value_of("$count").value(), 3);
  EXPECT_EQ(value_of("$account.watermark").value(), "Troupe");
  EXPECT_EQ(value_of("$inputs.model.steps").value(), 8);
  EXPECT_EQ(value_of("$inputs.missing").value(), nullptr);
}

TEST(Expression, ArithmeticIsSmallAndExact) {
  EXPECT_EQ(value_of({{"$round", {"$item.s", "*", "$inputs.rate"}}}, {{"s", 1.7}}).value(), 41);
  EXPECT_EQ(value_of({{"$round", 2.5}}).value(), 3);
  EXPECT_EQ(value_of({{"$round", -2.5}}).value(), -3);
  EXPECT_EQ(value_of({{"$ceil", {7, "/", 2}}}).value(), 4);
  EXPECT_EQ(value_of({{"$floor", {7, "/", 2}}}).value(), 3);
  EXPECT_EQ(value_of({{"$value", {{2, "+", 3}, "*", {10, "-", 4}}}}).value(), 30);
  EXPECT_EQ(value_of({{"$min", {3, "$inputs.rate"}}}).value(), 3);
  EXPECT_EQ(value_of({{"$max", {3, "$inputs.rate"}}}).value(), 24);
  EXPECT_EQ(value_of({{"$length", "$inputs.shots"}}).value(), 3);
}

TEST(Expression, RefusesWhatHasNoResult) {
  EXPECT_EQ(value_of({{"$value", {1, "/", 0}}}).error().message, "is a division by zero");
  EXPECT_EQ(value_of({{"$round", 1e300}}).error().message, "is out of range");
  EXPECT_EQ(value_of({{"$value", {1e308, "*", 10}}}).error().message, "is out of range");
  EXPECT_EQ(value_of({{"$value", {9007199254740992, "+", 9007199254740992}}}).error().message, "is out of range");
  EXPECT_EQ(value_of({{"$value", {"$inputs.missing", "*", 2}}}).error().message,
            "is computed from a value that was left out");
}

TEST(Expression, RefusesWhatIsNotOne) {
  EXPECT_NE(parse_error("$input.x").find("unknown reference '$input.x'"), std::string::npos);
  EXPECT_NE(parse_error("$inputs"), "");
  EXPECT_NE(parse_error("$inputs."), "");
  EXPECT_NE(parse_error("$account.password"), "");
  EXPECT_NE(parse_error({{"$power", {2, 3}}}), "");
  EXPECT_NE(parse_error({1, "+", 2}), "") << "arithmetic needs $value around it";
  EXPECT_NE(parse_error({{"$value", {1, "%", 2}}}), "");
  EXPECT_NE(parse_error({{"$min", {1}}}), "");
}

TEST(Expression, NestsOnlySoDeep) {
  json deep = 1;
  for (int i = 0; i < 7; ++i)
    deep = {{"$round", deep}};
  EXPECT_EQ(parse_error(deep), "");
  EXPECT_EQ(parse_error({{"$round", deep}}), "nests deeper than 8 levels");
}

TEST(Expression, KnowsItsTypeBeforeThereAreValues) {
  value_rule integer, number, text, model;
  integer.type = value_type::integer;
  number.type = value_type::number;
  model.type = value_type::video_model;
  std::vector<std::pair<std::string, value_rule>> rules{{"i", integer}, {"n", number}, {"t", text}, {"m", model}};
  auto type = [&](const json& written) { return expression::parse(written).value().type({&rules, nullptr, nullptr}); };
  EXPECT_EQ(type("$inputs.i").value(), value_type::integer);
  EXPECT_EQ(type("$inputs.m.cfg").value(), value_type::number);
  EXPECT_EQ(type({{"$value", {"$inputs.i", "*", 2}}}).value(), value_type::integer);
  EXPECT_EQ(type({{"$value", {"$inputs.i", "/", 2}}}).value(), value_type::number);
  EXPECT_EQ(type({{"$round", "$inputs.n"}}).value(), value_type::integer);
  EXPECT_EQ(type({{"$round", "$inputs.t"}}).error().code, "wrong_type");
  EXPECT_EQ(type("$inputs.other").error().code, "unknown_reference");
  EXPECT_EQ(type("$inputs.m.colour").error().code, "unknown_reference");
  EXPECT_EQ(type("$inputs.i.width").error().code, "unknown_reference");
  EXPECT_EQ(type("$item.x").error().code, "unknown_reference");
  EXPECT_EQ(type("$params.x").error().code, "unknown_reference");
}

} // namespace
} // namespace troupe::workflow

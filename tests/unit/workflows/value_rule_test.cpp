#include "workflows/value_rule.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace troupe::workflow {
namespace {

value_rule of(value_type type) {
  value_rule rule;
  rule.type = type;
  return rule;
}

std::string refusal(const value_rule& rule, const json& value) {
  auto checked = check_value(rule, value, "it");
  return checked ? "" : checked.error().message;
}

TEST(ValueRule, CountsCodePointsAndNotBytes) {
  auto rule = of(value_type::string);
  rule.max_length = 3;
  EXPECT_EQ(refusal(rule, "äöü"), "");
  EXPECT_EQ(refusal(rule, "🎬🎬🎬"), "");
  EXPECT_EQ(refusal(rule, "äöüß"), "it must be at most 3 characters long, it is 4");
  EXPECT_EQ(refusal(rule, std::string(5'000'000, 'a')), "it must be at most 3 characters long");
}

TEST(ValueRule, RefusesTextThatIsNotText) {
  auto rule = of(value_type::string);
  for (auto bad : {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe2\x82"})
    EXPECT_EQ(refusal(rule, bad), "it must be valid UTF-8");
  EXPECT_EQ(refusal(rule, std::string("a\0b", 3)), "it must not contain control characters");
  EXPECT_EQ(refusal(rule, "\x1b[31m"), "it must not contain control characters");
  EXPECT_EQ(refusal(rule, "two\nlines\tand a tab"), "");
  EXPECT_EQ(refusal(rule, 7), "it must be a string");
}

TEST(ValueRule, WhiteSpaceAloneIsEmpty) {
  auto rule = of(value_type::string);
  rule.min_length = 1;
  EXPECT_EQ(refusal(rule, ""), "it must not be empty");
  EXPECT_EQ(refusal(rule, " \n\t "), "it must not be empty");
  EXPECT_EQ(refusal(rule, " a "), "");
}

TEST(ValueRule, BoundsNumbersHoweverLarge) {
  auto rule = of(value_type::number);
  rule.min = 0;
  rule.max = 30;
  EXPECT_EQ(refusal(rule, 30), "");
  EXPECT_EQ(refusal(rule, -0.5), "it must be at least 0");
  EXPECT_EQ(refusal(rule, 1e308), "it must be at most 30");
  EXPECT_EQ(refusal(rule, std::nan("")), "it must be a finite number");
  EXPECT_EQ(refusal(rule, std::numeric_limits<double>::infinity()), "it must be a finite number");
  EXPECT_EQ(refusal(rule, "30"), "it must be a number");
  EXPECT_EQ(refusal(rule, true), "it must be a number");
}

TEST(ValueRule, AnIntegerMayBeWrittenWithAPointButNotAFraction) {
  auto rule = of(value_type::integer);
  EXPECT_EQ(check_value(rule, 41.0, "it").value(), json(41));
  EXPECT_TRUE(check_value(rule, 41.0, "it").value().is_number_integer());
  EXPECT_EQ(refusal(rule, 41.5), "it must be an integer");
  EXPECT_EQ(refusal(rule, 1e300), "it must be an integer");
  EXPECT_EQ(refusal(rule, std::numeric_limits<std::uint64_t>::max()), "it must be an integer");
  rule.multiple_of = 2;
  EXPECT_EQ(refusal(rule, 481), "it must be even");
}

TEST(ValueRule, NamesTheFieldInsideAList) {
  auto item = of(value_type::object);
  auto prompt = of(value_type::string);
  prompt.required = true;
  prompt.min_length = 1;
  item.fields = {{"prompt", prompt}};
  auto rule = of(value_type::list);
  rule.items = {item};
  rule.max_length = 2;
  EXPECT_EQ(refusal(rule, {{{"prompt", "a"}}, {{"prompt", ""}}}), "it[1].prompt must not be empty");
  EXPECT_EQ(refusal(rule, {{{"prompt", "a"}}, json::object()}), "it[1].prompt is required");
  EXPECT_EQ(refusal(rule, {{{"prompt", "a"}}, "b"}), "it[1] must be an object");
  EXPECT_EQ(refusal(rule, json::array({1, 2, 3})), "it must have at most 2 items, it has 3");
  EXPECT_EQ(refusal(rule, json::object()), "it must be a list");
}

TEST(ValueRule, NullIsLeftOutAndUnknownFieldsAreIgnored) {
  auto number = of(value_type::integer);
  number.fallback = 5;
  EXPECT_EQ(check_fields({{"a", number}}, {{"a", nullptr}, {"b", 1}}, "").value(), (json{{"a", 5}}));
}

TEST(ValueRule, AChoiceListsWhatThereIs) {
  auto rule = of(value_type::choice);
  rule.choices = {"burn", "soft"};
  EXPECT_EQ(refusal(rule, "burnt"), "it must be one of burn, soft");
  EXPECT_EQ(refusal(rule, "soft"), "");
}

TEST(ValueRule, AVideoModelMustBeOfTheCatalogue) {
  EXPECT_EQ(refusal(of(value_type::video_model), "wan-t2v"), "");
  EXPECT_EQ(refusal(of(value_type::video_model), "wan-t3v"),
            "it is not a known video model; GET /api/models lists them");
}

TEST(ValueRule, DescribesItselfAsJsonSchema) {
  auto rule = of(value_type::integer);
  rule.min = 1;
  rule.max = 999;
  rule.fallback = 41;
  EXPECT_EQ(schema_of(rule), (json{{"type", "integer"}, {"minimum", 1}, {"maximum", 999}, {"default", 41}}));
}

TEST(Nearest, FindsAMisspellingAndNothingElse) {
  EXPECT_EQ(nearest("promt", {"prompt", "seed"}), "prompt");
  EXPECT_EQ(nearest("zzzz", {"prompt", "seed"}), "");
  EXPECT_EQ(nearest(std::string(100'000, 'p'), {"prompt"}), "");
}

} // namespace
} // namespace troupe::workflow

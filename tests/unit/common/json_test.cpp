#include "common/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace troupe {
namespace {

using ::testing::HasSubstr;

TEST(json_text, is_parsed_within_its_limits) {
  auto got = parse_json(R"({"prompt": "a fox", "frames": [1, 2.5, null, true]})");
  ASSERT_TRUE(got);
  EXPECT_EQ((*got)["frames"][1], 2.5);
}

TEST(json_text, says_at_which_byte_it_is_malformed) {
  auto got = parse_json(R"({"prompt": nonsense})");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "malformed_json");
  EXPECT_THAT(got.error().message, HasSubstr("at byte 13"));
  for (const auto* text : {"", "{", "[1,]", "{\"a\":1} x", "NaN", "[Infinity]", "'a'", "\x00"})
    EXPECT_EQ(parse_json(text).error().code, "malformed_json") << text;
}

TEST(json_text, refuses_numbers_that_do_not_fit) {
  EXPECT_EQ(parse_json("[1e999]").error().code, "malformed_json");
  EXPECT_TRUE(parse_json("[1e308]"));
}

TEST(json_text, refuses_a_depth_bomb_before_building_it) {
  std::string bomb(500'000, '[');
  EXPECT_EQ(parse_json(bomb).error().code, "too_deep");
  EXPECT_EQ(parse_json(bomb + std::string(500'000, ']')).error().code, "too_deep");
  auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
  };
  EXPECT_TRUE(parse_json(nested(32)));
  EXPECT_EQ(parse_json(nested(33)).error().code, "too_deep");
  EXPECT_TRUE(parse_json("\"" + std::string(1000, '[') + "\\\"[[\"")) << "brackets in texts are not depth";
}

TEST(json_text, refuses_what_is_too_long) {
  EXPECT_EQ(parse_json("[" + std::string(1 << 20, ' ') + "]").error().code, "too_large");
  EXPECT_TRUE(parse_json("[      ]", {32, 8}));
}

TEST(json_text, refuses_invalid_utf8) {
  for (const auto* text : {"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\""})
    EXPECT_FALSE(parse_json(text)) << text;
  EXPECT_EQ(parse_json("{\"a\": \"\xff\"}").error().code, "invalid_utf8");
  EXPECT_TRUE(parse_json("\"\xe2\x82\xac \\ud83d\\ude00\""));
  EXPECT_FALSE(parse_json("\"\\ud83d\""));
}

TEST(msgpack, gives_back_what_was_packed) {
  json value = {{"a", 1}, {"b", {1.5, nullptr, true, "x"}}, {"big", std::string(70'000, 'y')}, {"list", json::array()}};
  for (int i = 0; i < 70'000; ++i)
    value["list"].push_back(i);
  EXPECT_EQ(*from_msgpack(to_msgpack(value)), value);
  EXPECT_EQ(*unpack(pack(value)), value);
}

TEST(msgpack, of_a_newer_version_is_refused) {
  EXPECT_EQ(unpack(pack({{"a", 1}}, 2)).error().code, "newer");
  EXPECT_TRUE(unpack(pack({{"a", 1}}, 2), 2));
  EXPECT_EQ(unpack("").error().code, "corrupt");
  EXPECT_EQ(unpack("\x01").error().code, "corrupt");
}

TEST(msgpack, that_lies_about_its_lengths_is_refused_without_allocating_them) {
  using namespace std::string_literals;
  for (const auto& bytes : {"\xdb\xff\xff\xff\xff"s, "\xdd\xff\xff\xff\xff"s, "\xdf\xff\xff\xff\xff\x01"s,
                            "\xc6\xff\xff\xff\xff"s, "\x92\x01"s,
                            "\xa5"
                            "abc"s,
                            "\xcf\x01"s, "\xdb\xff"s, "\xc1"s, "\xd4\x01\x02"s, ""s, "\x01\x01"s})
    EXPECT_EQ(from_msgpack(bytes).error().code, "malformed_msgpack");
}

TEST(msgpack, depth_bombs_are_refused) {
  EXPECT_FALSE(from_msgpack(std::string(1'000'000, '\x91') + "\x01"));
  EXPECT_TRUE(from_msgpack(std::string(30, '\x91') + "\x01"));
  EXPECT_FALSE(from_msgpack(std::string(40, '\x91') + "\x01"));
}

TEST(msgpack, any_bytes_are_a_value_or_an_error) {
  std::mt19937 random(7);
  auto good = to_msgpack({{"t", "hello"}, {"list", {1, 2, 3}}, {"map", {{"k", "v"}}}});
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = good;
    for (int j = 0; j < 3; ++j)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 1));
    auto got = from_msgpack(bytes); // must neither throw nor abort
    if (got)
      (void)got->size();
  }
}

} // namespace
} // namespace troupe

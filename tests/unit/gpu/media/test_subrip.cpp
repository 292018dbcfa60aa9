#include "gpu/media/compose.hpp"

#include <gtest/gtest.h>

using namespace troupe;
using namespace troupe::media;

TEST(subrip, is_read_with_any_line_ends_a_byte_order_mark_and_missing_numbers) {
  auto cues = parse_subrip("\xEF\xBB\xBF"
                           "1\r\n00:00:01,500 --> 00:00:02,250 X1:40\r\nHello\r\nthere\r\n\r\n"
                           "00:01:00.000 --> 00:01:01.000\nno number\n");
  ASSERT_TRUE(cues) << cues.error().message;
  ASSERT_EQ(cues->size(), 2U);
  EXPECT_DOUBLE_EQ((*cues)[0].start_s, 1.5);
  EXPECT_DOUBLE_EQ((*cues)[0].end_s, 2.25);
  EXPECT_EQ((*cues)[0].text, "Hello\nthere");
  EXPECT_DOUBLE_EQ((*cues)[1].start_s, 60);
}

TEST(subrip, loses_its_markup_but_not_what_only_looks_like_it) {
  auto cues =
      parse_subrip("1\n00:00:00,000 --> 00:00:01,000\n<i>{\\an8}2 < 3 {sic}</i>\a <font color=\"x\">a</font>\n");
  ASSERT_TRUE(cues);
  EXPECT_EQ(cues->at(0).text, "2 < 3 {sic} a");
}

TEST(subrip, survives_a_round_trip_and_is_put_in_order) {
  const std::vector<cue> cues = {{3661.25, 3662, "late"}, {0.1, 0.9, "two\nlines"}};
  auto read = parse_subrip(to_subrip(cues));
  ASSERT_TRUE(read);
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ((*read)[0].text, "two\nlines");
  EXPECT_DOUBLE_EQ((*read)[1].start_s, 3661.25);
}

TEST(subrip, reads_the_same_again_what_only_becomes_markup_when_something_is_taken_out) {
  using namespace std::string_literals;
  for (const auto& text : {"{\0\\an8}Two"s, "<<i>b>bold"s, "{{\\a}\\b}x"s, "<i>00:00:05,000 --> 00:00:06,000"s}) {
    auto cues = parse_subrip("1\n00:00:01,000 --> 00:00:02,000\nfirst\n" + text + "\nlast\n");
    ASSERT_TRUE(cues) << text;
    auto again = parse_subrip(to_subrip(*cues));
    ASSERT_TRUE(again);
    ASSERT_EQ(again->size(), cues->size()) << text;
    for (std::size_t i = 0; i < cues->size(); ++i)
      EXPECT_EQ((*again)[i].text, (*cues)[i].text) << text;
  }
}

TEST(subrip, nothing_to_say_is_no_error_but_nonsense_is) {
  EXPECT_TRUE(parse_subrip("")->empty());
  EXPECT_TRUE(parse_subrip("\n \r\n")->empty());
  EXPECT_FALSE(parse_subrip("WEBVTT"));
  EXPECT_FALSE(parse_subrip("1\n-1:00:00,000 --> -1:00:01,000\nbefore the film\n"));
  EXPECT_FALSE(parse_subrip("1\n00:00:02,000 --> 00:00:01,000\nbackwards\n"));
  EXPECT_FALSE(parse_subrip("1\n00:00:00,000 --> 100:00:00,000\nthree digits of hours\n"));
  EXPECT_FALSE(parse_subrip("1\n00:00:00,000 --> 00:00:01,000\nbroken \xC3\x28\n"));
  EXPECT_FALSE(parse_subrip("1\n00:00:00,000 --> 00:00:01,000\nsurrogate \xED\xA0\x80\n"));
  EXPECT_FALSE(parse_subrip(std::string(5 << 20, ' ')));
  std::string many;
  for (int i = 0; i < 25'000; ++i)
    many += "00:00:00,000 --> 00:00:01,000\nx\n\n";
  EXPECT_FALSE(parse_subrip(many));
}

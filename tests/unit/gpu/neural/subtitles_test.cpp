#include "gpu/engines/transcribe/cues.hpp"
#include "gpu/engines/transcribe/pronunciation.hpp"
#include "gpu/engines/transcribe/voice_activity.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <sstream>

namespace troupe::engines {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// Words one after another, each `word_s` long, a `pause_s` after those that end in '|'.
std::vector<word> said(const std::string& text, double word_s = 0.4, double pause_s = 1.5) {
  std::vector<word> out;
  std::istringstream in(text);
  double at = 0;
  for (std::string each; in >> each;) {
    const bool pause = each.back() == '|';
    if (pause)
      each.pop_back();
    out.push_back({each, at, at + word_s});
    at += word_s + (pause ? pause_s : 0);
  }
  return out;
}

std::vector<std::string> texts(const std::vector<cue>& cues) {
  std::vector<std::string> out;
  for (const auto& each : cues)
    out.push_back(each.text);
  return out;
}

TEST(subrip, is_numbered_with_times_in_milliseconds) {
  const std::vector<cue> cues{{0, 1.5, "Hello"}, {3599.9996, 36000.25, "two\nlines"}};
  EXPECT_EQ(media::to_subrip(cues), "1\n00:00:00,000 --> 00:00:01,500\nHello\n\n"
                                    "2\n01:00:00,000 --> 10:00:00,250\ntwo\nlines\n\n");
  EXPECT_EQ(media::to_subrip({}), "");
}

TEST(cues, break_at_the_ends_of_sentences_and_at_pauses) {
  EXPECT_THAT(texts(cues_of(said("The rain falls down. Alice| smiles at it."), 20)),
              ElementsAre("The rain falls down.", "Alice", "smiles at it."));
}

TEST(cues, break_long_sentences_after_a_comma) {
  const auto cues = cues_of(
      said("when the long morning had finally come over the hills, the people of the little town went down to the sea",
           0.25),
      60);
  ASSERT_GE(cues.size(), 2U);
  EXPECT_TRUE(cues[0].text.ends_with("hills,")) << cues[0].text;
}

TEST(cues, are_shown_at_least_a_second_where_there_is_room) {
  const auto cues = cues_of(said("Stop!| Go on.", 0.2), 10);
  ASSERT_EQ(cues.size(), 2U);
  EXPECT_DOUBLE_EQ(cues[0].end_s - cues[0].start_s, 1);
  EXPECT_DOUBLE_EQ(cues[1].end_s - cues[1].start_s, 1);
  EXPECT_EQ(cues_of(said("Stop!", 0.2), 0.5)[0].end_s, 0.5) << "not beyond the end";
}

TEST(cues, keep_their_limits_whatever_is_said) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<word> words;
    double at = 0;
    for (int i = 0; i < 60; ++i) {
      std::string text(1 + random() % 14, 'a');
      if (random() % 8 == 0)
        text += ".,!?;"[random() % 5];
      const double length = static_cast<double>(random() % 900) / 1000;
      at += random() % 5 == 0 ? static_cast<double>(random() % 3000) / 1000 : 0;
      words.push_back({text, at, at + length});
      at += length;
    }
    double before = 0;
    std::string all;
    for (const auto& each : cues_of(words, at)) {
      EXPECT_GE(each.start_s, before);
      EXPECT_GE(each.end_s, each.start_s);
      EXPECT_LE(each.end_s - each.start_s, 7 + 1e-9);
      before = each.end_s;
      EXPECT_LE(std::count(each.text.begin(), each.text.end(), '\n'), 1);
      std::istringstream lines(each.text);
      for (std::string line; std::getline(lines, line);) {
        EXPECT_LE(line.size(), 42U);
        all += line + " ";
      }
    }
    std::string expected;
    for (const auto& each : words)
      expected += each.text + " ";
    EXPECT_EQ(all, expected);
  }
}

TEST(two_lines, are_balanced_and_prefer_a_mark) {
  EXPECT_EQ(two_lines("short", 42), "short");
  EXPECT_EQ(two_lines("one two three four five six", 14), "one two three\nfour five six");
  EXPECT_EQ(two_lines("he said yes, and then he left for home", 25), "he said yes,\nand then he left for home");
  EXPECT_EQ(two_lines(std::string(60, 'x'), 42), std::string(60, 'x'));
}

TEST(bare, is_the_word_without_its_marks) {
  EXPECT_EQ(bare("\"(scene),"), "scene");
  EXPECT_EQ(bare("don't."), "don't");
  EXPECT_EQ(bare("$25"), "$25");
  EXPECT_EQ(bare("..."), "");
}

TEST(readings, say_numbers_abbreviations_and_signs) {
  EXPECT_THAT(number_readings("1984"),
              ElementsAre("one thousand nine hundred eighty four", "nineteen eighty four", "one nine eight four"));
  EXPECT_THAT(number_readings("1905"), Contains("nineteen oh five"));
  EXPECT_THAT(number_readings("0"), ElementsAre("zero"));
  EXPECT_THAT(number_readings("2000000"), Contains("two million"));
  EXPECT_THAT(number_readings("12x"), IsEmpty());
  EXPECT_THAT(readings("GPU"), ElementsAre("gpu", "g p u"));
  EXPECT_THAT(readings("50%"), Contains("fifty percent"));
  EXPECT_THAT(readings("$3.50"), Contains("three point fifty dollars"));
  EXPECT_THAT(readings("well-known"), ElementsAre("well known"));
  EXPECT_THAT(readings("\u2014"), IsEmpty());
}

TEST(guess_phones, sounds_out_any_word) {
  EXPECT_EQ(guess_phones("scene"), "S IY N");
  EXPECT_FALSE(guess_phones("zorblax").empty());
  EXPECT_EQ(guess_phones(""), "");
}

std::vector<float> windows(std::initializer_list<std::pair<double, float>> parts) {
  std::vector<float> out;
  for (const auto& [seconds, probability] : parts)
    out.insert(out.end(), static_cast<std::size_t>(seconds * speech_rate / window), probability);
  return out;
}

TEST(speech_spans, part_at_silence_and_keep_a_margin) {
  const auto spans = speech_spans(windows({{1, 0.F}, {2, 0.9F}, {1, 0.F}, {1, 0.9F}, {1, 0.F}}));
  ASSERT_EQ(spans.size(), 2U);
  EXPECT_NEAR(spans[0].start, 0.84, 0.05);
  EXPECT_NEAR(spans[0].end, 3.16, 0.1);
  EXPECT_NEAR(spans[1].start, 3.84, 0.15);
  EXPECT_THAT(speech_spans(windows({{3, 0.1F}})), IsEmpty());
  EXPECT_THAT(speech_spans({}), IsEmpty());
  EXPECT_THAT(speech_spans(windows({{1, 0.F}, {0.07, 0.9F}, {1, 0.F}})), IsEmpty()) << "a click";
}

TEST(speech_spans, cut_long_speech_where_it_is_quietest_and_lose_nothing) {
  const auto spans = speech_spans(windows({{17, 0.9F}, {0.2, 0.6F}, {40, 0.9F}}));
  ASSERT_GE(spans.size(), 3U);
  EXPECT_NEAR(spans[0].end, 17.1, 0.2);
  for (std::size_t i = 0; i < spans.size(); ++i) {
    EXPECT_LE(spans[i].end - spans[i].start, 20);
    EXPECT_LE(i + 1 < spans.size() ? spans[i + 1].start - spans[i].end : 0, 1e-9);
  }
}

} // namespace
} // namespace troupe::engines

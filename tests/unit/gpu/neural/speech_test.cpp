#include "gpu/engines/speech/speech_engine.hpp"
#include "gpu/engines/speech/spoken_text.hpp"
#include "gpu/engines/speech/voices.hpp"
#include "gpu/media/media.hpp"
#include "tests/unit/gpu/neural/stage.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <random>
#include <thread>

namespace troupe::engines::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<std::string> said(std::string_view text) {
  std::vector<std::string> out;
  const auto phrases = spoken_phrases(text);
  for (const auto& each : phrases.value())
    out.push_back(each.text);
  return out;
}

TEST(spoken_text, is_cut_at_the_ends_of_sentences_and_lines) {
  EXPECT_THAT(said("Hello there. How are you? Fine!\nNew line"),
              ElementsAre("Hello there.", "How are you?", "Fine!", "New line"));
  EXPECT_THAT(said("Dr. Smith paid 3.5 to J. R. Ewing. Good."),
              ElementsAre("Dr. Smith paid 3.5 to J. R. Ewing.", "Good."));
  const auto phrases = spoken_phrases("One. Two\n\nThree.").value();
  EXPECT_EQ(phrases[0].pause_s, sentence_pause_s);
  EXPECT_EQ(phrases[1].pause_s, paragraph_pause_s);
  EXPECT_EQ(phrases[2].pause_s, 0);
}

TEST(spoken_text, turns_signs_into_words) {
  EXPECT_THAT(said("Caf\u00e9 & bar \u2013 \u00a35.20 for 2\u00b0, or $3 million"),
              ElementsAre("Cafe and bar, 5.20 pounds for 2 degrees, or 3 million dollars"));
  EXPECT_THAT(said("\u201cIt\u2019s\u201d (really) 50%"), ElementsAre("It's, really, 50 percent"));
}

TEST(spoken_text, holds_no_commands_of_a_synthesiser) {
  for (const auto& each : said("<speak><break time=\"9s\"/>Hi</speak> [[h@loU]] {x} \\vce=speaker\\ |a| ^b~"))
    for (const char c : each)
      EXPECT_EQ(std::string_view("<>[]{}\\|^~\"/=").find(c), std::string_view::npos) << each;
}

TEST(spoken_text, cuts_long_words_and_sentences) {
  std::string text(900, 'a');
  for (int i = 0; i < 200; ++i)
    text += " word" + std::to_string(i) + (i % 17 ? "" : ",");
  for (const auto& each : said(text)) {
    EXPECT_LE(each.size(), phrase_bytes_max);
    std::size_t run = 0;
    for (const char c : each)
      EXPECT_LE(run = c == ' ' ? 0 : run + 1, word_bytes_max + 1); // and a comma
  }
}

TEST(spoken_text, refuses_what_is_not_text) {
  for (const std::string& text :
       {std::string("a\0b", 3), std::string("\x1b[2J"), std::string("\xff\xfe"), std::string("\xc0\xaf"),
        std::string("\xed\xa0\x80"), std::string("\xe2\x82"), std::string("a\xc2\x85z")})
    EXPECT_EQ(spoken_phrases(text).error().code, "bad_text");
  for (const char* text : {"", "  \n ", "...!?", "\u4f60\u597d", "\U0001F600 \U0001F680", "<>[]"})
    EXPECT_THAT(spoken_phrases(text).error().message, HasSubstr("nothing that can be spoken")) << text;
}

class speech : public ::testing::Test {
protected:
  stage_outcome speak(json params) {
    stages.push_back(std::make_unique<stage>(*engine_, "speech.synthesize", std::move(params)));
    return stages.back()->run();
  }
  engine_ptr engine_ = make_speech_engine();
  std::vector<std::unique_ptr<stage>> stages;
};

constexpr const char* line = "The quick studio renders every scene. Then it rests.";

TEST_F(speech, says_the_same_words_in_the_same_bytes) {
  for (const auto& each : voices) {
    const json params{{"text", line}, {"voice", each.name}};
    const auto first = speak(params);
    ASSERT_TRUE(first) << first.error().message;
    const auto between = speak({{"text", "Something else."}, {"voice", each.name}});
    ASSERT_TRUE(between);
    const auto second = speak(params);
    ASSERT_TRUE(second);
    EXPECT_EQ(contents(first->files[0].path), contents(second->files[0].path)) << each.name;
    EXPECT_NE(contents(first->files[0].path), contents(between->files[0].path)) << each.name;
  }
}

TEST_F(speech, is_heard_and_never_too_loud) {
  for (const auto& each : voices) {
    const auto done = speak({{"text", line}, {"voice", each.name}});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->files[0].content_type, "audio/wav");
    const auto sound = media::read_sound(done->files[0].path, 16'000).value();
    EXPECT_NEAR(sound.duration_s(), done->files[0].metadata["duration_s"].get<double>(), 0.05);
    EXPECT_GT(sound.duration_s(), 2);
    EXPECT_LT(sound.duration_s(), 6);
    const float peak = *std::max_element(sound.samples.begin(), sound.samples.end());
    EXPECT_GT(peak, 0.2F) << each.name;
    EXPECT_LT(peak, 0.95F) << each.name;
  }
}

TEST_F(speech, is_as_fast_as_asked) {
  for (const auto& each : voices) {
    const auto seconds = [&](double speed) {
      const auto done = speak({{"text", line}, {"voice", each.name}, {"speed", speed}});
      return done.value().files[0].metadata["duration_s"].get<double>();
    };
    const double normal = seconds(1);
    EXPECT_NEAR(seconds(2) / normal, 0.5, 0.12) << each.name;
    EXPECT_NEAR(seconds(0.5) / normal, 2, 0.4) << each.name;
  }
}

TEST_F(speech, survives_hostile_text) {
  std::mt19937 random(7);
  std::vector<std::string> texts = {std::string(300, 'x'),
                                    std::string(150, '9'),
                                    "$" + std::string(60, '1') + "." + std::string(60, '2'),
                                    "<speak><voice name='x'>hello</voice></speak>",
                                    "[[_^_]] %s%n%d ../../etc/passwd",
                                    "a.b.c.d.e.f 1/2/3 -- --- '' ;;;",
                                    "IIIIIIIIIIIIII MCMXCIX XIV. 00:00:00 1e999 #@!"};
  for (int i = 0; i < 3; ++i) {
    std::string text;
    while (text.size() < 150)
      text += static_cast<char>(' ' + random() % 95);
    texts.push_back(text);
  }
  for (const char* who : {"en_gb_male", "en_us_male"}) // one of each library
    for (const auto& text : texts) {
      const auto done = speak({{"text", text}, {"voice", who}, {"speed", 2}});
      EXPECT_TRUE(done) << who << ": " << done.error().message << ": " << text.substr(0, 80);
      stages.clear();
    }
}

TEST_F(speech, refuses_what_it_cannot_say) {
  for (const json& params :
       {json{{"text", "a\x01z"}}, json{{"text", ""}}, json{{"text", "hi"}, {"voice", "robot"}},
        json{{"text", "hi"}, {"speed", 3}}, json{{"text", 7}}, json::array(), json{{"text", std::string(2001, 'a')}}}) {
    const auto done = speak(params);
    ASSERT_FALSE(done) << params.dump();
    EXPECT_EQ(done.error().kind, fault::bad_input);
    EXPECT_THAT(done.error().message, Not(HasSubstr("/")));
  }
}

TEST_F(speech, falls_silent_when_cancelled) {
  std::string text;
  while (text.size() < 1900)
    text += "The quick studio renders every scene, and then it rests. ";
  for (const char* who : {"en_us_female", "en_gb_female"}) {
    stage work(*engine_, "speech.synthesize", {{"text", text}, {"voice", who}, {"speed", 0.5}});
    work.context.cancel_at_progress = true;
    const auto done = work.run();
    const auto took = std::chrono::steady_clock::now() - work.context.cancelled_at;
    ASSERT_FALSE(done) << who;
    EXPECT_EQ(done.error().kind, fault::cancelled);
    EXPECT_LT(took, std::chrono::seconds(1));
  }
}

} // namespace
} // namespace troupe::engines::testing

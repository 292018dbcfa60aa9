#include "gpu/engines/onnx/runtime.hpp"
#include "gpu/engines/speech/speech_engine.hpp"
#include "gpu/engines/speech/voices.hpp"
#include "gpu/engines/transcribe/aligner.hpp"
#include "gpu/engines/transcribe/transcribe_engine.hpp"
#include "gpu/media/media.hpp"
#include "tests/unit/gpu/neural/stage.hpp"

#include <espeak-ng/speak_lib.h>

#include <cmath>
#include <iostream>
#include <map>
#include <sstream>
#include <thread>

namespace troupe::engines::testing {
namespace {

constexpr const char* narration = "The quick studio renders every scene before the morning light. "
                                  "Alice opens the window, listens to the rain and smiles at the city.";

std::vector<std::string> plain_words(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string each; in >> each;) {
    std::string plain;
    for (const char c : each)
      if (std::isalnum(static_cast<unsigned char>(c)))
        plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (!plain.empty())
      out.push_back(plain);
  }
  return out;
}

/// Insertions, deletions and replacements, per word of the reference.
double word_error_rate(const std::vector<std::string>& reference, const std::vector<std::string>& heard) {
  std::vector<std::size_t> row(heard.size() + 1);
  for (std::size_t j = 0; j < row.size(); ++j)
    row[j] = j;
  for (std::size_t i = 1; i <= reference.size(); ++i) {
    auto diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= heard.size(); ++j) {
      const auto replaced = diagonal + (reference[i - 1] == heard[j - 1] ? 0U : 1U);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return static_cast<double>(row.back()) / static_cast<double>(reference.size());
}

/// Speech of a voice, written to a folder.
std::filesystem::path speak(const std::string& voice, const std::string& text, const std::filesystem::path& folder) {
  const auto who = make_speech_engine();
  stage_request request;
  request.kind = "speech.synthesize";
  request.params = {{"text", text}, {"voice", voice}};
  request.folder = folder;
  recording_context context;
  return who->run(request, context).value().files.at(0).path;
}

void expect_well_timed(const json& words, double duration_s) {
  double before = 0;
  for (const auto& each : words) {
    EXPECT_GE(each["start_s"], before) << each;
    EXPECT_GE(each["end_s"], each["start_s"]) << each;
    EXPECT_LE(each["end_s"], duration_s + 0.001) << each;
    EXPECT_GT(each["confidence"], 0) << each;
    EXPECT_LE(each["confidence"], 1) << each;
    before = each["end_s"];
  }
}

class transcribe : public ::testing::Test {
protected:
  stage_outcome listen(const std::filesystem::path& path, json params = json::object()) {
    work = std::make_unique<stage>(*engine_, "transcribe.audio", std::move(params),
                                   std::vector{input("audio", path, "audio/wav")});
    return work->run();
  }
  static json words_of(const stage_outcome& done) {
    return parse_json(contents(done.value().files.at(1).path)).value();
  }

  temporary_folder folder;
  static engine_ptr engine_; // one for all tests, as in a node: its models stay open
  std::unique_ptr<stage> work;
};
engine_ptr transcribe::engine_ = make_transcribe_engine(onnx::install_prefix());

TEST_F(transcribe, is_available_where_the_models_are_installed) {
  EXPECT_TRUE(engine_->describe().available) << engine_->describe().unavailable_reason;
}

TEST_F(transcribe, understands_every_voice) {
  for (const auto& each : voices) {
    const auto done = listen(speak(std::string(each.name), narration, folder.path()));
    ASSERT_TRUE(done) << done.error().message;
    const auto said = words_of(done);
    const auto rate = word_error_rate(plain_words(narration), plain_words(said["text"]));
    std::cout << each.name << ": word error rate " << 100 * rate << " %: " << said["text"] << "\n";
    EXPECT_LT(rate, 0.25) << each.name;
    EXPECT_EQ(said["language"], "en");
    expect_well_timed(said["words"], said["duration_s"]);
    EXPECT_EQ(work->context.last_fraction, 1);

    EXPECT_EQ(done->files[0].port, "subtitles");
    EXPECT_EQ(done->files[0].metadata["cues"], said["cues"].size());
    EXPECT_THAT(contents(done->files[0].path), ::testing::StartsWith("1\n00:00:0"));
    EXPECT_GE(said["cues"].size(), 2U);
  }
}

/// What espeak-ng says it says: for places in the text, from 0, when the word there begins.
struct spoken_words {
  std::map<std::size_t, double> start_s;
  std::vector<float> samples;
};
spoken_words* collected = nullptr;

int collect(short* samples, int count, espeak_EVENT* event) {
  for (; event->type != espeakEVENT_LIST_TERMINATED; ++event)
    if (event->type == espeakEVENT_WORD)
      collected->start_s[static_cast<std::size_t>(event->text_position) - 1] = event->audio_position / 1000.0;
  for (int i = 0; samples && i < count; ++i)
    collected->samples.push_back(static_cast<float>(samples[i]) / 32768.0F);
  return 0;
}

media::sound say_with_espeak(const std::string& text, spoken_words& truth) {
  collected = &truth;
  const int rate = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 200, nullptr, espeakINITIALIZE_DONT_EXIT);
  espeak_SetSynthCallback(collect);
  espeak_SetVoiceByName("en-gb-x-rp");
  espeak_SetParameter(espeakRATE, 150, 0);
  espeak_SetParameter(espeakWORDGAP, 5, 0);
  espeak_SetParameter(espeakPITCH, 40, 0);
  espeak_Synth(text.c_str(), text.size() + 1, 0, POS_CHARACTER, 0, espeakCHARS_UTF8, nullptr, nullptr);
  espeak_Synchronize();
  return {rate, truth.samples};
}

TEST_F(transcribe, finds_when_each_word_is_said) {
  // Goal: word times agree with those of the synthesiser. Method: espeak-ng reports when it begins most words; those
  // that were heard rightly, in order, are compared.
  spoken_words truth;
  const std::string text = narration;
  ASSERT_TRUE(media::write_wav(folder.path() / "speech.wav", say_with_espeak(text, truth)));
  const auto heard = words_of(listen(folder.path() / "speech.wav"))["words"];

  double error = 0;
  double worst = 0;
  std::size_t compared = 0;
  std::size_t next = 0; // in heard
  for (std::size_t at = 0; at < text.size();
       at = text.find(' ', at) == std::string::npos ? text.size() : text.find(' ', at) + 1) {
    const auto spoken = plain_words(text.substr(at, text.find(' ', at) - at));
    auto found = next;
    while (found < heard.size() && found < next + 3 && plain_words(heard[found]["word"]) != spoken)
      ++found;
    if (found >= heard.size() || found == next + 3)
      continue;
    next = found + 1;
    if (const auto begins = truth.start_s.find(at); begins != truth.start_s.end()) {
      const double off = std::abs(heard[found]["start_s"].get<double>() - begins->second);
      error += off;
      worst = std::max(worst, off);
      ++compared;
    }
  }
  ASSERT_GE(compared, 12U) << heard;
  const double mean = error / static_cast<double>(compared);
  std::cout << "word times: " << compared << " words, mean error " << 1000 * mean << " ms, worst " << 1000 * worst
            << " ms\n";
  EXPECT_LT(mean, 0.3);
  EXPECT_LT(worst, 1);
}

TEST_F(transcribe, gives_no_cues_for_silence_and_noise) {
  media::sound quiet{16'000, std::vector<float>(3 * 16'000)};
  media::sound hiss = quiet;
  std::uint32_t state = 1;
  for (float& sample : hiss.samples)
    sample = static_cast<float>((state = state * 1664525 + 1013904223) >> 16) / 655360.0F - 0.05F;
  media::sound nothing{16'000, std::vector<float>(100)};
  for (const auto* sound : {&quiet, &hiss, &nothing}) {
    ASSERT_TRUE(media::write_wav(folder.path() / "quiet.wav", *sound));
    const auto done = listen(folder.path() / "quiet.wav");
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->files[0].metadata["cues"], 0);
    EXPECT_EQ(contents(done->files[0].path), "");
    EXPECT_EQ(words_of(done)["words"], json::array());
  }
}

TEST_F(transcribe, stops_within_a_second_when_cancelled) {
  std::string text;
  for (int i = 0; i < 6; ++i)
    text += std::string(narration) + " ";
  const auto path = speak("en_us_female", text, folder.path());
  for (const int wait_ms : {20, 400, 1200}) {
    stage long_work(*engine_, "transcribe.audio", json::object(), {input("audio", path, "audio/wav")});
    std::jthread canceller([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
      long_work.context.cancel();
    });
    const auto done = long_work.run();
    const auto took = std::chrono::steady_clock::now() - long_work.context.cancelled_at;
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, fault::cancelled);
    EXPECT_LT(took, std::chrono::seconds(1)) << wait_ms;
  }
}

TEST_F(transcribe, refuses_what_holds_no_sound_and_other_languages) {
  std::ofstream(folder.path() / "text.wav") << "no sound at all";
  const auto noise = listen(folder.path() / "text.wav");
  ASSERT_FALSE(noise);
  EXPECT_EQ(noise.error().kind, fault::bad_input);
  const auto french = listen(folder.path() / "text.wav", {{"language", "fr"}});
  ASSERT_FALSE(french);
  EXPECT_EQ(french.error().kind, fault::bad_input);
}

TEST_F(transcribe, says_what_is_missing) {
  const auto bare_engine = make_transcribe_engine(folder.path());
  EXPECT_FALSE(bare_engine->describe().available);
  EXPECT_THAT(bare_engine->describe().unavailable_reason, ::testing::HasSubstr("scripts/deps"));
  stage refused(*bare_engine, "transcribe.audio", json::object(),
                {input("audio", folder.path() / "none.wav", "audio/wav")});
  const auto done = refused.run();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, fault::unknown);
  EXPECT_THAT(done.error().message, ::testing::HasSubstr("unavailable"));
}

TEST(aligner, times_words_that_are_in_no_dictionary) {
  temporary_folder folder;
  const auto sound =
      media::read_sound(speak("en_us_male", "In 1984 Zorblax paid 25 dollars for the GPU.", folder.path()), 16'000)
          .value();
  std::vector<word> words;
  for (const char* each : {"In", "1984,", "Zorblax", "paid", "$25", "\u2014", "for", "the", "GPU."})
    words.push_back({each});
  aligner::open().value()->align(words, sound.samples);
  double before = 0;
  for (const auto& each : words) {
    EXPECT_GE(each.start_s, before) << each.text;
    EXPECT_GE(each.end_s, each.start_s) << each.text;
    before = each.end_s;
    std::cout << each.text << " " << each.start_s << "-" << each.end_s << "\n";
  }
  EXPECT_LE(before, sound.duration_s());
  EXPECT_GT(words[1].end_s - words[1].start_s, 0.5) << "four digits take their time";
  EXPECT_GT(words[8].end_s - words[8].start_s, 0.3) << "three letters take their time";
}

TEST(aligner, shares_out_the_time_where_sound_and_text_do_not_fit) {
  std::vector<word> words{{"one"}, {"two"}, {"threes"}};
  const std::vector<float> silence(16'000);
  aligner::open().value()->align(words, silence);
  EXPECT_GE(words[0].start_s, 0);
  EXPECT_LE(words[2].end_s, 1.0 + 1e-9);
  EXPECT_LE(words[0].end_s, words[1].start_s + 1e-9);
}

} // namespace
} // namespace troupe::engines::testing

#include "gpu/engines/ffmpeg/ffmpeg_engine.hpp"
#include "gpu/media/compose.hpp"
#include "tests/unit/gpu/engines/stage.hpp"

#include <gmock/gmock.h>

#include <cmath>

using namespace troupe;
using namespace troupe::engines;
using namespace troupe::engines::test;
using namespace std::chrono_literals;

namespace {

struct editing : testing::Test {
  struct look {
    int width = 160;
    int height = 96;
    int frames = 48;
    int rate = 24;
    int red = 200;
  };

  /// A film of one colour with a moving bar.
  std::filesystem::path film(const std::string& name, look as) {
    media::video_options options;
    options.width = as.width;
    options.height = as.height;
    options.frame_rate = {as.rate, 1};
    auto writer = media::video_writer::open(folder / name, options).value();
    media::frame picture{as.width, as.height, {}};
    picture.rgb.resize(static_cast<std::size_t>(as.width * as.height * 3));
    for (int n = 0; n < as.frames; ++n) {
      for (int i = 0; i < as.width * as.height; ++i) {
        const bool bar = i % as.width / 4 == n % (as.width / 4);
        picture.rgb[static_cast<std::size_t>(i) * 3] = static_cast<std::uint8_t>(as.red);
        picture.rgb[static_cast<std::size_t>(i) * 3 + 1] = bar ? 220 : 60;
        picture.rgb[static_cast<std::size_t>(i) * 3 + 2] = static_cast<std::uint8_t>(255 - as.red);
      }
      EXPECT_TRUE(writer->write(picture));
    }
    EXPECT_TRUE(writer->finish());
    return folder / name;
  }

  std::filesystem::path tone(const std::string& name, double seconds, double hertz = 440) {
    media::sound made;
    made.sample_rate = 22'050;
    for (int i = 0; i < static_cast<int>(seconds * made.sample_rate); ++i)
      made.samples.push_back(0.4F * static_cast<float>(std::sin(2 * 3.14159265 * hertz * i / made.sample_rate)));
    EXPECT_TRUE(media::write_wav(folder / name, made));
    return folder / name;
  }

  std::filesystem::path text(const std::string& name, const std::string& content) {
    std::ofstream(folder / name, std::ios::binary) << content;
    return folder / name;
  }

  stage_outcome run(const std::string& kind, json params,
                    std::vector<std::pair<std::string, std::filesystem::path>> in) {
    stage_request request{kind, std::move(params), {}, folder.fresh(), 2};
    for (auto& [port, path] : in)
      request.inputs.push_back({port, path, "", {}});
    recording_context context;
    auto outcome = engine->run(request, context);
    if (outcome) {
      EXPECT_EQ(context.fraction(), 1.0);
    }
    return outcome;
  }

  media::video_info good(const stage_outcome& outcome) {
    if (!outcome) {
      ADD_FAILURE() << outcome.error().message;
      return {};
    }
    auto info = media::probe(outcome->files.at(0).path);
    EXPECT_EQ(info->codec, "h264");
    return *info;
  }

  /// Mean absolute difference to a film without what was done, in rows [from, to) of the height, of frame `n`.
  static double change(const std::filesystem::path& a, const std::filesystem::path& b, int n, double from, double to) {
    auto one = frame_of(a, n), two = frame_of(b, n);
    double sum = 0;
    std::size_t count = 0;
    for (std::size_t i = static_cast<std::size_t>(one.height * from) * static_cast<std::size_t>(one.width) * 3;
         i < static_cast<std::size_t>(one.height * to) * static_cast<std::size_t>(one.width) * 3; ++i, ++count)
      sum += std::abs(int{one.rgb.at(i)} - int{two.rgb.at(i)});
    return sum / static_cast<double>(count);
  }

  static media::frame frame_of(const std::filesystem::path& path, int n) {
    auto reader = media::video_reader::open(path).value();
    media::frame got;
    for (int i = 0; i <= n; ++i)
      EXPECT_TRUE(reader->next(got).value()) << "frame " << i;
    return got;
  }

  static double loudness(const std::filesystem::path& path, double from, double to) {
    auto sound = media::read_sound(path, 16'000).value();
    double sum = 0;
    const auto begin = static_cast<std::size_t>(from * 16'000), end = static_cast<std::size_t>(to * 16'000);
    for (std::size_t i = begin; i < std::min(end, sound.samples.size()); ++i)
      sum += double{sound.samples[i]} * double{sound.samples[i]};
    return std::sqrt(sum / static_cast<double>(end - begin));
  }

  scratch folder;
  engine_ptr engine = make_ffmpeg_engine();
};

const char* two_cues = "1\n00:00:00,200 --> 00:00:00,900\nHello there\n\n2\n00:00:01,000 --> "
                       "00:00:09,000\n<i>{\\an8}Se\xC3\xB1or</i> {\\b1}\\N\n\n";

} // namespace

TEST_F(editing, trim_keeps_the_seconds_asked_for_and_nothing_else) {
  const auto whole = film("a.mp4", {});
  auto outcome = run("ffmpeg.trim", {{"start_seconds", 0.5}, {"end_seconds", 1.25}}, {{"video", whole}});
  EXPECT_EQ(good(outcome).frames, 18);
  auto first = frame_of(outcome->files[0].path, 0), source = frame_of(whole, 12);
  double sum = 0;
  for (std::size_t i = 0; i < first.rgb.size(); ++i)
    sum += std::abs(int{first.rgb[i]} - int{source.rgb[i]});
  EXPECT_LT(sum / static_cast<double>(first.rgb.size()), 6);
  auto behind = run("ffmpeg.trim", {{"start_seconds", 9}, {"end_seconds", 10}}, {{"video", whole}});
  ASSERT_FALSE(behind);
  EXPECT_EQ(behind.error().kind, fault::bad_input);
}

TEST_F(editing, concat_is_as_long_as_its_clips_less_the_cross_fades) {
  const auto a = film("a.mp4", {.red = 250}), b = film("b.mp4", {.width = 128, .height = 128, .rate = 12, .red = 10});
  auto outcome = run("ffmpeg.concat", {{"crossfade_s", 0.5}}, {{"videos", a}, {"videos", b}});
  auto info = good(outcome);
  EXPECT_EQ(info.width, 160);
  EXPECT_EQ(info.height, 96);
  EXPECT_EQ(info.frames, 48 + 96 - 12) << "the second clip plays at the first one's rate";
  EXPECT_FALSE(info.has_audio);
  // In the middle of the fade both clips show.
  const auto red = [&](int n) { return int{frame_of(outcome->files[0].path, n).rgb[(48 * 160 + 80) * 3]}; };
  EXPECT_GT(red(20), 200);
  EXPECT_NEAR(red(42), 130, 50);
  EXPECT_LT(red(60), 60);
}

TEST_F(editing, concat_shortens_the_cross_fade_to_half_the_shortest_clip) {
  const auto a = film("a.mp4", {}), b = film("b.mp4", {.frames = 8}), c = film("c.mp4", {});
  EXPECT_EQ(good(run("ffmpeg.concat", {{"crossfade_s", 5}}, {{"videos", a}, {"videos", b}, {"videos", c}})).frames,
            48 + 8 + 48 - 2 * 4);
  EXPECT_EQ(good(run("ffmpeg.concat", {{"crossfade_s", 0}}, {{"videos", a}, {"videos", b}})).frames, 56);
  EXPECT_EQ(good(run("ffmpeg.concat", json::object(), {{"videos", a}})).frames, 48);
}

TEST_F(editing, concat_keeps_sound_in_step_when_a_clip_has_none) {
  const auto silent = film("a.mp4", {});
  auto mixed = run("ffmpeg.mix", json::object(), {{"video", silent}, {"audio", tone("t.wav", 2)}});
  ASSERT_TRUE(mixed) << mixed.error().message;
  auto outcome = run("ffmpeg.concat", {{"crossfade_s", 0.5}}, {{"videos", silent}, {"videos", mixed->files[0].path}});
  auto info = good(outcome);
  EXPECT_TRUE(info.has_audio);
  EXPECT_EQ(info.frames, 84);
  EXPECT_LT(loudness(outcome->files[0].path, 0.2, 1.3), 0.01);
  EXPECT_GT(loudness(outcome->files[0].path, 2.2, 3.2), 0.1);
  EXPECT_NEAR(media::read_sound(outcome->files[0].path, 16'000)->duration_s(), 3.5, 0.06);
}

TEST_F(editing, mix_holds_the_last_picture_until_the_sound_has_ended) {
  const auto a = film("a.mp4", {});
  const auto t = tone("t.wav", 2.5);
  auto outcome = run("ffmpeg.mix", {{"offset_seconds", 0.5}}, {{"video", a}, {"audio", t}});
  EXPECT_EQ(good(outcome).frames, 72);
  EXPECT_LT(loudness(outcome->files[0].path, 0.0, 0.45), 0.01);
  EXPECT_GT(loudness(outcome->files[0].path, 0.6, 2.9), 0.2);
  EXPECT_EQ(good(run("ffmpeg.mix", {{"extend", false}}, {{"video", a}, {"audio", t}})).frames, 48);
}

TEST_F(editing, a_mix_that_adds_no_picture_hands_the_pictures_through) {
  const auto a = film("a.mp4", {});
  auto outcome = run("ffmpeg.mix", json::object(), {{"video", a}, {"audio", tone("t.wav", 2)}});
  EXPECT_EQ(good(outcome).frames, 48);
  EXPECT_EQ(change(a, outcome->files[0].path, 30, 0, 1), 0);
}

TEST_F(editing, mix_adds_to_the_sound_that_is_there_and_obeys_the_volume) {
  const auto a = film("a.mp4", {});
  auto once = run("ffmpeg.mix", json::object(), {{"video", a}, {"audio", tone("t.wav", 1)}});
  ASSERT_TRUE(once) << once.error().message;
  auto twice = run("ffmpeg.mix", {{"offset_seconds", 1}, {"volume", 0.5}},
                   {{"video", once->files[0].path}, {"audio", tone("u.wav", 1, 660)}});
  ASSERT_TRUE(twice) << twice.error().message;
  const double first = loudness(twice->files[0].path, 0.1, 0.9), second = loudness(twice->files[0].path, 1.1, 1.9);
  EXPECT_GT(first, 0.2);
  EXPECT_NEAR(second / first, 0.5, 0.05);
}

TEST_F(editing, subtitles_are_burned_into_the_lower_third_and_muxed_beside) {
  const auto a = film("a.mp4", {.width = 320, .height = 180});
  const auto srt = text("s.srt", two_cues);
  auto outcome = run("ffmpeg.subtitle", {{"language", "eng"}}, {{"video", a}, {"subtitles", srt}});
  EXPECT_EQ(good(outcome).frames, 48);
  const auto film_with = outcome->files[0].path;
  EXPECT_GT(change(a, film_with, 12, 0.66, 1), 2);
  EXPECT_LT(change(a, film_with, 12, 0, 0.6), 0.5);
  EXPECT_LT(change(a, film_with, 2, 0.66, 1), 0.5) << "nothing is said yet";
  const auto bytes = bytes_of(film_with);
  EXPECT_NE(bytes.find("tx3g"), std::string::npos);
  EXPECT_NE(bytes.find("Hello there"), std::string::npos);
  EXPECT_NE(bytes.find("Se\xC3\xB1or"), std::string::npos);
  EXPECT_NEAR(media::probe(film_with)->duration_s, 2, 0.01);
}

TEST_F(editing, styles_differ_and_subtitles_can_be_only_soft) {
  const auto a = film("a.mp4", {.width = 320, .height = 180});
  const auto srt = text("s.srt", two_cues);
  auto plain = run("ffmpeg.subtitle", {{"soft", false}}, {{"video", a}, {"subtitles", srt}});
  auto bold = run("ffmpeg.subtitle", {{"soft", false}, {"style", "bold-yellow"}}, {{"video", a}, {"subtitles", srt}});
  auto soft = run("ffmpeg.subtitle", {{"burn", false}}, {{"video", a}, {"subtitles", srt}});
  ASSERT_TRUE(plain && bold && soft);
  EXPECT_GT(change(plain->files[0].path, bold->files[0].path, 12, 0.66, 1), 1);
  EXPECT_EQ(bytes_of(plain->files[0].path).find("tx3g"), std::string::npos);
  EXPECT_EQ(change(a, soft->files[0].path, 12, 0, 1), 0) << "pictures are handed through";
  EXPECT_NE(bytes_of(soft->files[0].path).find("Hello there"), std::string::npos);
}

TEST_F(editing, a_watermark_stands_where_it_should_whatever_its_text) {
  const auto a = film("a.mp4", {.width = 320, .height = 180});
  for (const char* words : {"Made by Troupe", "';[x]%{localtime}\\:,\n\"$(id)", "\xF0\x9F\x8E\xAC \xD0\xB4\xD0\xB0"}) {
    auto top = run("ffmpeg.watermark", {{"text", words}, {"position", "top-left"}}, {{"video", a}});
    ASSERT_TRUE(top) << words << ": " << top.error().message;
    EXPECT_GT(change(a, top->files[0].path, 5, 0, 0.25), 2 * change(a, top->files[0].path, 5, 0.5, 1) + 0.5) << words;
  }
}

TEST_F(editing, the_same_edit_gives_the_same_bytes) {
  const auto a = film("a.mp4", {}), b = film("b.mp4", {.red = 20});
  auto mixed = run("ffmpeg.mix", json::object(), {{"video", a}, {"audio", tone("t.wav", 1)}});
  ASSERT_TRUE(mixed);
  const auto make = [&] {
    return bytes_of(
        run("ffmpeg.concat", json::object(), {{"videos", mixed->files[0].path}, {"videos", b}})->files[0].path);
  };
  EXPECT_EQ(make(), make());
}

TEST_F(editing, bad_inputs_are_the_input_s_fault) {
  const auto a = film("a.mp4", {});
  const auto junk = text("junk", std::string(4000, 'j'));
  const auto expect_bad = [](const stage_outcome& outcome, const char* what) {
    ASSERT_FALSE(outcome) << what;
    EXPECT_EQ(outcome.error().kind, fault::bad_input) << what;
    EXPECT_THAT(outcome.error().message, testing::Not(testing::HasSubstr("troupe it's"))) << what;
  };
  expect_bad(run("ffmpeg.trim", {{"start_seconds", 0}, {"end_seconds", 1}}, {{"video", junk}}), "junk");
  expect_bad(run("ffmpeg.trim", {{"start_seconds", 2}, {"end_seconds", 1}}, {{"video", a}}), "end before start");
  expect_bad(run("ffmpeg.trim", {{"start_seconds", "0"}}, {{"video", a}}), "a text for a number");
  expect_bad(run("ffmpeg.concat", json::object(), {}), "no clips");
  expect_bad(run("ffmpeg.concat", {{"crossfade_s", 1e308}}, {{"videos", a}}), "an endless fade");
  expect_bad(run("ffmpeg.mix", json::object(), {{"video", a}}), "no sound");
  expect_bad(run("ffmpeg.mix", json::object(), {{"video", a}, {"audio", a}}), "a sound without sound");
  expect_bad(run("ffmpeg.subtitle", json::object(), {{"video", a}, {"subtitles", junk}}), "no subtitles");
  expect_bad(run("ffmpeg.subtitle", {{"style", "comic"}}, {{"video", a}, {"subtitles", junk}}), "unknown style");
  expect_bad(run("ffmpeg.subtitle", {{"language", "../"}}, {{"video", a}, {"subtitles", text("s", two_cues)}}),
             "language");
  expect_bad(run("ffmpeg.watermark", json::object(), {{"video", a}}), "no text");
  expect_bad(run("ffmpeg.paint", json::object(), {{"video", a}}), "unknown operation");
}

TEST_F(editing, a_cancel_ends_it_within_a_second) {
  const auto a = film("a.mp4", {.width = 640, .height = 360, .frames = 24});
  std::vector<std::pair<std::string, std::filesystem::path>> many(20, {"videos", a});
  stage_request request{"ffmpeg.concat", {{"crossfade_s", 0.2}}, {}, folder.fresh(), 1};
  for (auto& [port, path] : many)
    request.inputs.push_back({port, path, "", {}});
  stage_outcome outcome = stage_failure();
  EXPECT_LT(time_to_cancel(*engine, request, 150ms, outcome), 1000);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, fault::cancelled);
}

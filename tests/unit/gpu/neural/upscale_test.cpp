#include "gpu/engines/onnx/runtime.hpp"
#include "gpu/engines/upscale/neural.hpp"
#include "gpu/engines/upscale/upscale_engine.hpp"
#include "gpu/media/media.hpp"
#include "tests/unit/gpu/neural/stage.hpp"

#include <cmath>
#include <iostream>
#include <numbers>
#include <thread>

namespace troupe::engines::testing {
namespace {

using clock = std::chrono::steady_clock;

/// Something like a photograph: smooth shades, ridges with sharp edges, grain of several sizes.
media::frame landscape(int width, int height, double shift = 0) {
  media::frame out{width, height, {}};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const double u = (x + shift) / width;
      const double v = static_cast<double>(y) / height;
      const double ridge = 0.5 + 0.12 * std::sin(7 * u) + 0.05 * std::sin(23 * u + 1) + 0.02 * std::sin(61 * u);
      const double grain =
          6 * std::sin(90 * u + 40 * v) * std::sin(70 * v - 30 * u) + 4 * std::sin(170 * u) * std::sin(150 * v);
      const double sun = std::hypot(u - 0.7, (v - 0.25) * height / width) < 0.06 ? 60 : 0;
      const bool land = v > ridge;
      const double tone[3] = {land ? 70 + 60 * v + grain : 120 + 90 * v + sun,
                              land ? 95 - 30 * v + 1.5 * grain : 150 + 60 * v + sun, land ? 50 + grain : 220 - 40 * v};
      for (const double value : tone)
        out.rgb.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)));
    }
  return out;
}

/// Half the size, each pixel the mean of four.
media::frame halved(const media::frame& in) {
  media::frame out{in.width / 2, in.height / 2, {}};
  const auto at = [&](int x, int y, int c) {
    return int{in.rgb[static_cast<std::size_t>(3 * (y * in.width + x) + c)]};
  };
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x)
      for (int c = 0; c < 3; ++c)
        out.rgb.push_back(static_cast<std::uint8_t>((at(2 * x, 2 * y, c) + at(2 * x + 1, 2 * y, c) +
                                                     at(2 * x, 2 * y + 1, c) + at(2 * x + 1, 2 * y + 1, c) + 2) /
                                                    4));
  return out;
}

double psnr(const media::frame& a, const media::frame& b) {
  EXPECT_EQ(a.rgb.size(), b.rgb.size());
  double error = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i)
    error += std::pow(double{static_cast<double>(a.rgb[i])} - b.rgb[i], 2);
  return 10 * std::log10(255.0 * 255.0 / (error / static_cast<double>(a.rgb.size())));
}

std::filesystem::path film(const std::filesystem::path& path, int width, int height, int frames) {
  media::video_options options;
  options.width = width;
  options.height = height;
  options.frame_rate = {24, 1};
  auto writer = media::video_writer::open(path, options).value();
  for (int i = 0; i < frames; ++i)
    writer->write(landscape(width, height, 3.0 * i)).value();
  writer->finish().value();
  return path;
}

class upscale : public ::testing::Test {
protected:
  temporary_folder folder;
  engine_ptr engine_ = make_upscale_engine(onnx::install_prefix());
};

TEST_F(upscale, is_available_where_the_models_are_installed) {
  const auto who = engine_->describe();
  EXPECT_TRUE(who.available) << who.unavailable_reason;
}

TEST_F(upscale, brings_back_a_picture_that_was_halved) {
  const auto original = landscape(640, 360);
  ASSERT_TRUE(media::write_png(folder.path() / "small.png", halved(original)));
  for (const char* method : {"neural", "lanczos"}) {
    stage work(*engine_, "upscale.image", {{"factor", 2}, {"method", method}},
               {input("image", folder.path() / "small.png", "image/png")});
    const auto done = work.run();
    ASSERT_TRUE(done) << done.error().message;
    const auto larger = media::read_image(done->files.at(0).path).value();
    EXPECT_EQ(larger.width, 640);
    EXPECT_EQ(larger.height, 360);
    EXPECT_EQ(done->files[0].metadata, json({{"width", 640}, {"height", 360}}));
    const double quality = psnr(larger, original);
    std::cout << method << ": PSNR " << quality << " dB\n";
    EXPECT_GE(quality, 30) << method;
    ASSERT_EQ(work.context.previews.size(), 1U);
    EXPECT_LE(work.context.previews[0].size(), 65536U);
  }
}

TEST_F(upscale, gives_the_same_bytes_on_any_number_of_threads_and_shows_no_seams) {
  const auto net = neural_upscaler::open(onnx::install_prefix()).value();
  const auto picture = landscape(301, 203); // two tiles by two, of uneven size
  const auto never = [] { return false; };
  const auto one = net->twice(picture, 1, never).value();
  const auto four = net->twice(picture, 4, never).value();
  EXPECT_EQ(one.rgb, four.rgb);

  // A part that lies within one tile, computed alone with the border it needs, is the same as in the whole.
  media::frame part{120, 100, {}};
  for (int y = 60; y < 160; ++y) {
    const auto* row = picture.rgb.data() + 3 * (y * 301 + 90);
    part.rgb.insert(part.rgb.end(), row, row + 3L * 120);
  }
  const auto alone = net->twice(part, 1, never).value();
  for (int y = 20; y < 180; ++y)
    for (int i = 3 * 20; i < 3 * 220; ++i) {
      const int a = alone.rgb[static_cast<std::size_t>(3 * 240 * y + i)];
      const int b = one.rgb[static_cast<std::size_t>(3 * (602 * (y + 120) + 180) + i)];
      ASSERT_LE(std::abs(a - b), 1) << "at " << i << "," << y;
    }
}

TEST_F(upscale, makes_three_and_four_times_as_much) {
  ASSERT_TRUE(media::write_png(folder.path() / "small.png", landscape(50, 40)));
  for (const int factor : {3, 4}) {
    stage work(*engine_, "upscale.image", {{"factor", factor}},
               {input("image", folder.path() / "small.png", "image/png")});
    const auto done = work.run();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->files[0].metadata["width"], 50 * factor);
    EXPECT_EQ(done->files[0].metadata["height"], 40 * factor);
  }
}

TEST_F(upscale, doubles_a_film_frame_by_frame) {
  const auto source = film(folder.path() / "film.mp4", 96, 64, 6);
  stage work(*engine_, "upscale.video", json::object(), {input("video", source, "video/mp4")});
  const auto done = work.run();
  ASSERT_TRUE(done) << done.error().message;
  const auto info = media::probe(done->files.at(0).path).value();
  EXPECT_EQ(info.width, 192);
  EXPECT_EQ(info.height, 128);
  EXPECT_EQ(info.frames, 6);
  EXPECT_EQ(done->files[0].metadata["frames"], 6);
  EXPECT_EQ(work.context.last_step, "frame 6/6");
  EXPECT_EQ(work.context.last_fraction, 1);
  EXPECT_EQ(done->engine, "upscale/1");

  stage again(*engine_, "upscale.video", json::object(), {input("video", source, "video/mp4")});
  EXPECT_EQ(contents(again.run().value().files[0].path), contents(done->files[0].path));
}

TEST_F(upscale, hands_the_input_through_at_factor_one) {
  const auto source = film(folder.path() / "film.mp4", 64, 64, 2);
  stage work(*engine_, "upscale.video", {{"factor", 1}}, {input("video", source, "video/mp4")});
  const auto done = work.run();
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_NE(done->files[0].path, source);
  EXPECT_EQ(contents(done->files[0].path), contents(source));
}

TEST_F(upscale, stops_within_a_second_when_cancelled) {
  const auto source = film(folder.path() / "film.mp4", 640, 360, 24);
  stage work(*engine_, "upscale.video", {{"factor", 4}}, {input("video", source, "video/mp4")});
  std::jthread canceller([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    work.context.cancel();
  });
  const auto done = work.run();
  const auto took = clock::now() - work.context.cancelled_at;
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().kind, fault::cancelled);
  EXPECT_LT(took, std::chrono::seconds(1));
}

TEST_F(upscale, says_what_is_missing_and_still_does_lanczos) {
  const auto bare = make_upscale_engine(folder.path());
  EXPECT_FALSE(bare->describe().available);
  EXPECT_THAT(bare->describe().unavailable_reason, ::testing::HasSubstr("scripts/deps"));
  ASSERT_TRUE(media::write_png(folder.path() / "small.png", landscape(32, 32)));
  const auto image = input("image", folder.path() / "small.png", "image/png");
  stage neural(*bare, "upscale.image", {{"method", "neural"}}, {image});
  const auto refused = neural.run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, fault::unknown);
  EXPECT_THAT(refused.error().message, ::testing::StartsWith("neural upscaler unavailable: "));
  EXPECT_TRUE(stage(*bare, "upscale.image", {{"method", "lanczos"}}, {image}).run());
}

TEST_F(upscale, refuses_what_is_no_picture_and_what_would_be_too_large) {
  std::ofstream(folder.path() / "noise.png") << "not a picture";
  const auto noise =
      stage(*engine_, "upscale.image", json::object(), {input("image", folder.path() / "noise.png", "image/png")})
          .run();
  ASSERT_FALSE(noise);
  EXPECT_EQ(noise.error().kind, fault::bad_input);
  ASSERT_TRUE(media::write_png(folder.path() / "wide.png", landscape(5000, 2)));
  const auto wide =
      stage(*engine_, "upscale.image", {{"factor", 4}}, {input("image", folder.path() / "wide.png", "image/png")})
          .run();
  ASSERT_FALSE(wide);
  EXPECT_EQ(wide.error().kind, fault::bad_input);
  EXPECT_FALSE(stage(*engine_, "upscale.image", {{"factor", 5}}, {}).run());
}

} // namespace
} // namespace troupe::engines::testing

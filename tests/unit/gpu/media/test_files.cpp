#include "gpu/media/media.hpp"

#include "common/random.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>

using namespace troupe;
using namespace troupe::media;

namespace {

class media_files : public testing::Test {
protected:
  media_files() : folder_(std::filesystem::temp_directory_path() / ("troupe-media-" + random_hex(8))) {
    std::filesystem::create_directories(folder_);
  }
  ~media_files() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path at(const char* name) const { return folder_ / name; }

private:
  std::filesystem::path folder_;
};

/// A picture whose colour tells its number: a moving bar over a slope.
frame numbered(int n, int width = 128, int height = 96) {
  frame made{width, height, {}};
  made.rgb.resize(static_cast<std::size_t>(width * height * 3));
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      auto* pixel = &made.rgb[static_cast<std::size_t>((y * width + x) * 3)];
      const bool bar = x / 8 == n % 16;
      pixel[0] = static_cast<std::uint8_t>(bar ? 230 : 40);
      pixel[1] = static_cast<std::uint8_t>(x + 20);
      pixel[2] = static_cast<std::uint8_t>(y * 2);
    }
  return made;
}

double difference(const frame& a, const frame& b) {
  EXPECT_EQ(a.rgb.size(), b.rgb.size());
  double sum = 0;
  for (std::size_t i = 0; i < a.rgb.size(); ++i)
    sum += std::abs(int{a.rgb[i]} - int{b.rgb[i]});
  return sum / static_cast<double>(a.rgb.size());
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write_film(const std::filesystem::path& path, video_options options, int frames = 30) {
  options.width = 128;
  options.height = 96;
  options.frame_rate = {24, 1};
  auto writer = video_writer::open(path, options);
  ASSERT_TRUE(writer) << writer.error().message;
  for (int n = 0; n < frames; ++n)
    ASSERT_TRUE((*writer)->write(numbered(n)));
  auto finished = (*writer)->finish();
  ASSERT_TRUE(finished) << finished.error().message;
}

sound tone(double seconds, int rate = 16'000) {
  sound made;
  made.sample_rate = rate;
  made.samples.resize(static_cast<std::size_t>(seconds * rate));
  for (std::size_t i = 0; i < made.samples.size(); ++i)
    made.samples[i] = 0.5F * static_cast<float>(std::sin(2 * 3.14159265 * 440 * static_cast<double>(i) / rate));
  return made;
}

} // namespace

TEST_F(media_files, a_written_video_is_probed_and_read_back_frame_by_frame) {
  write_film(at("a.mp4"), {});
  auto info = probe(at("a.mp4"));
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->width, 128);
  EXPECT_EQ(info->height, 96);
  EXPECT_EQ(info->frames, 30);
  EXPECT_NEAR(info->duration_s, 30 / 24.0, 0.001);
  EXPECT_DOUBLE_EQ(info->frame_rate.value(), 24);
  EXPECT_FALSE(info->has_audio);
  auto reader = video_reader::open(at("a.mp4"));
  ASSERT_TRUE(reader);
  frame got;
  int frames = 0;
  for (; (*reader)->next(got).value(); ++frames)
    EXPECT_LT(difference(got, numbered(frames)), 10) << "frame " << frames;
  EXPECT_EQ(frames, 30);
}

TEST_F(media_files, colours_survive_the_way_through_a_video) {
  video_options options;
  options.width = 64;
  options.height = 64;
  options.crf = 8;
  auto writer = video_writer::open(at("c.mp4"), options).value();
  frame orange{64, 64, {}};
  for (int i = 0; i < 64 * 64; ++i)
    orange.rgb.insert(orange.rgb.end(), {230, 120, 30});
  ASSERT_TRUE(writer->write(orange));
  ASSERT_TRUE(writer->finish());
  frame got;
  ASSERT_TRUE(video_reader::open(at("c.mp4")).value()->next(got).value());
  EXPECT_LT(difference(got, orange), 3);
}

TEST_F(media_files, the_same_pictures_give_the_same_bytes_and_no_encoder_is_named) {
  write_film(at("a.mp4"), {});
  write_film(at("b.mp4"), {});
  const auto bytes = bytes_of(at("a.mp4"));
  EXPECT_EQ(bytes, bytes_of(at("b.mp4")));
  EXPECT_EQ(bytes.find("x264"), std::string::npos);
  EXPECT_EQ(bytes.find("Lavf"), std::string::npos);
  EXPECT_LT(bytes.find("moov"), bytes.find("mdat")) << "a film must start playing before it is all there";
}

TEST_F(media_files, a_watermark_is_drawn_in_the_lower_right_corner_only) {
  write_film(at("a.mp4"), {}, 2);
  video_options options;
  options.watermark = "it's: 100%{pts} [x];\\'";
  write_film(at("b.mp4"), options, 2);
  frame plain, marked;
  ASSERT_TRUE(video_reader::open(at("a.mp4")).value()->next(plain).value());
  ASSERT_TRUE(video_reader::open(at("b.mp4")).value()->next(marked).value());
  double upper = 0, lower = 0;
  for (std::size_t i = 0; i < plain.rgb.size(); ++i)
    (i < plain.rgb.size() / 2 ? upper : lower) += std::abs(int{plain.rgb[i]} - int{marked.rgb[i]});
  EXPECT_GT(lower, 20 * upper);
}

TEST_F(media_files, sound_is_written_and_read_back_at_another_rate) {
  const auto written = tone(1.5);
  ASSERT_TRUE(write_wav(at("a.wav"), written));
  auto same = read_sound(at("a.wav"), 16'000);
  ASSERT_TRUE(same) << same.error().message;
  ASSERT_EQ(same->samples.size(), written.samples.size());
  for (std::size_t i = 0; i < same->samples.size(); i += 97)
    EXPECT_NEAR(same->samples[i], written.samples[i], 1e-3);
  auto finer = read_sound(at("a.wav"), 48'000);
  ASSERT_TRUE(finer);
  EXPECT_NEAR(finer->duration_s(), 1.5, 0.01);
  EXPECT_FALSE(read_sound(at("a.wav"), 16'000, 1.0)) << "longer than allowed";
}

TEST_F(media_files, pictures_round_trip_through_png_without_loss) {
  const auto picture = numbered(3, 61, 47);
  ASSERT_TRUE(write_png(at("a.png"), picture));
  auto got = read_image(at("a.png"));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->width, 61);
  EXPECT_EQ(got->rgb, picture.rgb);
}

TEST_F(media_files, a_preview_is_a_small_jpeg_no_wider_than_asked) {
  auto jpeg = encode_jpeg(numbered(3, 640, 360), 320);
  ASSERT_TRUE(jpeg) << jpeg.error().message;
  EXPECT_LT(jpeg->size(), 64U * 1024);
  std::ofstream(at("a.jpg"), std::ios::binary) << *jpeg;
  auto got = read_image(at("a.jpg"));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(got->width, 320);
  EXPECT_EQ(got->height, 180);
  EXPECT_LT(difference(*got, resize(numbered(3, 640, 360), 320, 180).value()), 12);
}

TEST_F(media_files, what_is_no_media_file_is_refused_without_naming_its_path) {
  std::ofstream(at("junk.mp4")) << std::string(5000, 'x');
  std::ofstream(at("empty.mp4"));
  for (const char* name : {"junk.mp4", "empty.mp4", "missing.mp4"}) {
    auto opened = video_reader::open(at(name));
    ASSERT_FALSE(opened) << name;
    EXPECT_EQ(opened.error().code, "media");
    EXPECT_THAT(opened.error().message, testing::Not(testing::HasSubstr("troupe-media")));
    EXPECT_FALSE(read_sound(at(name), 16'000));
  }
}

TEST_F(media_files, a_playlist_is_not_followed_to_other_files) {
  write_film(at("a.mp4"), {}, 2);
  std::ofstream(at("list.m3u8")) << "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n";
  std::ofstream(at("list.txt")) << "ffconcat version 1.0\nfile a.mp4\n";
  EXPECT_FALSE(probe(at("list.m3u8")));
  EXPECT_FALSE(probe(at("list.txt")));
}

TEST_F(media_files, a_video_cut_short_is_refused_or_read_as_far_as_it_goes) {
  write_film(at("a.mp4"), {});
  const auto bytes = bytes_of(at("a.mp4"));
  for (std::size_t part = 1; part < 10; ++part) {
    std::ofstream(at("cut.mp4"), std::ios::binary) << bytes.substr(0, bytes.size() * part / 10);
    auto reader = video_reader::open(at("cut.mp4"));
    if (!reader)
      continue;
    frame got;
    for (int frames = 0; frames < 40; ++frames)
      if (auto more = (*reader)->next(got); !more || !*more)
        break;
  }
}

TEST_F(media_files, an_impossible_size_or_rate_is_refused) {
  video_options options;
  options.width = 127;
  options.height = 96;
  EXPECT_FALSE(video_writer::open(at("a.mp4"), options));
  options.width = 128;
  options.frame_rate = {0, 1};
  EXPECT_FALSE(video_writer::open(at("a.mp4"), options));
  options.frame_rate = {24, 1};
  auto writer = video_writer::open(at("a.mp4"), options).value();
  EXPECT_FALSE(writer->write(numbered(0, 64, 64)));
  EXPECT_FALSE(writer->finish()) << "no picture was written";
}

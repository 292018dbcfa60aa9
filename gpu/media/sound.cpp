#include "gpu/media/av.hpp"
#include "gpu/media/media.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>

extern "C" {
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
}

namespace troupe::media {
namespace {

struct resampler_closer {
  void operator()(SwrContext* p) const { swr_free(&p); }
};
using resampler_ptr = std::unique_ptr<SwrContext, resampler_closer>;

result<resampler_ptr> make_resampler(const AVFrame& from, int sample_rate) {
  AVChannelLayout in = {};
  if (from.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
    av_channel_layout_default(&in, from.ch_layout.nb_channels);
  else
    av_channel_layout_copy(&in, &from.ch_layout);
  AVChannelLayout mono = {};
  av_channel_layout_default(&mono, 1);
  SwrContext* raw = nullptr;
  int done = swr_alloc_set_opts2(&raw, &mono, AV_SAMPLE_FMT_FLT, sample_rate, &in,
                                 static_cast<AVSampleFormat>(from.format), from.sample_rate, 0, nullptr);
  resampler_ptr made(raw);
  // Without it two loud channels add up to more than 1 in floating point.
  if (done >= 0)
    done = av_opt_set_double(raw, "rematrix_maxval", 1.0, 0);
  if (done >= 0)
    done = swr_init(raw);
  av_channel_layout_uninit(&in);
  if (done < 0)
    return av::error("the sound cannot be converted", done);
  return made;
}

/// Appends what `frame` (null: what is left) becomes.
result<void> convert(SwrContext* resampler, const AVFrame* frame, std::vector<float>& into) {
  const int given = frame != nullptr ? frame->nb_samples : 0;
  const int room = swr_get_out_samples(resampler, given);
  if (room < 0)
    return av::error("the sound cannot be converted", room);
  const std::size_t before = into.size();
  into.resize(before + static_cast<std::size_t>(room));
  auto* out = reinterpret_cast<std::uint8_t*>(into.data() + before);
  auto** in = frame != nullptr ? const_cast<const std::uint8_t**>(frame->extended_data) : nullptr;
  const int made = swr_convert(resampler, &out, room, in, given);
  if (made < 0)
    return av::error("the sound cannot be converted", made);
  into.resize(before + static_cast<std::size_t>(made));
  return {};
}

void put(std::string& out, std::uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i)
    out.push_back(static_cast<char>((value >> (8 * i)) & 0xFFU));
}

/// A RIFF header of 16-bit mono PCM (Microsoft's "Multimedia Programming Interface and Data Specifications 1.0").
std::string wav_header(std::uint32_t sample_rate, std::uint32_t bytes) {
  std::string out = "RIFF";
  put(out, 36 + bytes, 4);
  out += "WAVEfmt ";
  put(out, 16, 4);
  put(out, 1, 2);
  put(out, 1, 2);
  put(out, sample_rate, 4);
  put(out, sample_rate * 2, 4);
  put(out, 2, 2);
  put(out, 16, 2);
  out += "data";
  put(out, bytes, 4);
  return out;
}

} // namespace

result<double> sound_duration(const std::filesystem::path& path) {
  auto input = av::open_input(path);
  if (!input)
    return input.error();
  const int index = av_find_best_stream(input->get(), AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  if (index < 0)
    return fail("media", "the file has no sound");
  const AVStream& stream = *(*input)->streams[index];
  auto packet = av::make_packet();
  std::int64_t end = 0;
  std::int64_t sum = 0;
  for (; av_read_frame(input->get(), packet.get()) >= 0; av_packet_unref(packet.get())) {
    if (packet->stream_index != index)
      continue;
    sum += packet->duration;
    end = std::max(end, packet->pts == AV_NOPTS_VALUE ? sum : packet->pts + packet->duration);
  }
  const std::int64_t start = stream.start_time == AV_NOPTS_VALUE ? 0 : std::max<std::int64_t>(0, stream.start_time);
  return static_cast<double>(std::max<std::int64_t>(0, end - start)) * av_q2d(stream.time_base);
}

result<sound> read_sound(const std::filesystem::path& path, int sample_rate, double seconds_max) {
  if (sample_rate < 1000 || sample_rate > 384'000)
    return fail("media", "a sample rate must lie between 1,000 and 384,000 Hz");
  auto decoder = av::stream_decoder::open(path, AVMEDIA_TYPE_AUDIO, 1);
  if (!decoder)
    return decoder.error();
  sound made;
  made.sample_rate = sample_rate;
  auto decoded = av::make_frame();
  resampler_ptr resampler;
  std::array<int, 3> shape{};
  for (;;) {
    auto more = decoder->next(decoded.get());
    if (!more)
      return more.error();
    const std::array now{decoded->format, decoded->sample_rate, decoded->ch_layout.nb_channels};
    if (resampler && (!*more || now != shape)) {
      if (auto flushed = convert(resampler.get(), nullptr, made.samples); !flushed)
        return flushed.error();
      resampler.reset();
    }
    if (!*more)
      return made;
    if (!resampler) {
      auto fresh = make_resampler(*decoded, sample_rate);
      if (!fresh)
        return fresh.error();
      resampler = std::move(*fresh);
      shape = now;
    }
    if (auto added = convert(resampler.get(), decoded.get(), made.samples); !added)
      return added.error();
    if (made.duration_s() > seconds_max)
      return fail("media", "the sound is longer than " + std::to_string(static_cast<int>(seconds_max)) + " seconds");
    av_frame_unref(decoded.get());
  }
}

result<void> write_wav(const std::filesystem::path& path, const sound& what) {
  if (what.sample_rate <= 0 || what.samples.size() > (1U << 30))
    return fail("media", "a sound without a sample rate, or too long for a WAV file, cannot be written");
  std::string bytes =
      wav_header(static_cast<std::uint32_t>(what.sample_rate), static_cast<std::uint32_t>(what.samples.size() * 2));
  bytes.reserve(bytes.size() + what.samples.size() * 2);
  for (const float sample : what.samples) {
    const float kept = std::isfinite(sample) ? std::clamp(sample, -1.0F, 1.0F) : 0.0F;
    put(bytes, static_cast<std::uint32_t>(static_cast<std::int32_t>(std::lround(kept * 32767.0F))), 2);
  }
  std::ofstream out(path, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out)
    return fail("machine", "the sound file cannot be written");
  return {};
}

} // namespace troupe::media

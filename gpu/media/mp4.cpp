#include "gpu/media/mp4.hpp"

#include "common/check.hpp"

#include <cmath>

namespace troupe::media::av {

result<mp4_file> mp4_file::create(const std::filesystem::path& path) {
  quieten();
  AVFormatContext* raw = nullptr;
  const std::string url = "file:" + path.string();
  if (const int made = avformat_alloc_output_context2(&raw, nullptr, "mp4", url.c_str()); made < 0)
    return error("the video file cannot be made", made);
  mp4_file file;
  file.output_.reset(raw);
  raw->flags |= AVFMT_FLAG_BITEXACT;
  if (const int opened = avio_open(&raw->pb, url.c_str(), AVIO_FLAG_WRITE); opened < 0)
    return error("the video file cannot be written", opened);
  return file;
}

int mp4_file::add(const AVCodecParameters& parameters, AVRational time_base) {
  AVStream* made = avformat_new_stream(output_.get(), nullptr);
  TROUPE_CHECK(made != nullptr);
  TROUPE_CHECK(avcodec_parameters_copy(made->codecpar, &parameters) >= 0);
  made->codecpar->codec_tag = 0;
  made->time_base = time_base;
  return made->index;
}

result<void> mp4_file::start() {
  AVDictionary* options = nullptr;
  av_dict_set(&options, "movflags", "+faststart", 0);
  const int written = avformat_write_header(output_.get(), &options);
  av_dict_free(&options);
  if (written < 0)
    return error("the video file cannot be begun", written);
  return {};
}

result<void> mp4_file::write(AVPacket* packet, int index, AVRational time_base) {
  packet->stream_index = index;
  packet->pos = -1;
  av_packet_rescale_ts(packet, time_base, stream(index).time_base);
  if (const int written = av_interleaved_write_frame(output_.get(), packet); written < 0)
    return error("the video file cannot be written", written);
  return {};
}

result<void> mp4_file::finish() {
  if (const int written = av_write_trailer(output_.get()); written < 0)
    return error("the video file cannot be finished", written);
  if (const int closed = avio_closep(&output_->pb); closed < 0)
    return error("the video file cannot be finished", closed);
  return {};
}

result<std::optional<stream_copier>> stream_copier::open(const std::filesystem::path& path, AVMediaType type,
                                                         mp4_file& into) {
  auto input = open_input(path);
  if (!input)
    return input.error();
  stream_copier made;
  made.input_ = std::move(*input);
  made.from_ = av_find_best_stream(made.input_.get(), type, -1, -1, nullptr, 0);
  if (made.from_ < 0)
    return std::optional<stream_copier>();
  const AVStream& from = *made.input_->streams[made.from_];
  if (avformat_query_codec(av_guess_format("mp4", nullptr, nullptr), from.codecpar->codec_id, FF_COMPLIANCE_NORMAL) !=
      1)
    return fail("media", "the input's streams do not fit into an MP4 file");
  for (unsigned i = 0; i < made.input_->nb_streams; ++i)
    made.input_->streams[i]->discard = static_cast<int>(i) == made.from_ ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  made.stream_ = into.add(*from.codecpar, from.time_base);
  into.stream(made.stream_).avg_frame_rate = from.avg_frame_rate;
  return std::optional(std::move(made));
}

result<void> stream_copier::copy_until(double seconds, mp4_file& into) {
  const AVRational base = input_->streams[from_]->time_base;
  while (!at_end_) {
    if (!pending_ && av_read_frame(input_.get(), packet_.get()) < 0) {
      at_end_ = true;
      break;
    }
    pending_ = true;
    if (packet_->stream_index == from_) {
      const auto time = packet_->dts != AV_NOPTS_VALUE ? packet_->dts : packet_->pts;
      if (time != AV_NOPTS_VALUE && static_cast<double>(time) * av_q2d(base) >= seconds)
        return {};
      if (auto written = into.write(packet_.get(), stream_, base); !written)
        return written;
    } else {
      av_packet_unref(packet_.get());
    }
    pending_ = false;
  }
  return {};
}

} // namespace troupe::media::av

#include "gpu/media/compose.hpp"

#include "gpu/media/filter_graph.hpp"
#include "gpu/media/mp4.hpp"
#include "gpu/media/soft_subtitles.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <optional>

extern "C" {
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
}

namespace troupe::media {
namespace {

/// One decoded stream on its way into the graph.
struct feed {
  explicit feed(av::stream_decoder from) : decoder(std::move(from)) {}

  av::stream_decoder decoder;
  AVFilterContext* source = nullptr;
  AVRational time_base{1, 1};
  std::int64_t end = 0;  // of the last frame pushed, in the graph's time base
  av::frame_ptr pending; // decoded to learn the format before the graph existed
  bool ended = false;
};

class composer {
public:
  explicit composer(const composition& what) : what_(what), graph_(std::clamp(what.encoding.threads, 1U, 16U)) {}

  result<void> run(const std::filesystem::path& path) {
    if (auto ready = prepare(path); !ready)
      return ready;
    while (video_sink_ != nullptr || audio_sink_ != nullptr)
      if (auto stepped = step(); !stepped)
        return stepped;
    return finish();
  }

private:
  result<void> prepare(const std::filesystem::path& path) {
    auto file = av::mp4_file::create(path);
    if (!file)
      return file.error();
    file_ = std::move(*file);
    if (!what_.filters.empty())
      if (auto ready = open_graph(); !ready)
        return ready;
    if (auto ready = open_outputs(); !ready)
      return ready;
    return file_->start();
  }

  result<void> open_graph() {
    filters_ = what_.filters;
    feeds_.reserve(what_.inputs.size() * 2);
    for (std::size_t i = 0; i < what_.inputs.size(); ++i)
      for (const char kind : {'v', 'a'}) {
        const std::string label = kind + std::to_string(i);
        if (what_.filters.find("[" + label + "]") == std::string::npos)
          continue;
        if (auto opened = open_feed(what_.inputs[i], label, kind == 'v'); !opened)
          return opened;
      }
    if (what_.video) {
      auto sink = graph_.add_sink("video", "buffersink");
      if (!sink)
        return sink.error();
      video_sink_ = *sink;
    }
    if (what_.audio) {
      auto sink = graph_.add_sink("audio", "abuffersink");
      if (!sink)
        return sink.error();
      audio_sink_ = *sink;
    }
    auto ready = graph_.configure(filters_);
    if (ready && audio_sink_ != nullptr)
      av_buffersink_set_frame_size(audio_sink_, av::audio_encoder::frame_samples);
    return ready;
  }

  result<void> open_feed(const std::filesystem::path& path, const std::string& label, bool video) {
    auto decoder =
        av::stream_decoder::open(path, video ? AVMEDIA_TYPE_VIDEO : AVMEDIA_TYPE_AUDIO, what_.encoding.threads);
    if (!decoder)
      return decoder.error();
    // The first frame says what the decoder really makes; headers may be silent or wrong.
    auto first = av::make_frame();
    auto more = decoder->next(first.get());
    if (!more)
      return more.error();
    if (!*more)
      return fail("media", "an input has nothing to decode");
    auto source = video ? add_video(label, *first, decoder->stream()) : add_audio(label, *first);
    // FFmpeg would make stereo of mono 3 dB quieter.
    if (!video && first->ch_layout.nb_channels == 1)
      filters_.insert(filters_.find("[" + label + "]") + label.size() + 2, "pan=stereo|c0=c0|c1=c0,");
    if (!source)
      return source.error();
    feed made(std::move(*decoder));
    made.time_base = made.decoder.stream().time_base;
    made.source = *source;
    made.pending = std::move(first);
    feeds_.push_back(std::move(made));
    return {};
  }

  result<AVFilterContext*> add_video(const std::string& label, const AVFrame& first, const AVStream& stream) {
    return graph_.add_video_source(label, {first.width, first.height, static_cast<AVPixelFormat>(first.format),
                                           stream.time_base, stream.avg_frame_rate, first.sample_aspect_ratio});
  }

  result<AVFilterContext*> add_audio(const std::string& label, const AVFrame& first) {
    AVChannelLayout layout = {};
    if (first.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
      av_channel_layout_default(&layout, first.ch_layout.nb_channels);
    else
      av_channel_layout_copy(&layout, &first.ch_layout);
    char name[64] = {};
    av_channel_layout_describe(&layout, name, sizeof name);
    av_channel_layout_uninit(&layout);
    return graph_.add_audio_source(
        label, {first.sample_rate, static_cast<AVSampleFormat>(first.format), {1, first.sample_rate}, name});
  }

  result<void> open_outputs() {
    if (video_sink_ != nullptr) {
      video_options options = what_.encoding;
      options.width = av_buffersink_get_w(video_sink_);
      options.height = av_buffersink_get_h(video_sink_);
      auto encoder = av::video_encoder::open(options, *file_);
      if (!encoder)
        return encoder.error();
      video_ = std::move(*encoder);
    } else {
      auto copier = av::stream_copier::open(what_.inputs.at(0), AVMEDIA_TYPE_VIDEO, *file_);
      if (!copier)
        return copier.error();
      if (!*copier)
        return fail("media", "the file has no picture");
      copied_video_ = std::move(*copier);
    }
    if (audio_sink_ != nullptr) {
      auto encoder = av::audio_encoder::open(*file_);
      if (!encoder)
        return encoder.error();
      audio_ = std::move(*encoder);
    } else if (what_.copy_audio >= 0) {
      auto copier = av::stream_copier::open(what_.inputs.at(static_cast<std::size_t>(what_.copy_audio)),
                                            AVMEDIA_TYPE_AUDIO, *file_);
      if (!copier)
        return copier.error();
      copied_audio_ = std::move(*copier);
    }
    if (!what_.subtitles.empty())
      subtitles_.emplace(what_.subtitles, what_.language, *file_);
    return {};
  }

  /// Asks the graph for what is due next, and feeds the source that starves.
  result<void> step() {
    const int done = avfilter_graph_request_oldest(graph_.get());
    if (done < 0 && done != AVERROR_EOF && done != AVERROR(EAGAIN))
      return av::error("the film cannot be put together", done);
    if (auto taken = take(video_sink_, true); !taken)
      return taken;
    if (auto taken = take(audio_sink_, false); !taken)
      return taken;
    if (done == AVERROR_EOF && (video_sink_ != nullptr || audio_sink_ != nullptr))
      return fail("media", "the film cannot be put together: its inputs ended too early");
    if (!report())
      return fail("cancelled", "cancelled");
    return done == AVERROR(EAGAIN) ? feed_hungriest() : result<void>{};
  }

  result<void> take(AVFilterContext*& sink, bool video) {
    while (sink != nullptr) {
      const int got = av_buffersink_get_frame_flags(sink, frame_.get(), AV_BUFFERSINK_FLAG_NO_REQUEST);
      if (got == AVERROR(EAGAIN))
        return {};
      if (got == AVERROR_EOF) {
        sink = nullptr;
        return video ? video_->encode(nullptr, *file_) : audio_->encode(nullptr, *file_);
      }
      if (got < 0)
        return av::error("the film cannot be put together", got);
      auto encoded = video ? video_->encode(frame_.get(), *file_) : audio_->encode(frame_.get(), *file_);
      av_frame_unref(frame_.get());
      if (!encoded)
        return encoded;
      // What is handed through goes along with the pictures, or with the sound where no pictures are made.
      if (video || !video_)
        if (auto copied = copy_until(made_s()); !copied)
          return copied;
      if (!report())
        return fail("cancelled", "cancelled");
    }
    return {};
  }

  result<void> feed_hungriest() {
    feed* chosen = nullptr;
    unsigned hunger = 0;
    for (auto& candidate : feeds_)
      if (const unsigned failed = av_buffersrc_get_nb_failed_requests(candidate.source);
          !candidate.ended && failed > hunger) {
        hunger = failed;
        chosen = &candidate;
      }
    if (chosen == nullptr) // nobody said so; whoever still has something is asked in turn
      for (auto& candidate : feeds_)
        if (!candidate.ended && chosen == nullptr)
          chosen = &candidate;
    if (chosen == nullptr)
      return fail("media", "the film cannot be put together: its inputs ended too early");
    return push(*chosen);
  }

  result<void> push(feed& from) {
    av::frame_ptr next = std::move(from.pending);
    if (!next) {
      next = av::make_frame();
      auto more = from.decoder.next(next.get());
      if (!more)
        return more.error();
      from.ended = !*more;
    }
    if (!from.ended)
      set_time(from, *next);
    // The end's time is told too: else the last frame would have no length, and fps would drop it.
    const int done =
        from.ended ? av_buffersrc_close(from.source, from.end, 0) : av_buffersrc_add_frame(from.source, next.get());
    // A source that no filter wants any more (trim is done) refuses: that input is over.
    if (done == AVERROR_EOF)
      from.ended = true;
    else if (done < 0)
      return av::error("the film cannot be put together", done);
    return {};
  }

  /// Every input starts at 0 within the graph; what lies between the start of its picture and of its sound is kept.
  static void set_time(feed& from, AVFrame& frame) {
    const bool audio = frame.nb_samples > 0;
    const AVRational base = audio ? AVRational{1, frame.sample_rate} : from.time_base;
    frame.pts = frame.best_effort_timestamp;
    if (frame.pts == AV_NOPTS_VALUE) {
      frame.pts = from.end;
    } else {
      frame.pts = av_rescale_q(frame.pts, from.time_base, base);
      if (const auto start = from.decoder.input().start_time; start != AV_NOPTS_VALUE)
        frame.pts -= av_rescale_q(start, AV_TIME_BASE_Q, base);
    }
    const AVRational rate = from.decoder.stream().avg_frame_rate;
    const std::int64_t one = rate.num > 0 && rate.den > 0 ? av_rescale_q(1, av_inv_q(rate), base) : 1;
    from.end = frame.pts + (audio ? frame.nb_samples : frame.pkt_duration > 0 ? frame.pkt_duration : one);
  }

  result<void> copy_until(double seconds) {
    if (copied_video_)
      if (auto copied = copied_video_->copy_until(seconds, *file_); !copied)
        return copied;
    if (copied_audio_)
      if (auto copied = copied_audio_->copy_until(seconds, *file_); !copied)
        return copied;
    return subtitles_ ? subtitles_->write_until(seconds, *file_) : result<void>{};
  }

  result<void> finish() {
    // In small steps, so that the muxer need not hold a whole stream back, and that it can be stopped.
    const double end = std::max(what_.duration_s, 0.0) + 1;
    for (double at = made_s(); !video_ && at < end; at += 1) {
      if (auto copied = copy_until(at); !copied)
        return copied;
      if (!tell(at))
        return fail("cancelled", "cancelled");
    }
    if (auto copied = copy_until(1e12); !copied)
      return copied;
    if (!tell(what_.duration_s))
      return fail("cancelled", "cancelled");
    return file_->finish();
  }

  double made_s() const { return video_ ? video_->seconds() : audio_ ? audio_->seconds() : 0; }

  bool report() { return tell(made_s()); }

  bool tell(double seconds) {
    told_ = std::max(told_, std::clamp(seconds / std::max(what_.duration_s, 0.001), 0.0, 1.0));
    return !what_.progress || what_.progress(told_);
  }

  const composition& what_;
  av::filter_graph graph_;
  std::string filters_;
  std::optional<av::mp4_file> file_;
  std::vector<feed> feeds_;
  AVFilterContext* video_sink_ = nullptr;
  AVFilterContext* audio_sink_ = nullptr;
  std::optional<av::video_encoder> video_;
  std::optional<av::audio_encoder> audio_;
  std::optional<av::stream_copier> copied_video_;
  std::optional<av::stream_copier> copied_audio_;
  std::optional<av::soft_subtitles> subtitles_;
  av::frame_ptr frame_ = av::make_frame();
  double told_ = 0;
};

} // namespace

result<void> compose(const std::filesystem::path& path, const composition& what) {
  TROUPE_CHECK(!what.inputs.empty());
  return composer(what).run(path);
}

} // namespace troupe::media

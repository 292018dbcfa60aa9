#pragma once

// FFmpeg's filter graphs with an owner: frames in at named sources, frames out at named sinks. Private to gpu/media.

#include "gpu/media/av.hpp"

extern "C" {
#include <libavfilter/avfilter.h>
}

#include <string>
#include <vector>

namespace troupe::media::av {

struct graph_closer {
  void operator()(AVFilterGraph* p) const { avfilter_graph_free(&p); }
};
using graph_ptr = std::unique_ptr<AVFilterGraph, graph_closer>;

/// What comes in at a source.
struct video_source_format {
  int width = 0;
  int height = 0;
  AVPixelFormat format = AV_PIX_FMT_NONE;
  AVRational time_base{1, 24};
  AVRational frame_rate{0, 1};
  AVRational aspect{0, 1};
};

struct audio_source_format {
  int sample_rate = 0;
  AVSampleFormat format = AV_SAMPLE_FMT_NONE;
  AVRational time_base{1, 1};
  std::string layout; // "stereo"
};

/// Add sources and sinks, then configure(), then push and pull.
class filter_graph {
public:
  explicit filter_graph(unsigned threads = 1);

  result<AVFilterContext*> add_video_source(const std::string& label, const video_source_format& format);
  result<AVFilterContext*> add_audio_source(const std::string& label, const audio_source_format& format);
  /// `kind` is buffersink or abuffersink.
  result<AVFilterContext*> add_sink(const std::string& label, const char* kind);
  /// The description links every label: sources are its open inputs, sinks its open outputs.
  result<void> configure(const std::string& description);
  AVFilterGraph* get() { return graph_.get(); }

private:
  struct end {
    std::string label;
    AVFilterContext* filter;
  };
  graph_ptr graph_;
  std::vector<end> sources_;
  std::vector<end> sinks_;
};

} // namespace troupe::media::av

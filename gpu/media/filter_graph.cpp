#include "gpu/media/filter_graph.hpp"

#include "gpu/media/compose.hpp"

#include "common/check.hpp"

extern "C" {
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
#include <libavutil/mem.h>
}

namespace troupe::media {

std::string filter_value(const std::string& text) {
  // Two parsers read it, the graph's and then the filter's own; both take a backslash before any character.
  const auto escape = [](const std::string& in) {
    std::string out;
    for (const char c : in) {
      const auto u = static_cast<unsigned char>(c);
      if (u < 0x80 && std::isalnum(u) == 0)
        out.push_back('\\');
      out.push_back(c);
    }
    return out;
  };
  return escape(escape(text));
}

} // namespace troupe::media

namespace troupe::media::av {
namespace {

AVFilterInOut* link_end(const std::string& label, AVFilterContext* filter, AVFilterInOut* next) {
  AVFilterInOut* made = avfilter_inout_alloc();
  TROUPE_CHECK(made != nullptr);
  made->name = av_strdup(label.c_str());
  made->filter_ctx = filter;
  made->pad_idx = 0;
  made->next = next;
  return made;
}

} // namespace

filter_graph::filter_graph(unsigned threads) : graph_(avfilter_graph_alloc()) {
  quieten();
  TROUPE_CHECK(graph_ != nullptr);
  graph_->nb_threads = static_cast<int>(threads);
  graph_->scale_sws_opts = av_strdup("flags=lanczos+accurate_rnd+bitexact+full_chroma_int");
}

result<AVFilterContext*> filter_graph::add_video_source(const std::string& label, const video_source_format& format) {
  AVFilterContext* made = avfilter_graph_alloc_filter(graph_.get(), avfilter_get_by_name("buffer"), label.c_str());
  TROUPE_CHECK(made != nullptr);
  AVBufferSrcParameters* parameters = av_buffersrc_parameters_alloc();
  TROUPE_CHECK(parameters != nullptr);
  parameters->format = format.format;
  parameters->width = format.width;
  parameters->height = format.height;
  parameters->time_base = format.time_base;
  parameters->frame_rate = format.frame_rate;
  parameters->sample_aspect_ratio = format.aspect;
  int done = av_buffersrc_parameters_set(made, parameters);
  av_free(parameters);
  if (done >= 0)
    done = avfilter_init_dict(made, nullptr);
  if (done < 0)
    return error("the picture's format cannot be filtered", done);
  sources_.push_back({label, made});
  return made;
}

result<AVFilterContext*> filter_graph::add_audio_source(const std::string& label, const audio_source_format& format) {
  AVFilterContext* made = avfilter_graph_alloc_filter(graph_.get(), avfilter_get_by_name("abuffer"), label.c_str());
  TROUPE_CHECK(made != nullptr);
  AVDictionary* options = nullptr;
  av_dict_set(&options, "channel_layout", format.layout.c_str(), 0);
  av_dict_set(&options, "sample_fmt", av_get_sample_fmt_name(format.format), 0);
  av_dict_set_int(&options, "sample_rate", format.sample_rate, 0);
  const std::string base = std::to_string(format.time_base.num) + "/" + std::to_string(format.time_base.den);
  av_dict_set(&options, "time_base", base.c_str(), 0);
  const int done = avfilter_init_dict(made, &options);
  av_dict_free(&options);
  if (done < 0)
    return error("the sound's format cannot be filtered", done);
  sources_.push_back({label, made});
  return made;
}

result<AVFilterContext*> filter_graph::add_sink(const std::string& label, const char* kind) {
  AVFilterContext* made = nullptr;
  const int done =
      avfilter_graph_create_filter(&made, avfilter_get_by_name(kind), label.c_str(), nullptr, nullptr, graph_.get());
  if (done < 0)
    return error("the filter graph cannot be built", done);
  sinks_.push_back({label, made});
  return made;
}

result<void> filter_graph::configure(const std::string& description) {
  AVFilterInOut* outputs = nullptr; // as seen from our side: what the description reads
  for (const auto& source : sources_)
    outputs = link_end(source.label, source.filter, outputs);
  AVFilterInOut* inputs = nullptr;
  for (const auto& sink : sinks_)
    inputs = link_end(sink.label, sink.filter, inputs);
  std::string chains = description;
  while (chains.ends_with(';')) // the parser takes it for the start of another chain
    chains.pop_back();
  int done = avfilter_graph_parse_ptr(graph_.get(), chains.c_str(), &inputs, &outputs, nullptr);
  avfilter_inout_free(&inputs);
  avfilter_inout_free(&outputs);
  if (done >= 0)
    done = avfilter_graph_config(graph_.get(), nullptr);
  if (done < 0)
    return error("the filter graph cannot be built", done);
  return {};
}

} // namespace troupe::media::av

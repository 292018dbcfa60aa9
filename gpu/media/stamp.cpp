#include "gpu/media/stamp.hpp"

#include "gpu/media/compose.hpp"

#include <algorithm>
#include <array>
#include <system_error>

extern "C" {
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>
}

namespace troupe::media {

std::filesystem::path fonts_folder() {
  for (const char* folder :
       {"/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/dejavu-sans-fonts", "/usr/share/fonts/TTF"}) {
    std::error_code ignored;
    if (std::filesystem::exists(std::filesystem::path(folder) / "DejaVuSans-Bold.ttf", ignored))
      return folder;
  }
  return {};
}

std::string watermark_filter(const std::string& text, corner where, int width, int height) {
  // A glyph of DejaVu Sans Bold is about 0.7 em wide; long texts shrink until they fit into nine tenths of the width.
  const auto glyphs = std::max<long>(1, std::count_if(text.begin(), text.end(), [](char c) {
                                       return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
                                     }));
  const int fitting = static_cast<int>(0.9 * width / (0.7 * static_cast<double>(glyphs)));
  const int size = std::clamp(std::min(height / 22 + 4, fitting), 6, 96);
  const bool left = where == corner::top_left || where == corner::bottom_left;
  const bool top = where == corner::top_left || where == corner::top_right;
  const std::string margin = std::to_string(std::max(4, height / 40));
  return "drawtext=expansion=none:fontfile=" + filter_value((fonts_folder() / "DejaVuSans-Bold.ttf").string()) +
         ":text=" + filter_value(text) + ":fontsize=" + std::to_string(size) +
         ":fontcolor=white@0.75:shadowcolor=black@0.6:shadowx=1:shadowy=1:x=" + (left ? margin : "w-tw-" + margin) +
         ":y=" + (top ? margin : "h-th-" + margin);
}

} // namespace troupe::media

namespace troupe::media::av {

result<stamp> stamp::open(int width, int height, const std::string& text) {
  if (fonts_folder().empty())
    return fail("machine", "the fonts for the watermark are missing on this node");
  stamp made;
  if (auto source = made.graph_.add_video_source("in", {width, height, AV_PIX_FMT_RGB24}); !source)
    return source.error();
  if (auto sink = made.graph_.add_sink("out", "buffersink"); !sink)
    return sink.error();
  const std::string filters =
      "[in]" + watermark_filter(text, corner::bottom_right, width, height) + ",format=rgb24[out]";
  if (auto ready = made.graph_.configure(filters); !ready)
    return ready.error();
  return made;
}

result<const AVFrame*> stamp::apply(const frame& picture) {
  auto in = padded_copy(picture);
  if (!in)
    return in.error();
  (*in)->pts = next_++;
  int done = av_buffersrc_add_frame(avfilter_graph_get_filter(graph_.get(), "in"), in->get());
  av_frame_unref(out_.get());
  if (done >= 0)
    done = av_buffersink_get_frame(avfilter_graph_get_filter(graph_.get(), "out"), out_.get());
  if (done < 0)
    return error("the watermark cannot be drawn", done);
  return out_.get();
}

} // namespace troupe::media::av

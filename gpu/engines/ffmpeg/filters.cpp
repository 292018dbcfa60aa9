#include "gpu/engines/ffmpeg/filters.hpp"

#include <algorithm>
#include <cstdio>

namespace troupe::engines::edits {

boost::system::result<clip, stage_failure> open_clip(const stage_request& request, const std::string& port,
                                                     std::size_t index) {
  const auto inputs = inputs_of(request, port);
  if (index >= inputs.size())
    return stage_failure(fault::bad_input, "the input `" + port + "` is missing");
  auto info = media::probe(inputs[index]->path);
  if (!info)
    return to_stage_failure(info.error());
  if (info->width < 16 || info->height < 16)
    return stage_failure(fault::bad_input, "the video is smaller than 16 x 16 pixels");
  return clip{inputs[index]->path, *info};
}

std::string decimal(double value) {
  char text[48];
  const auto micro = static_cast<long long>(value * 1e6 + (value < 0 ? -0.5 : 0.5));
  std::snprintf(text, sizeof text, "%s%lld.%06lld", micro < 0 ? "-" : "", std::abs(micro) / 1'000'000,
                std::abs(micro) % 1'000'000);
  return text;
}

std::string picture_format(int width, int height) {
  const std::string size = std::to_string(width / 2 * 2) + ":" + std::to_string(height / 2 * 2);
  return "scale=" + size + ":force_original_aspect_ratio=decrease:force_divisible_by=2" +
         ":out_color_matrix=bt709:out_range=tv,format=yuv420p,pad=" + size + ":(ow-iw)/2:(oh-ih)/2,setsar=1";
}

std::string sound_format() {
  return "aresample=" + std::to_string(sound_rate) +
         ":async=1:first_pts=0,aformat=sample_fmts=fltp:channel_layouts=stereo";
}

std::string constant_rate(const media::rational& rate) {
  return "fps=" + std::to_string(rate.num) + "/" + std::to_string(rate.den) + ":start_time=0";
}

media::composition of_clip(const clip& from, unsigned threads) {
  media::composition made;
  made.inputs = {from.path};
  made.encoding.frame_rate = from.info.frame_rate;
  made.encoding.crf = 18;
  made.encoding.threads = threads;
  made.duration_s = from.info.duration_s;
  const auto& codec = from.info.audio_codec;
  if (codec == "aac" || codec == "mp3" || codec == "ac3" || codec == "opus" || codec == "flac") {
    made.copy_audio = 0;
  } else if (from.info.has_audio) {
    made.audio = true;
    made.filters = chain("a0", {sound_format()}, "audio");
  }
  return made;
}

std::string chain(const std::string& input, std::initializer_list<std::string> filters, const std::string& output) {
  std::string made = input.empty() ? "" : "[" + input + "]";
  bool first = true;
  for (const auto& filter : filters) {
    if (filter.empty())
      continue;
    made += (first ? "" : ",") + filter;
    first = false;
  }
  return made + "[" + output + "];";
}

} // namespace troupe::engines::edits

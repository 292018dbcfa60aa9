#include "gpu/media/soft_subtitles.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace troupe::media::av {
namespace {

constexpr AVRational milliseconds{1, 1000};
constexpr std::size_t text_max = 0xFFFF; // the length field's two bytes

/// The sample description of TS 26.245 §5.16: bottom centre, white on clear, one font.
constexpr std::uint8_t description[] = {0,   0,    0,   0,                     // display flags
                                        1,   0xFF,                             // centred, at the bottom
                                        0,   0,    0,   0,                     // background
                                        0,   0,    0,   0,   0,   0,   0,   0, // text box: the player's
                                        0,   0,    0,   0,                     // style: all of the text
                                        0,   1,    0,   18,                    // font 1, plain, size 18
                                        255, 255,  255, 255,                   // white
                                        0,   0,    0,   23,                    // font table, 23 bytes
                                        'f', 't',  'a', 'b', 0,   1,           // one font
                                        0,   1,    10,  'S', 'a', 'n', 's', '-', 'S', 'e', 'r', 'i', 'f'};

std::int64_t to_ms(double seconds) { return std::llround(std::max(0.0, seconds) * 1000); }

/// Cut at a character's border.
std::size_t fitting(const std::string& text) {
  std::size_t size = std::min(text.size(), text_max);
  while (size > 0 && size < text.size() && (static_cast<unsigned char>(text[size]) & 0xC0U) == 0x80U)
    --size;
  return size;
}

} // namespace

soft_subtitles::soft_subtitles(const std::vector<cue>& cues, const std::string& language, mp4_file& into)
  : cues_(&cues) {
  AVCodecParameters* parameters = avcodec_parameters_alloc();
  TROUPE_CHECK(parameters != nullptr);
  parameters->codec_type = AVMEDIA_TYPE_SUBTITLE;
  parameters->codec_id = AV_CODEC_ID_MOV_TEXT;
  parameters->extradata = static_cast<std::uint8_t*>(av_mallocz(sizeof description + AV_INPUT_BUFFER_PADDING_SIZE));
  TROUPE_CHECK(parameters->extradata != nullptr);
  std::memcpy(parameters->extradata, description, sizeof description);
  parameters->extradata_size = sizeof description;
  stream_ = into.add(*parameters, milliseconds);
  avcodec_parameters_free(&parameters);
  av_dict_set(&into.stream(stream_).metadata, "language", language.c_str(), 0);
  into.stream(stream_).disposition |= AV_DISPOSITION_DEFAULT;
}

result<void> soft_subtitles::write_until(double seconds, mp4_file& into) {
  for (; next_ < cues_->size() && (*cues_)[next_].start_s < seconds; ++next_) {
    const cue& shown = (*cues_)[next_];
    const std::int64_t start = to_ms(shown.start_s);
    std::int64_t end = to_ms(shown.end_s);
    if (next_ + 1 < cues_->size()) // samples of a track cannot overlap
      end = std::min(end, to_ms((*cues_)[next_ + 1].start_s));
    if (end <= start)
      continue;
    const std::size_t size = fitting(shown.text);
    if (const int made = av_new_packet(packet_.get(), static_cast<int>(size + 2)); made < 0)
      return error("the subtitles cannot be written", made);
    packet_->data[0] = static_cast<std::uint8_t>(size >> 8U);
    packet_->data[1] = static_cast<std::uint8_t>(size & 0xFFU);
    std::memcpy(packet_->data + 2, shown.text.data(), size);
    packet_->pts = packet_->dts = start;
    packet_->duration = end - start;
    packet_->flags |= AV_PKT_FLAG_KEY;
    if (auto written = into.write(packet_.get(), stream_, milliseconds); !written)
      return written;
  }
  return {};
}

} // namespace troupe::media::av

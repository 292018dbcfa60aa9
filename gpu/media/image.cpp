#include "gpu/media/av.hpp"
#include "gpu/media/media.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <fstream>

namespace troupe::media {
namespace {

bool whole(const frame& picture) {
  return picture.width > 0 && picture.height > 0 &&
         static_cast<std::int64_t>(picture.width) * picture.height <= av::pixels_max &&
         picture.rgb.size() == static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.height) * 3;
}

result<av::frame_ptr> convert(const frame& picture, int width, int height, AVPixelFormat format) {
  if (!whole(picture) || width <= 0 || height <= 0 || static_cast<std::int64_t>(width) * height > av::pixels_max)
    return fail("media", "a picture without a size, or larger than 64 megapixels, cannot be made");
  auto scaler = av::make_scaler(picture.width, picture.height, AV_PIX_FMT_RGB24, AVCOL_SPC_RGB, AVCOL_RANGE_JPEG, width,
                                height, format);
  if (!scaler)
    return scaler.error();
  auto given = av::padded_copy(picture);
  if (!given)
    return given.error();
  auto made = av::make_picture(width, height, format);
  if (made)
    sws_scale(scaler->get(), (*given)->data, (*given)->linesize, 0, picture.height, (*made)->data, (*made)->linesize);
  return made;
}

result<std::string> encode(AVCodecID id, const AVFrame& picture, int quality) {
  av::quieten();
  const AVCodec* codec = avcodec_find_encoder(id);
  if (codec == nullptr)
    return fail("machine", "this FFmpeg was built without the picture encoder");
  av::codec_ptr context(avcodec_alloc_context3(codec));
  TROUPE_CHECK(context != nullptr);
  context->width = picture.width;
  context->height = picture.height;
  context->pix_fmt = static_cast<AVPixelFormat>(picture.format);
  context->time_base = {1, 1};
  context->thread_count = 1;
  context->flags |= AV_CODEC_FLAG_BITEXACT;
  if (quality > 0) {
    context->flags |= AV_CODEC_FLAG_QSCALE;
    context->global_quality = FF_QP2LAMBDA * std::clamp(2 + (100 - quality) * 29 / 100, 2, 31);
  }
  if (const int opened = avcodec_open2(context.get(), codec, nullptr); opened < 0)
    return av::error("the picture encoder cannot be opened", opened);
  auto packet = av::make_packet();
  int done = avcodec_send_frame(context.get(), &picture);
  if (done >= 0)
    done = avcodec_send_frame(context.get(), nullptr);
  if (done >= 0)
    done = avcodec_receive_packet(context.get(), packet.get());
  if (done < 0)
    return av::error("the picture cannot be encoded", done);
  return std::string(reinterpret_cast<const char*>(packet->data), static_cast<std::size_t>(packet->size));
}

} // namespace

result<frame> read_image(const std::filesystem::path& path) {
  auto reader = video_reader::open(path);
  if (!reader)
    return reader.error();
  frame first;
  auto got = (*reader)->next(first);
  if (!got)
    return got.error();
  if (!*got)
    return fail("media", "the file holds no picture");
  return first;
}

result<void> write_png(const std::filesystem::path& path, const frame& picture) {
  auto converted = convert(picture, picture.width, picture.height, AV_PIX_FMT_RGB24);
  if (!converted)
    return converted.error();
  auto bytes = encode(AV_CODEC_ID_PNG, **converted, 0);
  if (!bytes)
    return bytes.error();
  std::ofstream out(path, std::ios::binary);
  out.write(bytes->data(), static_cast<std::streamsize>(bytes->size()));
  out.close();
  if (!out)
    return fail("machine", "the picture file cannot be written");
  return {};
}

result<std::string> encode_jpeg(const frame& picture, int width_max, int quality) {
  if (!whole(picture) || width_max <= 0)
    return fail("media", "a picture without a size cannot be encoded");
  const int width = std::min(width_max, picture.width);
  const int height = std::max(1, static_cast<int>(static_cast<std::int64_t>(picture.height) * width / picture.width));
  auto converted = convert(picture, width, height, AV_PIX_FMT_YUVJ420P);
  if (!converted)
    return converted.error();
  return encode(AV_CODEC_ID_MJPEG, **converted, std::clamp(quality, 1, 100));
}

result<frame> resize(const frame& picture, int width, int height) {
  auto converted = convert(picture, width, height, AV_PIX_FMT_RGB24);
  if (!converted)
    return converted.error();
  frame made;
  av::copy_rows(**converted, made);
  return made;
}

} // namespace troupe::media

#include "common/catalog/models.hpp"

#include <algorithm>
#include <array>

namespace troupe::catalog {

namespace {

// Hundredths of a credit, so that the table reads like the documentation's.
constexpr video_formula price(std::int64_t base, std::int64_t frame_hundredths, std::int64_t step_hundredths) {
  return {credits(base), frame_hundredths * micro_per_credit / 100, step_hundredths * micro_per_credit / 100};
}

constexpr std::string_view scene = "scene.video";
constexpr auto t2v = category::text_to_video;
constexpr auto i2v = category::image_to_video;
constexpr auto flf = category::first_last_frame;
constexpr auto special = category::specialised;

// The defaults are each family's usual sampler settings, at sizes and lengths that the Free tier allows.
constexpr video_defaults wan{848, 480, 41, 4, 1, "sa_solver", "beta", 8, 24};
constexpr video_defaults ltx{832, 480, 41, 8, 1, "euler", "simple", 3, 24};
constexpr video_defaults ltx_fine{832, 480, 41, 20, 3, "euler", "simple", 3, 24};
constexpr video_defaults hunyuan{848, 480, 41, 20, 1, "euler", "simple", 7, 24};
constexpr video_defaults hunyuan15{848, 480, 41, 20, 6, "euler", "simple", 7, 24};
constexpr video_defaults cogvideo{720, 480, 49, 25, 6, "ddim", "normal", 0, 8};
constexpr video_defaults animate{512, 384, 16, 20, 7, "euler", "normal", 0, 8};
constexpr video_defaults svd{848, 480, 25, 20, 2.5, "euler", "karras", 0, 8};
constexpr video_defaults portrait{480, 480, 41, 1, 1, "", "", 0, 24};
constexpr video_defaults talking{480, 480, 41, 20, 2.5, "euler", "normal", 0, 24};
constexpr video_defaults turntable{480, 480, 41, 20, 5, "euler", "normal", 0, 24};

constexpr std::string_view starts_with_image =
    "It animates an image, which no embedded engine can do; connect a backend that serves it.";
constexpr std::string_view two_images =
    "It moves from one given image to another, which no embedded engine can do; connect a backend that serves it.";
constexpr std::string_view guided = "It follows a control video (depth, edges, pose), which no embedded engine can do; "
                                    "connect a backend that serves it.";
constexpr std::string_view conditioned =
    "It edits a reference image or video, which no embedded engine can do; connect a backend that serves it.";
constexpr std::string_view character = "It animates a character from a reference image, which no embedded engine can "
                                       "do; connect a backend that serves it.";
constexpr std::string_view speaking =
    "It makes a portrait speak to a sound clip, which no embedded engine can do; connect a backend that serves it.";
constexpr std::string_view driven =
    "It drives a portrait by a video, which no embedded engine can do; connect a backend that serves it.";
constexpr std::string_view faces =
    "It carries a face into a video, which no embedded engine can do; connect a backend that serves it.";
constexpr std::string_view solid =
    "It makes a 3D model and not a film, which no embedded engine can do; connect a backend that serves it.";

const std::array<video_model, 22>& videos() {
  static const std::array<video_model, 22> table{{
      {"wan-t2v", "WAN 2.2", "Rich cinematic visuals, longer videos", t2v, wan, price(10, 20, 50), {}, scene, {}},
      {"ltx-t2v", "LTX 2.3", "Fast generation, HD output", t2v, ltx, price(8, 15, 30), {}, scene, {}},
      {"ltx-quality",
       "LTX Quality",
       "Highest quality, 2-pass upscale to 4K",
       t2v,
       ltx_fine,
       price(15, 25, 40),
       {},
       scene,
       {}},
      {"hunyuan-t2v", "Hunyuan", "Smooth motion, natural movement", t2v, hunyuan, price(12, 20, 40), {}, scene, {}},
      {"hunyuan15-t2v",
       "Hunyuan 1.5",
       "Improved motion, latest Hunyuan release",
       t2v,
       hunyuan15,
       price(12, 20, 40),
       {},
       scene,
       {}},
      {"cogvideo-t2v",
       "CogVideoX 1.5",
       "High fidelity 5B model, diverse styles",
       t2v,
       cogvideo,
       price(12, 20, 40),
       {},
       scene,
       {}},
      {"animatediff",
       "AnimateDiff",
       "SD 1.5-based animation, fast & lightweight",
       t2v,
       animate,
       price(6, 10, 30),
       {},
       scene,
       {}},
      {"ltx-camera",
       "LTX Camera Control",
       "Camera dolly movements (in, out, left, right) via LoRA",
       t2v,
       ltx,
       price(10, 15, 30),
       {},
       scene,
       {}},
      {"ltx-control",
       "LTX ControlNet",
       "ControlNet-guided generation (depth, edge, pose)",
       t2v,
       ltx,
       price(12, 15, 30),
       {"control_video"},
       {},
       guided},
      {"wan-vace",
       "WAN VACE",
       "Video conditioning & editing with subject/scene control",
       t2v,
       wan,
       price(15, 25, 50),
       {"image"},
       {},
       conditioned},
      {"wan-animate",
       "WAN Animate",
       "Character animation from a single reference image",
       t2v,
       wan,
       price(18, 30, 50),
       {"image"},
       {},
       character},
      {"hunyuan15-i2v",
       "Hunyuan 1.5 I2V",
       "Animate a still image into video",
       i2v,
       hunyuan15,
       price(15, 25, 50),
       {"image"},
       {},
       starts_with_image},
      {"ltx-i2v",
       "LTX 2.3 I2V",
       "Fast image-to-video generation",
       i2v,
       ltx,
       price(12, 20, 40),
       {"image"},
       {},
       starts_with_image},
      {"svd-i2v",
       "SVD XT I2V",
       "Stable Video Diffusion image-to-video",
       i2v,
       svd,
       price(10, 15, 40),
       {"image"},
       {},
       starts_with_image},
      {"wan-i2v",
       "WAN 2.2 I2V",
       "High-quality 14B image-to-video with Lightx2v turbo",
       i2v,
       wan,
       price(12, 20, 50),
       {"image"},
       {},
       starts_with_image},
      {"ltx-flf",
       "LTX 2.3 First-Last Frame",
       "Interpolate between two keyframe images with prompt guidance",
       flf,
       ltx,
       price(12, 15, 30),
       {"image", "last_image"},
       {},
       two_images},
      {"wan-flf",
       "WAN 2.2 First-Last Frame",
       "WAN 14B first & last frame interpolation with Lightx2v turbo",
       flf,
       wan,
       price(12, 20, 50),
       {"image", "last_image"},
       {},
       two_images},
      {"wan-s2v",
       "WAN 2.2 Sound-to-Video",
       "Generate talking-head video from a portrait image + audio clip",
       category::sound_to_video,
       wan,
       price(15, 25, 50),
       {"image", "audio"},
       {},
       speaking},
      {"liveportrait",
       "LivePortrait",
       "Animate a portrait photo with facial expressions from a driving video",
       special,
       portrait,
       price(8, 10, 0),
       {"image", "video"},
       {},
       driven},
      {"dreamidv",
       "DreamID-V",
       "Face identity transfer — insert a face into generated video",
       special,
       wan,
       price(15, 20, 40),
       {"image", "video"},
       {},
       faces},
      {"echomimic",
       "EchoMimic",
       "Audio-driven talking portrait from a single photo + audio clip",
       special,
       talking,
       price(12, 15, 30),
       {"image", "audio"},
       {},
       speaking},
      {"hunyuan3d",
       "Hunyuan3D v2",
       "Generate 3D model assets from a text prompt or reference image",
       special,
       turntable,
       price(20, 0, 80),
       {},
       {},
       solid},
  }};
  return table;
}

const std::array<image_model, 4>& images() {
  constexpr std::string_view still = "scene.image";
  static const std::array<image_model, 4> table{{
      {"sd15",
       "Stable Diffusion 1.5",
       "Fast, lightweight image generation",
       {512, 512, 20, 7},
       credits(2),
       {},
       still,
       {}},
      {"flux", "Flux 2 Klein", "High quality in few steps", {1024, 1024, 4, 1}, credits(5), {}, still, {}},
      {"flux-dev", "Flux 2 Dev", "Highest quality image generation", {1024, 1024, 20, 3.5}, credits(8), {}, still, {}},
      {"flux-edit",
       "Flux 2 Image Edit",
       "Edits an image as the prompt says",
       {1024, 1024, 20, 3.5},
       credits(6),
       {"image"},
       {},
       "It edits a given image, which no embedded engine can do; connect a backend that serves it."},
  }};
  return table;
}

} // namespace

std::string_view name_of(category which) {
  switch (which) {
    case category::text_to_video: return "text-to-video";
    case category::image_to_video: return "image-to-video";
    case category::first_last_frame: return "first-last-frame";
    case category::sound_to_video: return "sound-to-video";
    case category::specialised: return "specialised";
  }
  return "";
}

std::span<const video_model> video_models() { return videos(); }

const video_model* find_video_model(std::string_view id) {
  auto found = std::find_if(videos().begin(), videos().end(), [&](const auto& model) { return model.id == id; });
  return found == videos().end() ? nullptr : &*found;
}

const video_formula& price_of(const video_model& model) { return prices().video.find(model.id)->second; }

micro_credits price_of(const image_model& model) { return prices().image.find(model.id)->second; }

std::span<const image_model> image_models() { return images(); }

const image_model* find_image_model(std::string_view id) {
  auto found = std::find_if(images().begin(), images().end(), [&](const auto& model) { return model.id == id; });
  return found == images().end() ? nullptr : &*found;
}

} // namespace troupe::catalog

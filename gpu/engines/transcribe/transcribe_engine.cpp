#include "gpu/engines/transcribe/transcribe_engine.hpp"

#include "gpu/engines/parameters.hpp"
#include "gpu/engines/transcribe/aligner.hpp"
#include "gpu/engines/transcribe/cues.hpp"
#include "gpu/engines/transcribe/recogniser.hpp"
#include "gpu/engines/transcribe/voice_activity.hpp"
#include "gpu/media/media.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>

namespace troupe::engines {

namespace {

namespace fs = std::filesystem;

constexpr const char* engine_version = "transcribe/1";
constexpr const char* detector_file = "silero_vad.onnx";
constexpr double seconds_max = 2 * 3600;
constexpr double detecting = 0.1; // the share of the work that finding speech is

double to_ms(double seconds) { return std::round(seconds * 1000) / 1000; }

/// Takes the break-off back whatever way a run ends.
class cancel_guard {
public:
  cancel_guard(stage_context& context, onnx::breaker& stop) : context_(context) {
    context_.on_cancel([&stop] { stop.stop(); });
  }
  ~cancel_guard() { context_.on_cancel(nullptr); }
  cancel_guard(const cancel_guard&) = delete;
  cancel_guard& operator=(const cancel_guard&) = delete;

private:
  stage_context& context_;
};

bool write_file(const fs::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text;
  return static_cast<bool>(out.flush());
}

json words_json(const std::vector<word>& words, const std::vector<cue>& cues, double duration_s) {
  json said = json::array();
  std::string text;
  for (const auto& each : words) {
    text += (text.empty() ? "" : " ") + each.text;
    if (const auto plain = bare(each.text); !plain.empty())
      said.push_back({{"word", plain},
                      {"start_s", to_ms(each.start_s)},
                      {"end_s", to_ms(each.end_s)},
                      {"confidence", to_ms(each.confidence)}});
  }
  json shown = json::array();
  for (const auto& each : cues)
    shown.push_back({{"start_s", to_ms(each.start_s)}, {"end_s", to_ms(each.end_s)}, {"text", each.text}});
  return {{"language", "en"}, {"duration_s", to_ms(duration_s)}, {"text", text}, {"words", said}, {"cues", shown}};
}

class transcribe_engine final : public engine {
public:
  explicit transcribe_engine(fs::path prefix) : prefix_(std::move(prefix)) {}

  description describe() const override {
    description out;
    out.name = "transcribe";
    out.version = "1";
    out.operations = {{"transcribe.audio"}};
    out.needs = "ONNX Runtime, Moonshine tiny, Silero VAD, pocketsphinx-en-us";
    auto files = recogniser::files();
    files.emplace_back(detector_file);
    out.unavailable_reason = onnx::missing(prefix_, files);
    if (out.unavailable_reason.empty() && !aligner::installed())
      out.unavailable_reason = "pocketsphinx' English model is not installed: run scripts/deps";
    out.available = out.unavailable_reason.empty();
    return out;
  }

  stage_outcome run(const stage_request& request, stage_context& context) override {
    if (request.kind != "transcribe.audio")
      return stage_failure(fault::bad_input, "this engine does not do " + request.kind);
    parameter_reader params(request.params);
    params.choice("language", {"en"});
    if (params.failure())
      return *params.failure();
    const auto inputs = inputs_of(request, "audio");
    if (inputs.size() != 1)
      return stage_failure(fault::bad_input, "there must be one input to listen to");
    if (auto ready = make_ready(std::max(1U, request.threads)); !ready)
      return stage_failure(fault::unknown, "speech recognition unavailable: " + ready.error().message);
    const auto sound = media::read_sound(inputs.front()->path, speech_rate, seconds_max);
    if (!sound)
      return to_stage_failure(sound.error());

    onnx::breaker stop(*library_);
    const cancel_guard guard(context, stop);
    const auto words = listen(*sound, std::max(1U, request.threads), stop, context);
    if (!words)
      return to_stage_failure(words.error());
    return write(*words, sound->duration_s(), request);
  }

private:
  /// The models are opened by the first run; those of another number of threads are kept beside them.
  result<void> make_ready(unsigned threads) {
    std::lock_guard lock(mutex_);
    if (!library_) {
      auto opened = onnx::runtime::load(prefix_);
      if (!opened)
        return opened.error();
      library_ = *opened;
    }
    if (!detector_) {
      auto opened = library_->model(detector_file, 1);
      if (!opened)
        return opened.error();
      detector_ = *opened;
    }
    if (auto& kept = recognisers_[threads]; !kept) {
      auto opened = recogniser::open(*library_, prefix_, threads);
      if (!opened)
        return opened.error();
      kept = *opened;
    }
    return {};
  }

  std::shared_ptr<const recogniser> recogniser_for(unsigned threads) {
    std::lock_guard lock(mutex_);
    return recognisers_.at(threads);
  }

  result<std::vector<word>> listen(const media::sound& sound, unsigned threads, const onnx::breaker& stop,
                                   stage_context& context) {
    const std::span<const float> samples = sound.samples;
    const auto probabilities = speech_probabilities(
        *detector_, samples, stop, [&](double done) { context.progress(detecting * done, "listening"); });
    if (!probabilities)
      return probabilities.error();
    const auto spans = speech_spans(*probabilities);
    std::vector<word> out;
    if (spans.empty())
      return out;
    const auto heard_by = recogniser_for(threads);
    auto timed_by = aligner::open();
    if (!timed_by)
      return timed_by.error();
    for (std::size_t i = 0; i < spans.size(); ++i) {
      const auto from = static_cast<std::size_t>(spans[i].start * speech_rate);
      const auto to = std::min(samples.size(), static_cast<std::size_t>(spans[i].end * speech_rate));
      const auto part = samples.subspan(from, to - from);
      auto words = heard_by->words(part, stop);
      if (!words)
        return words.error();
      if (context.cancelled())
        return fail("cancelled", "cancelled");
      (*timed_by)->align(*words, part);
      for (auto& each : *words) {
        each.start_s += spans[i].start;
        each.end_s += spans[i].start;
        out.push_back(std::move(each));
      }
      context.progress(detecting + (1 - detecting) * static_cast<double>(i + 1) / static_cast<double>(spans.size()),
                       "part " + std::to_string(i + 1) + "/" + std::to_string(spans.size()));
    }
    return out;
  }

  static stage_outcome write(const std::vector<word>& words, double duration_s, const stage_request& request) {
    const auto cues = cues_of(words, duration_s);
    const auto subtitles = request.folder / "subtitles.srt";
    const auto list = request.folder / "words.json";
    if (!write_file(subtitles, media::to_subrip(cues)) || !write_file(list, words_json(words, cues, duration_s).dump()))
      return stage_failure(fault::unknown, "the subtitles could not be written");
    stage_output out;
    out.engine = engine_version;
    out.files.push_back(
        {"subtitles", subtitles, "application/x-subrip", {{"cues", cues.size()}, {"duration_s", duration_s}}});
    out.files.push_back({"words", list, "application/json", {{"words", words.size()}, {"duration_s", duration_s}}});
    return out;
  }

  const fs::path prefix_;
  std::mutex mutex_;
  std::shared_ptr<onnx::runtime> library_;
  std::shared_ptr<const onnx::session> detector_;
  std::map<unsigned, std::shared_ptr<const recogniser>> recognisers_;
};

} // namespace

engine_ptr make_transcribe_engine(const fs::path& prefix) { return std::make_unique<transcribe_engine>(prefix); }

} // namespace troupe::engines

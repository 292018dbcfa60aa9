#include "gpu/engines/speech/speech_engine.hpp"

#include "gpu/engines/parameters.hpp"
#include "gpu/engines/speech/voices.hpp"
#include "gpu/media/media.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace troupe::engines {

namespace {

constexpr const char* engine_version = "speech/1";
constexpr std::size_t text_bytes_max = 8000; // 2000 characters of at most four bytes

/// The samples between the first and the last that can be heard, with a little air.
std::span<const std::int16_t> without_silence(const spoken& what) {
  constexpr int heard = 150; // of 32768
  const auto air = static_cast<std::ptrdiff_t>(what.sample_rate / 50);
  const auto loud = [](std::int16_t sample) { return std::abs(int{sample}) > heard; };
  const auto begin = what.samples.begin();
  const auto end = what.samples.end();
  const auto first = std::find_if(begin, end, loud);
  if (first == end)
    return {};
  const auto last = std::find_if(what.samples.rbegin(), what.samples.rend(), loud).base();
  const auto from = std::max<std::ptrdiff_t>(0, first - begin - air);
  const auto to = std::min<std::ptrdiff_t>(end - begin, last - begin + air);
  return std::span(what.samples).subspan(static_cast<std::size_t>(from), static_cast<std::size_t>(to - from));
}

/// As loud as speech usually is (-20 dBFS while it sounds), its peak never above -1 dBFS.
void normalise(std::vector<float>& samples) {
  constexpr float loudness = 0.1F;
  constexpr float peak_max = 0.89F;
  constexpr float silence = 0.01F;
  float peak = 0;
  double energy = 0;
  std::size_t counted = 0;
  for (const float sample : samples) {
    peak = std::max(peak, std::abs(sample));
    if (std::abs(sample) > silence) {
      energy += double{sample} * sample;
      ++counted;
    }
  }
  if (counted == 0)
    return;
  const auto level = static_cast<float>(std::sqrt(energy / static_cast<double>(counted)));
  const float gain = std::min(loudness / level, peak_max / peak);
  for (float& sample : samples)
    sample *= gain;
}

media::sound join(std::span<const spoken> parts, std::span<const phrase> phrases, double speed) {
  media::sound out;
  out.sample_rate = parts.front().sample_rate;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (const auto sample : without_silence(parts[i]))
      out.samples.push_back(static_cast<float>(sample) / 32768.0F);
    out.samples.resize(out.samples.size() + static_cast<std::size_t>(phrases[i].pause_s / speed * out.sample_rate));
  }
  normalise(out.samples);
  return out;
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

stage_failure why_silent(const failure& why) {
  if (why.code == "crashed")
    return {fault::bad_input, "the voice broke down on this text: say it in other words"};
  if (why.code == "cancelled")
    return {fault::cancelled, "cancelled"};
  return {fault::unknown, "the voice could not be used: " + why.message};
}

class speech_engine final : public engine {
public:
  description describe() const override {
    description out;
    out.name = "speech";
    out.version = "1";
    out.operations = {{"speech.synthesize"}};
    out.needs = "flite, espeak-ng-data";
    return out;
  }

  stage_outcome run(const stage_request& request, stage_context& context) override {
    if (request.kind != "speech.synthesize")
      return stage_failure(fault::bad_input, "this engine does not do " + request.kind);
    parameter_reader params(request.params);
    const auto text = params.text("text", "", text_bytes_max);
    const auto name = params.choice("voice", {"en_gb_female", "en_gb_male", "en_us_male", "en_us_female"});
    const auto speed = params.number("speed", 1, 0.5, 2);
    if (params.failure())
      return *params.failure();
    if (characters(text) > 2000)
      return stage_failure(fault::bad_input, "text must be at most 2000 characters");
    const auto phrases = spoken_phrases(text);
    if (!phrases)
      return stage_failure(fault::bad_input, phrases.error().message);
    const auto& who =
        *std::find_if(std::begin(voices), std::end(voices), [&](const voice& v) { return v.name == name; });
    return speak(*phrases, who, speed, request, context);
  }

private:
  static stage_outcome speak(const std::vector<phrase>& phrases, const voice& who, double speed,
                             const stage_request& request, stage_context& context) {
    const auto said = [&](std::size_t count) {
      context.progress(static_cast<double>(count) / static_cast<double>(phrases.size()),
                       "phrase " + std::to_string(count) + "/" + std::to_string(phrases.size()));
    };
    const auto parts = say(who, phrases, speed, said, [&] { return context.cancelled(); });
    if (!parts)
      return why_silent(parts.error());
    const auto sound = join(*parts, phrases, speed);
    const auto path = request.folder / "speech.wav";
    if (auto written = media::write_wav(path, sound); !written)
      return stage_failure(fault::unknown, written.error().message);
    stage_output out;
    out.engine = engine_version;
    out.files.push_back(
        {"audio", path, "audio/wav", {{"sample_rate", sound.sample_rate}, {"duration_s", sound.duration_s()}}});
    return out;
  }
};

} // namespace

engine_ptr make_speech_engine() { return std::make_unique<speech_engine>(); }

} // namespace troupe::engines

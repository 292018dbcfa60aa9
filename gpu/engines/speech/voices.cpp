#include "gpu/engines/speech/voices.hpp"

#include "common/json.hpp"
#include "gpu/engines/speech/child.hpp"
#include "gpu/engines/speech/speech_engine.hpp"

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <iterator>
#include <sys/prctl.h>
#include <unistd.h>

#include <espeak-ng/speak_lib.h>

extern "C" {
#include <flite/flite.h>
cst_voice* register_cmu_us_slt(const char* folder);
cst_voice* register_cmu_us_rms(const char* folder);
}

namespace troupe::engines {

namespace {

constexpr const char* child_name = "troupe-speak";

/// Writes to standard output; false when nobody listens any more.
bool out(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto sent = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (sent < 0 && errno != EINTR)
      return false;
    if (sent > 0)
      bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

/// What precedes each phrase's samples on their way out of the child.
struct header {
  std::int32_t sample_rate;
  std::uint32_t samples;
};

bool send(int sample_rate, std::span<const std::int16_t> samples) {
  const header first{sample_rate, static_cast<std::uint32_t>(samples.size())};
  return out(std::as_bytes(std::span(&first, 1))) && out(std::as_bytes(samples));
}

bool say_with_flite(const voice& who, std::span<const phrase> phrases, double speed) {
  flite_init();
  cst_voice* const speaker = who.speaker == "slt" ? register_cmu_us_slt(nullptr) : register_cmu_us_rms(nullptr);
  if (!speaker)
    return false;
  feat_set_float(speaker->features, "duration_stretch", static_cast<float>(1 / speed));
  for (const auto& each : phrases) {
    cst_wave* const wave = flite_text_to_wave(each.text.c_str(), speaker);
    if (!wave)
      return false;
    const bool sent = send(wave->sample_rate, {wave->samples, static_cast<std::size_t>(wave->num_samples)});
    delete_wave(wave);
    if (!sent)
      return false;
  }
  return true;
}

/// espeak-ng's callback has no argument of ours that survives; the child says one thing at a time.
std::vector<std::int16_t>* collected = nullptr;

int collect(short* samples, int count, espeak_EVENT*) {
  if (samples)
    collected->insert(collected->end(), samples, samples + count);
  return 0;
}

bool say_with_espeak(const voice& who, std::span<const phrase> phrases, double speed) {
  constexpr int buffer_ms = 200;
  // Slower than espeak's own 175 and with air between words: of the same text twice as many words are understood.
  constexpr double words_per_minute = 150;
  constexpr int word_gap = 5; // in 10 ms at normal speed
  const int sample_rate = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, buffer_ms, nullptr, espeakINITIALIZE_DONT_EXIT);
  if (sample_rate <= 0 || espeak_SetVoiceByName(std::string(who.speaker).c_str()) != EE_OK)
    return false;
  espeak_SetParameter(espeakRATE, static_cast<int>(words_per_minute * speed), 0);
  espeak_SetParameter(espeakWORDGAP, word_gap, 0);
  espeak_SetParameter(espeakPITCH, who.pitch, 0);
  std::vector<std::int16_t> samples;
  collected = &samples;
  espeak_SetSynthCallback(collect);
  for (const auto& each : phrases) {
    samples.clear();
    // Neither SSML nor phonemes: the text is only ever read out.
    if (espeak_Synth(each.text.c_str(), each.text.size() + 1, 0, POS_CHARACTER, 0, espeakCHARS_UTF8, nullptr,
                     nullptr) != EE_OK)
      return false;
    espeak_Synchronize();
    if (!send(sample_rate, samples))
      return false;
  }
  return true;
}

/// Puts together again what the child sent.
class receiver {
public:
  explicit receiver(std::function<void(std::size_t)> said) : said_(std::move(said)) {}

  void take(std::string_view bytes) {
    waiting_.append(bytes);
    std::size_t at = 0;
    header first{};
    while (waiting_.size() - at >= sizeof first) {
      std::memcpy(&first, waiting_.data() + at, sizeof first);
      const std::size_t bytes_wanted = first.samples * sizeof(std::int16_t);
      if (waiting_.size() - at - sizeof first < bytes_wanted)
        break;
      spoken one{first.sample_rate, std::vector<std::int16_t>(first.samples)};
      if (bytes_wanted > 0)
        std::memcpy(one.samples.data(), waiting_.data() + at + sizeof first, bytes_wanted);
      whole.push_back(std::move(one));
      said_(whole.size());
      at += sizeof first + bytes_wanted;
    }
    waiting_.erase(0, at);
  }

  std::vector<spoken> whole;

private:
  std::function<void(std::size_t)> said_;
  std::string waiting_;
};

} // namespace

result<std::vector<spoken>> say(const voice& who, std::span<const phrase> phrases, double speed,
                                const std::function<void(std::size_t)>& said, const std::function<bool()>& stop) {
  receiver in(said);
  json request = {{"voice", who.name}, {"speed", speed}, {"phrases", json::array()}};
  for (const auto& each : phrases)
    request["phrases"].push_back(each.text);
  if (auto done = run_child(
          child_name, request.dump(), [&](std::string_view bytes) { in.take(bytes); }, stop);
      !done)
    return done.error();
  if (in.whole.size() != phrases.size())
    return fail("child", "it fell silent");
  return std::move(in.whole);
}

void speak_if_asked(int argc, char** argv) {
  if (argc < 1 || std::string_view(argv[0]) != child_name)
    return;
  prctl(PR_SET_PDEATHSIG, SIGKILL); // it must not outlive who waits for it
  signal(SIGPIPE, SIG_IGN);
  const std::string asked{std::istreambuf_iterator<char>(std::cin), {}};
  const auto request = json::parse(asked, nullptr, false);
  if (!request.is_object())
    _exit(1);
  const auto name = request.value("voice", std::string{});
  const auto who = std::find_if(std::begin(voices), std::end(voices), [&](const voice& v) { return v.name == name; });
  if (who == std::end(voices))
    _exit(1);
  std::vector<phrase> phrases;
  for (const auto& text : request.at("phrases"))
    phrases.push_back({text.get<std::string>(), 0});
  const double speed = request.value("speed", 1.0);
  _exit((who->library == "flite" ? say_with_flite(*who, phrases, speed) : say_with_espeak(*who, phrases, speed)) ? 0
                                                                                                                 : 1);
}

} // namespace troupe::engines

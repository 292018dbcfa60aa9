#include "gpu/engines/transcribe/aligner.hpp"

#include "gpu/engines/transcribe/pronunciation.hpp"
#include "gpu/engines/transcribe/voice_activity.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <sstream>

extern "C" {
#include <pocketsphinx/pocketsphinx.h>
#include <pocketsphinx/ps_search.h>
#include <sphinxbase/err.h>
#include <sphinxbase/fsg_model.h>
}

namespace troupe::engines {

namespace {

namespace fs = std::filesystem;

constexpr double frame_s = 0.01; // pocketsphinx counts in these

fs::path models() { return fs::path(TROUPE_POCKETSPHINX_MODELS) / "en-us"; }
fs::path acoustic_model() { return models() / "en-us"; }
fs::path dictionary() { return models() / "cmudict-en-us.dict"; }

struct found {
  double start_s;
  double end_s;
};

class sphinx_aligner final : public aligner {
public:
  explicit sphinx_aligner(ps_decoder_t* decoder) : decoder_(decoder) {}
  ~sphinx_aligner() override { ps_free(decoder_); }
  sphinx_aligner(const sphinx_aligner&) = delete;
  sphinx_aligner& operator=(const sphinx_aligner&) = delete;

  void align(std::vector<word>& words, std::span<const float> samples) override {
    std::vector<std::string> entries; // of the dictionary, for the words that can be said
    std::vector<std::size_t> places;  // in words
    for (std::size_t i = 0; i < words.size(); ++i)
      if (auto entry = entry_of(bare(words[i].text)); !entry.empty()) {
        entries.push_back(std::move(entry));
        places.push_back(i);
      }
    std::vector<std::optional<found>> times(words.size());
    const auto heard = entries.empty() ? std::vector<found>() : listen(entries, samples);
    for (std::size_t i = 0; i < heard.size(); ++i)
      times[places[i]] = heard[i];
    fill(words, times, static_cast<double>(samples.size()) / speech_rate);
  }

private:
  /// The name under which the dictionary has this word; made up and added where it has none. Empty: cannot be said.
  std::string entry_of(const std::string& written) {
    if (const auto known = entries_.find(written); known != entries_.end())
      return known->second;
    const auto ways = readings(written);
    std::string entry;
    if (ways.size() == 1 && ways[0].find(' ') == std::string::npos && !phones_in_dictionary(ways[0]).empty()) {
      entry = ways[0];
    } else {
      const auto name = "said" + std::to_string(entries_.size());
      for (const auto& way : ways)
        if (const auto phones = phones_of(way); !phones.empty()) {
          const auto added = entry.empty() ? name : name + "(" + std::to_string(++alternatives_ + 1) + ")";
          if (ps_add_word(decoder_, added.c_str(), phones.c_str(), 0) >= 0)
            entry = name;
        }
    }
    return entries_[written] = entry;
  }

  std::string phones_in_dictionary(const std::string& plain) {
    char* const phones = ps_lookup_word(decoder_, plain.c_str());
    std::string out = phones ? phones : "";
    std::free(phones);
    return out;
  }

  std::string phones_of(const std::string& reading) {
    std::string out;
    std::istringstream in(reading);
    for (std::string plain; in >> plain;) {
      auto phones = phones_in_dictionary(plain);
      if (phones.empty())
        phones = guess_phones(plain);
      out += (out.empty() || phones.empty() ? "" : " ") + phones;
    }
    return out;
  }

  /// One time for each entry, or none at all where the sound does not fit the text.
  std::vector<found> listen(const std::vector<std::string>& entries, std::span<const float> samples) {
    const auto steps = static_cast<int>(entries.size());
    fsg_model_t* const grammar = fsg_model_init("text", ps_get_logmath(decoder_), 1.0F, steps + 1);
    for (int i = 0; i < steps; ++i)
      fsg_model_trans_add(grammar, i, i + 1, 0,
                          fsg_model_word_add(grammar, entries[static_cast<std::size_t>(i)].c_str()));
    grammar->start_state = 0;
    grammar->final_state = steps;
    const bool set = ps_set_fsg(decoder_, "text", grammar) == 0 && ps_set_search(decoder_, "text") == 0;
    fsg_model_free(grammar);
    if (!set)
      return {};
    std::vector<int16> pcm;
    pcm.reserve(samples.size());
    for (const float sample : samples)
      pcm.push_back(static_cast<int16>(std::clamp(sample, -1.0F, 1.0F) * 32767.0F));
    if (ps_start_utt(decoder_) != 0)
      return {};
    ps_process_raw(decoder_, pcm.data(), pcm.size(), 0, 1);
    ps_end_utt(decoder_);
    return times(entries.size());
  }

  std::vector<found> times(std::size_t wanted) {
    std::vector<found> out;
    for (ps_seg_t* each = ps_seg_iter(decoder_); each; each = ps_seg_next(each)) {
      const char* const name = ps_seg_word(each);
      if (!name || name[0] == '<' || name[0] == '[' || name[0] == '+' || name[0] == '(')
        continue; // silence, noise
      int first = 0;
      int last = 0;
      ps_seg_frames(each, &first, &last);
      out.push_back({first * frame_s, (last + 1) * frame_s});
    }
    return out.size() == wanted ? out : std::vector<found>();
  }

  static void fill(std::vector<word>& words, const std::vector<std::optional<found>>& times, double length_s) {
    double free_from = 0;
    for (std::size_t i = 0; i < words.size();) {
      if (times[i]) {
        words[i].start_s = std::clamp(times[i]->start_s, free_from, length_s);
        words[i].end_s = free_from = std::clamp(times[i]->end_s, words[i].start_s, length_s);
        ++i;
        continue;
      }
      auto end = i;
      while (end < words.size() && !times[end])
        ++end;
      share_out(words, i, end, free_from, end < words.size() ? times[end]->start_s : length_s);
      free_from = words[end - 1].end_s;
      i = end;
    }
  }

  ps_decoder_t* decoder_;
  std::map<std::string, std::string> entries_;
  int alternatives_ = 0;
};

} // namespace

bool aligner::installed() {
  std::error_code ignored;
  return fs::exists(acoustic_model() / "mdef", ignored) && fs::exists(dictionary(), ignored);
}

result<std::unique_ptr<aligner>> aligner::open() {
  if (!installed())
    return fail("unavailable", "pocketsphinx' English model is not installed: run scripts/deps");
  err_set_callback(nullptr, nullptr); // it would write all it does
  err_set_logfp(nullptr);             // and its settings to stderr
  cmd_ln_t* const settings =
      cmd_ln_init(nullptr, ps_args(), 1, "-hmm", acoustic_model().c_str(), "-dict", dictionary().c_str(),
                  "-remove_silence", "no", // it would lose count of time
                  "-cmn", "batch", "-beam", "1e-80", "-wbeam", "1e-60", "-pbeam", "1e-80", nullptr);
  ps_decoder_t* const decoder = settings ? ps_init(settings) : nullptr;
  cmd_ln_free_r(settings);
  if (!decoder)
    return fail("unavailable", "pocketsphinx does not start: run scripts/deps");
  return std::unique_ptr<aligner>(new sphinx_aligner(decoder));
}

void share_out(std::vector<word>& words, std::size_t from, std::size_t to, double start_s, double end_s) {
  double letters = 0;
  for (auto i = from; i < to; ++i)
    letters += static_cast<double>(words[i].text.size());
  double at = start_s;
  for (auto i = from; i < to; ++i) {
    words[i].start_s = at;
    at += std::max(0.0, end_s - start_s) * static_cast<double>(words[i].text.size()) / letters;
    words[i].end_s = at;
  }
}

} // namespace troupe::engines

#include "gpu/engines/transcribe/voice_activity.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::engines {

namespace {

constexpr double window_s = static_cast<double>(window) / speech_rate;
constexpr float speaks = 0.5F;       // speech begins at this probability
constexpr float fell_silent = 0.35F; // and ends below this one

std::size_t windows(double seconds) { return static_cast<std::size_t>(std::lround(seconds / window_s)); }

struct range {
  std::size_t begin;
  std::size_t end;
};

std::vector<range> sounding(std::span<const float> probabilities, const span_limits& limits) {
  std::vector<range> out;
  std::size_t begin = 0;
  std::size_t silent = 0;
  bool on = false;
  for (std::size_t i = 0; i <= probabilities.size(); ++i) {
    const bool over = i == probabilities.size();
    const float p = over ? 0 : probabilities[i];
    if (!on && p > speaks) {
      on = true;
      begin = i;
      silent = 0;
    } else if (on) {
      silent = p < fell_silent ? silent + 1 : 0;
      if (over || silent > windows(limits.pause_s)) {
        out.push_back({begin, i + (over ? 0 : 1) - silent});
        on = false;
      }
    }
  }
  std::erase_if(out,
                [&](const range& r) { return r.end - r.begin < std::max<std::size_t>(1, windows(limits.least_s)); });
  return out;
}

/// Cuts at the quietest window of the last quarter that fits, again and again.
void cut_long(const range& whole, std::span<const float> probabilities, const span_limits& limits,
              std::vector<range>& out) {
  const auto most = windows(limits.most_s - 2 * limits.margin_s);
  range rest = whole;
  while (rest.end - rest.begin > most) {
    const auto from = probabilities.begin() + static_cast<std::ptrdiff_t>(rest.begin + most * 3 / 4);
    const auto to = probabilities.begin() + static_cast<std::ptrdiff_t>(rest.begin + most);
    const auto at = static_cast<std::size_t>(std::min_element(from, to) - probabilities.begin());
    out.push_back({rest.begin, at});
    rest.begin = at;
  }
  out.push_back(rest);
}

} // namespace

std::vector<span_s> speech_spans(std::span<const float> probabilities, const span_limits& limits) {
  std::vector<range> cut;
  for (const auto& whole : sounding(probabilities, limits))
    cut_long(whole, probabilities, limits, cut);
  std::vector<span_s> out;
  const double end_s = static_cast<double>(probabilities.size()) * window_s;
  for (std::size_t i = 0; i < cut.size(); ++i) {
    // Margins never reach over the middle of the silence between two spans.
    const double start = static_cast<double>(cut[i].begin) * window_s;
    const double end = static_cast<double>(cut[i].end) * window_s;
    const double before = i == 0 ? 0 : (static_cast<double>(cut[i - 1].end) * window_s + start) / 2;
    const double after = i + 1 == cut.size() ? end_s : (end + static_cast<double>(cut[i + 1].begin) * window_s) / 2;
    out.push_back({std::max(before, start - limits.margin_s), std::min(after, end + limits.margin_s)});
  }
  return out;
}

result<std::vector<float>> speech_probabilities(const onnx::session& silero, std::span<const float> samples,
                                                const onnx::breaker& stop, const std::function<void(double)>& done) {
  constexpr std::size_t context = 64; // samples of the window before, which the net wants in front
  constexpr std::int64_t state_size = 128;
  const auto rate = onnx::tensor::integers({speech_rate}, {});
  auto state = onnx::tensor::floats(std::vector<float>(2 * state_size), {2, 1, state_size});
  std::vector<float> heard(context + window);
  std::vector<float> out;
  for (std::size_t at = 0; at + window <= samples.size(); at += window) {
    std::copy(heard.end() - context, heard.end(), heard.begin());
    std::copy_n(samples.begin() + static_cast<std::ptrdiff_t>(at), window, heard.begin() + context);
    const auto sound = onnx::tensor::floats(heard, {1, static_cast<std::int64_t>(heard.size())});
    const onnx::session::input inputs[] = {{"input", &sound}, {"state", &state}, {"sr", &rate}};
    const char* const wanted[] = {"output", "stateN"};
    auto answer = silero.run(inputs, wanted, stop);
    if (!answer)
      return answer.error();
    out.push_back(answer->at(0).as_floats().front());
    state = std::move(answer->at(1));
    if (out.size() % 256 == 0)
      done(static_cast<double>(at) / static_cast<double>(samples.size()));
  }
  return out;
}

} // namespace troupe::engines

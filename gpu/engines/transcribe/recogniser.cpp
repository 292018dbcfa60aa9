#include "gpu/engines/transcribe/recogniser.hpp"

#include "gpu/engines/transcribe/voice_activity.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>

namespace troupe::engines {

namespace {

constexpr const char* encoder_file = "moonshine_encoder.onnx";
constexpr const char* decoder_file = "moonshine_decoder.onnx";
constexpr const char* vocabulary_file = "moonshine_vocabulary.txt";
constexpr std::size_t vocabulary_size = 32'000;

// Of the tiny model.
constexpr std::int64_t first_token = 1;
constexpr std::int64_t last_token = 2;
constexpr std::int64_t heads = 8;
constexpr std::int64_t head_size = 36;
constexpr double pieces_per_second_max = 6.5; // beyond it the decoder has begun to make things up
constexpr std::size_t samples_min = speech_rate / 10;

/// How many of the last pieces only repeat what was said before them: a loop the decoder would not leave. 0: none.
template <class Pieces>
std::size_t repeated(const Pieces& said) {
  constexpr std::size_t repeats = 5;
  constexpr std::size_t pieces_min = 12; // people do say "no, no, no, no, no"
  for (std::size_t period = 1; period <= 8; ++period) {
    const auto span = std::max(period * repeats, pieces_min);
    if (said.size() < span)
      break;
    bool same = true;
    for (std::size_t i = said.size() - span; same && i + period < said.size(); ++i)
      same = said[i].token == said[i + period].token;
    if (same)
      return span - period;
  }
  return 0;
}

/// The place of the largest and its share after softmax.
std::pair<std::int64_t, double> best_of(std::span<const float> scores) {
  const auto best = std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (const float score : scores)
    total += std::exp(static_cast<double>(score - *best));
  return {best - scores.begin(), 1 / total};
}

} // namespace

const std::vector<std::string>& recogniser::files() {
  static const std::vector<std::string> all{encoder_file, decoder_file, vocabulary_file};
  return all;
}

result<std::shared_ptr<const recogniser>> recogniser::open(onnx::runtime& library, const std::filesystem::path& prefix,
                                                           unsigned threads) {
  auto out = std::make_shared<recogniser>();
  auto encoder = library.model(encoder_file, threads);
  if (!encoder)
    return encoder.error();
  auto decoder = library.model(decoder_file, threads);
  if (!decoder)
    return decoder.error();
  out->encoder_ = std::move(*encoder);
  out->decoder_ = std::move(*decoder);
  std::ifstream in(prefix / "models" / vocabulary_file);
  for (std::string line; std::getline(in, line);)
    out->vocabulary_.push_back(line);
  if (out->vocabulary_.size() != vocabulary_size)
    return fail("unavailable", std::string("the vocabulary of the speech model is not whole: run scripts/deps"));
  return std::shared_ptr<const recogniser>(std::move(out));
}

result<std::vector<recogniser::piece>> recogniser::pieces(std::span<const float> samples,
                                                          const onnx::breaker& stop) const {
  std::vector<float> sound(samples.begin(), samples.end());
  sound.resize(std::max(sound.size(), samples_min));
  const auto pieces_max =
      static_cast<std::size_t>(static_cast<double>(sound.size()) / speech_rate * pieces_per_second_max) + 4;
  const auto length = static_cast<std::int64_t>(sound.size());
  const auto heard = onnx::tensor::floats(std::move(sound), {1, length});
  const onnx::session::input encoder_inputs[] = {{"input_values", &heard}};
  const char* const encoder_wanted[] = {"last_hidden_state"};
  const auto hidden = encoder_->run(encoder_inputs, encoder_wanted, stop);
  if (!hidden)
    return hidden.error();

  // What the decoder remembers goes round: "present.*" of one step is "past_key_values.*" of the next, in the same
  // order.
  std::vector<const char*> past_names;
  for (const auto& name : decoder_->inputs())
    if (name.starts_with("past_key_values."))
      past_names.push_back(name.c_str());
  std::vector<const char*> wanted;
  for (const auto& name : decoder_->outputs())
    wanted.push_back(name.c_str());
  std::vector<onnx::tensor> past;
  for (std::size_t i = 0; i < past_names.size(); ++i)
    past.push_back(onnx::tensor::floats({}, {1, heads, 0, head_size}));

  std::vector<piece> out;
  std::int64_t token = first_token;
  while (out.size() < pieces_max) {
    const bool again = !out.empty();
    const auto ids = onnx::tensor::integers({token}, {1, 1});
    const auto use_cache = onnx::tensor::boolean(again);
    std::vector<onnx::session::input> inputs{
        {"input_ids", &ids}, {"encoder_hidden_states", &hidden->front()}, {"use_cache_branch", &use_cache}};
    for (std::size_t i = 0; i < past.size(); ++i)
      inputs.push_back({past_names[i], &past[i]});
    auto answer = decoder_->run(inputs, wanted, stop);
    if (!answer)
      return answer.error();
    const auto [best, probability] = best_of(answer->front().as_floats());
    if (best == last_token)
      break;
    out.push_back({best, probability});
    if (const auto loop = repeated(out)) {
      out.resize(out.size() - loop);
      break;
    }
    token = best;
    for (std::size_t i = 0; i < past.size(); ++i)
      if (!again || std::string_view(past_names[i]).find(".encoder.") == std::string_view::npos)
        past[i] = std::move((*answer)[i + 1]); // of the encoder, only the first step tells anything
  }
  return out;
}

std::vector<word> recogniser::spell(std::span<const piece> said) const {
  constexpr std::string_view space = "\u2581";
  std::vector<word> out;
  std::vector<double> logs; // of the pieces of the last word
  const auto finish = [&] {
    if (out.empty() || logs.empty())
      return;
    double sum = 0;
    for (const double each : logs)
      sum += each;
    out.back().confidence = std::exp(sum / static_cast<double>(logs.size()));
    logs.clear();
  };
  for (const auto& each : said) {
    if (each.token < 3 || static_cast<std::size_t>(each.token) >= vocabulary_.size())
      continue; // no text: begin, end, unknown
    std::string_view text = vocabulary_[static_cast<std::size_t>(each.token)];
    if (text.starts_with("<0x"))
      continue; // a byte of a sign that English text does without
    const bool begins = text.starts_with(space);
    while (text.starts_with(space))
      text.remove_prefix(space.size());
    if (begins || out.empty()) {
      finish();
      if (out.empty() || !out.back().text.empty())
        out.emplace_back();
    }
    out.back().text += text;
    logs.push_back(std::log(each.probability));
  }
  finish();
  std::erase_if(out, [](const word& each) { return each.text.empty(); });
  return out;
}

result<std::vector<word>> recogniser::words(std::span<const float> samples, const onnx::breaker& stop) const {
  const auto said = pieces(samples, stop);
  if (!said)
    return said.error();
  return spell(*said);
}

} // namespace troupe::engines

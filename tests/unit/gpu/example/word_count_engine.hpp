#pragma once

#include "gpu/engines/engine.hpp"

#include <cctype>
#include <fstream>
#include <iterator>

namespace troupe::engines {

/// Counts the words of a text file: operation "words.count", input `text`, output `count` (JSON).
class word_count_engine final : public engine {
public:
  description describe() const override {
    description out;
    out.name = "words";
    out.version = "1"; // raise it when the same input gives another output
    out.operations = {{"words.count", 0, false}};
    out.needs = "nothing"; // an engine that lacks a library or weights says available = false, and why
    return out;
  }

  stage_outcome run(const stage_request& request, stage_context& context) override {
    if (request.inputs.size() != 1 || request.inputs[0].port != "text")
      return stage_failure{fault::bad_input, "exactly one text is needed"};
    std::ifstream in(request.inputs[0].path, std::ios::binary);
    std::size_t words = 0, letters = 0;
    bool inside = false;
    for (std::istreambuf_iterator<char> at(in), end; at != end; ++at) {
      if (++letters % 65'536 == 0) { // often enough: at least every 200 ms of work
        if (context.cancelled())
          return stage_failure{fault::cancelled, "cancelled"};
        context.progress(0.5, std::to_string(words) + " words");
      }
      bool letter = std::isspace(static_cast<unsigned char>(*at)) == 0;
      words += letter && !inside ? 1 : 0;
      inside = letter;
    }
    auto path = request.folder / "count.json";
    if (!(std::ofstream(path) << json{{"words", words}}))
      return stage_failure{fault::device, "the result could not be written"};
    stage_output out;
    out.engine = "words/1";
    out.files.push_back({"count", path, "application/json", {{"words", words}}});
    return out;
  }
};

} // namespace troupe::engines

#include "gpu/wire/messages.hpp"
#include "tests/unit/gpu/wire/samples.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>

using namespace troupe;
using namespace troupe::wire;

namespace {

// A frame of `message`, changed by `change` at `where` (a JSON pointer), and what decoding it answers.
std::string refusal_of(const from_node& message, const char* where, const json& value) {
  auto map = from_msgpack(encode(message)).value();
  map[json::json_pointer(where)] = value;
  auto back = decode_from_node(to_msgpack(map));
  return back ? "taken" : back.error().code + ": " + back.error().message;
}

std::string without(const from_node& message, const char* field) {
  auto map = from_msgpack(encode(message)).value();
  map.erase(field);
  auto back = decode_from_node(to_msgpack(map));
  return back ? "taken" : back.error().code;
}

json bytes(std::size_t n) { return json::binary(std::vector<std::uint8_t>(n, 1)); }

} // namespace

TEST(malformed_frames, every_field_is_required_and_named_when_it_is_missing) {
  const std::set<std::string> optional{"oldest_version", "transfer_ms"};
  for (const auto& message : samples::from_nodes()) {
    const auto fields = from_msgpack(encode(message)).value();
    for (const auto& [field, value] : fields.items())
      EXPECT_EQ(without(message, field.c_str()), optional.contains(field) ? "taken" : "malformed_frame") << field;
  }
}

TEST(malformed_frames, a_field_out_of_range_is_refused_and_named) {
  struct sample {
    from_node message;
    const char* where;
    json value;
  };
  const progress p{samples::ref, 0.5, "x"};
  const hello h = std::get<hello>(samples::from_nodes()[0]);
  const fetch f{samples::hash, 0, 1};
  const std::vector<sample> wrong = {{p, "/fraction", -0.01},
                                     {p, "/fraction", 1.01},
                                     {p, "/fraction", std::numeric_limits<double>::infinity()},
                                     {p, "/fraction", std::nan("")},
                                     {p, "/fraction", "0.5"},
                                     {p, "/fraction", nullptr},
                                     {p, "/step", std::string(129, 'x')},
                                     {p, "/step", "\xff"},
                                     {p, "/ref/stage", -1},
                                     {p, "/ref/stage", 1ull << 32},
                                     {p, "/ref/attempt", 1.5},
                                     {p, "/ref", 7},
                                     {p, "/ref/job", ""},
                                     {p, "/ref/job", std::string(129, 'x')},
                                     {p, "/t", 5},
                                     {h, "/node", ""},
                                     {h, "/version", -1},
                                     {h, "/devices", json::object()},
                                     {h, "/devices/0", "cpu0"},
                                     {h, "/devices/0/slots", 0},
                                     {h, "/devices/0/slots", 1025},
                                     {h, "/devices/0/kinds", json::array({1})},
                                     {h, "/running", json(std::vector<int>(10'001, 0))},
                                     {h, "/unacknowledged/0/outputs/0/sha256", "abc"},
                                     {h, "/unacknowledged/0/outputs/0/bytes", (1ull << 40) + 1},
                                     {h, "/unacknowledged/0/outputs/0/metadata", json::array()},
                                     {h, "/unacknowledged/0/outputs/0/metadata", json{{"bad", "\xff"}}},
                                     {h, "/unacknowledged_failures/0/fault", "bored"},
                                     {h, "/unacknowledged_failures/0/artifact", "../../etc/passwd"},
                                     {preview{samples::ref, ""}, "/jpeg", "text"},
                                     {preview{samples::ref, ""}, "/jpeg", bytes((256 << 10) + 1)},
                                     {f, "/sha256", std::string(64, 'A')},
                                     {f, "/sha256", "../" + std::string(61, 'a')},
                                     {f, "/credit", 0},
                                     {f, "/credit", 65},
                                     {put_chunk{samples::hash, 0, ""}, "/data", bytes(chunk_bytes + 1)}};
  for (const auto& [message, where, value] : wrong)
    EXPECT_EQ(refusal_of(message, where, value).substr(0, 16), "malformed_frame:") << where;
  EXPECT_NE(refusal_of(p, "/fraction", 2).find("\"fraction\""), std::string::npos);
  EXPECT_EQ(refusal_of(p, "/fraction", 1), "taken") << "a whole number is a number";
}

TEST(malformed_frames, hostile_nesting_ends_in_a_refusal) {
  for (char type : {'\x91', '\x81'}) {
    std::string nest;
    for (int i = 0; i < 500'000; ++i)
      nest += type == '\x81' ? std::string("\x81\xa1x") : std::string(1, type);
    EXPECT_EQ(decode_from_node(nest).error().code, "malformed_frame");
    EXPECT_EQ(decode_from_node("\x82\xa1t\xa5hello\xa7"
                               "devices" +
                               nest)
                  .error()
                  .code,
              "malformed_frame");
  }
  auto map = from_msgpack(encode(samples::from_nodes()[4])).value();
  json deep = 1;
  for (int i = 0; i < 20; ++i)
    deep = json::array({deep});
  map["outputs"][0]["metadata"] = {{"deep", deep}};
  EXPECT_EQ(decode_from_node(to_msgpack(map)).error().code, "malformed_frame");
}

TEST(malformed_frames, empty_and_oversized_frames_are_refused) {
  EXPECT_EQ(decode_from_node("").error().code, "malformed_frame");
  EXPECT_EQ(decode_from_node("\xc0").error().code, "malformed_frame");
  EXPECT_EQ(decode_from_node(std::string(frame_bytes_max + 1, '\x90')).error().code, "malformed_frame");
  EXPECT_EQ(decode_from_node(std::string("\xdf\xff\xff\xff\xff", 5)).error().code, "malformed_frame");
}

// Goal: no bytes crash a decoder. Method: 20,000 seeded mutations of valid frames, both directions; what is taken must
// encode again.
TEST(malformed_frames, twenty_thousand_mutated_frames_never_crash_a_decoder) {
  std::vector<std::string> frames;
  for (const auto& message : samples::from_nodes())
    frames.push_back(encode(message));
  for (const auto& message : samples::to_nodes())
    frames.push_back(encode(message));
  std::mt19937 random(20260330);
  auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  int taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto frame = frames[below(frames.size())];
    for (auto n = below(4) + 1; n > 0 && !frame.empty(); --n) {
      switch (below(4)) {
        case 0: frame.resize(below(frame.size() + 1)); break;
        case 1: frame.insert(below(frame.size()), 1, static_cast<char>(below(256))); break;
        default: frame[below(frame.size())] = static_cast<char>(below(256));
      }
    }
    if (auto back = decode_from_node(frame))
      taken += encode(*back).empty() ? 0 : 1;
    if (auto back = decode_to_node(frame))
      taken += encode(*back).empty() ? 0 : 1;
  }
  EXPECT_GT(taken, 0) << "the mutations were too coarse to reach the fields";
}

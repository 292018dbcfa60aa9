#include "gpu/wire/fields.hpp"
#include "gpu/wire/messages.hpp"
#include "tests/unit/gpu/wire/samples.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

using namespace troupe;
using namespace troupe::wire;

namespace {

json map_of(const std::string& frame) { return from_msgpack(frame).value(); }

// Goal: no field is lost, swapped or renamed. Method: frames of a message and of its decoded copy are the same bytes,
// and every field of the frame differs from that of a default message.
template <class Variant, class Decode>
void expect_round_trip(const Variant& message, Decode decode) {
  auto frame = encode(message);
  auto back = decode(frame);
  ASSERT_TRUE(back.has_value()) << back.error().message;
  EXPECT_EQ(back->index(), message.index());
  EXPECT_EQ(encode(*back), frame);
}

} // namespace

TEST(wire_messages, every_message_of_a_node_survives_the_way_to_the_head) {
  ASSERT_EQ(samples::from_nodes().size(), std::variant_size_v<from_node>);
  for (const auto& message : samples::from_nodes())
    expect_round_trip(message, [](const std::string& frame) { return decode_from_node(frame); });
}

TEST(wire_messages, every_message_of_the_head_survives_the_way_to_a_node) {
  ASSERT_EQ(samples::to_nodes().size(), std::variant_size_v<to_node>);
  for (const auto& message : samples::to_nodes())
    expect_round_trip(message, [](const std::string& frame) { return decode_to_node(frame); });
}

TEST(wire_messages, the_decoded_fields_hold_what_was_said) {
  auto back = decode_from_node(encode(from_node{samples::done()})).value();
  const auto& x = std::get<finished>(back);
  EXPECT_EQ(x.ref, samples::ref);
  EXPECT_EQ(x.device, "cpu0");
  EXPECT_EQ(x.engine, "scene/1");
  EXPECT_TRUE(x.preview);
  EXPECT_EQ(x.run_ms, 1234u);
  EXPECT_EQ(x.transfer_ms, 567);
  ASSERT_EQ(x.outputs.size(), 2u);
  EXPECT_EQ(x.outputs[1].sha256, samples::hash);
  EXPECT_EQ(x.outputs[1].bytes, 123456789u);
  EXPECT_EQ(x.outputs[1].metadata, samples::film().metadata);
  auto answer = decode_to_node(encode(to_node{put_ready{samples::hash, 2048, 8, true, "mismatch"}})).value();
  const auto& ready = std::get<put_ready>(answer);
  EXPECT_EQ(ready.offset, 2048u);
  EXPECT_EQ(ready.credit, 8u);
  EXPECT_TRUE(ready.done);
  EXPECT_EQ(ready.error, "mismatch");
}

TEST(wire_messages, unknown_fields_are_ignored_and_unknown_types_are_refused) {
  auto frame = map_of(encode(from_node{node_heartbeat{5}}));
  frame["later"] = "something of a later version";
  EXPECT_TRUE(decode_from_node(to_msgpack(frame)).has_value());
  frame["t"] = "dance";
  EXPECT_EQ(decode_from_node(to_msgpack(frame)).error().code, "unknown_message");
}

TEST(wire_messages, unknown_fields_are_named_wherever_they_are) {
  auto frame = map_of(encode(from_node{samples::done()}));
  frame["later"] = 1;
  frame["ref"]["epoch"] = 2;
  frame["outputs"][1]["colour"] = "green";
  frame["outputs"][1]["metadata"]["anything"] = true; // a map that is free to hold what it likes
  std::vector<std::string> unknown;
  EXPECT_TRUE(decode_from_node(to_msgpack(frame), &unknown).has_value());
  EXPECT_EQ(std::set<std::string>(unknown.begin(), unknown.end()), (std::set<std::string>{"later", "epoch", "colour"}));
  unknown.clear();
  for (const auto& message : samples::from_nodes())
    EXPECT_TRUE(decode_from_node(encode(message), &unknown).has_value());
  EXPECT_TRUE(unknown.empty()) << unknown[0] << ": what is known is not told";
  for (int i = 0; i < 100; ++i)
    frame["x" + std::to_string(i)] = i;
  frame["\x1b[31m\xff"] = 0;
  EXPECT_TRUE(decode_from_node(to_msgpack(frame), &unknown).has_value());
  EXPECT_EQ(unknown.size(), 8u) << "a hostile frame names only so many";
}

TEST(wire_messages, a_head_serves_its_own_version_and_the_one_before) {
  EXPECT_EQ(to_string(spoken_versions), "version 1");
  const auto head = versions_of(3);
  EXPECT_EQ(to_string(head), "versions 2 to 3");
  EXPECT_EQ(common_version(head, {3, 3}), 3);
  EXPECT_EQ(common_version(head, {2, 2}), 2) << "a node of the release before, in a rolling upgrade";
  EXPECT_EQ(common_version(head, {1, 2}), 2);
  EXPECT_EQ(common_version(head, {3, 4}), 3) << "a node that was upgraded before its head";
  EXPECT_EQ(common_version(head, {1, 9}), 3);
  EXPECT_EQ(common_version(head, {1, 1}), std::nullopt);
  EXPECT_EQ(common_version(head, {4, 5}), std::nullopt);
  EXPECT_EQ(common_version(head, {9, 1}), std::nullopt) << "nonsense";
}

TEST(wire_messages, a_hello_that_names_one_version_speaks_only_that_one) {
  auto frame = map_of(encode(from_node{hello{}}));
  frame["node"] = frame["session"] = "x";
  frame["version"] = 4;
  frame.erase("oldest_version");
  auto back = std::get<hello>(decode_from_node(to_msgpack(frame)).value());
  EXPECT_EQ(back.version, 4);
  EXPECT_EQ(back.oldest_version, 4);
}

TEST(wire_messages, what_a_transfer_took_may_be_left_out_but_is_no_nonsense) {
  auto frame = map_of(encode(from_node{samples::done()}));
  auto told = [&] { return decode_from_node(to_msgpack(frame)); };
  for (const json& nonsense : {json(-1), json(1ull << 32), json("long"), json(0.5), json(nullptr)}) {
    frame["transfer_ms"] = nonsense;
    EXPECT_EQ(told().error().code, "malformed_frame") << nonsense;
  }
  frame.erase("transfer_ms");
  auto back = told().value();
  EXPECT_EQ(std::get<finished>(back).transfer_ms, -1) << "a worker that does not measure it";
  EXPECT_EQ(map_of(encode(back)), frame);
}

TEST(wire_messages, a_message_of_the_other_direction_is_not_taken) {
  EXPECT_EQ(decode_to_node(encode(from_node{samples::done()})).error().code, "unknown_message");
  EXPECT_EQ(decode_from_node(encode(to_node{cancel{samples::ref}})).error().code, "unknown_message");
}

TEST(wire_messages, bad_text_of_an_engine_is_mended_before_it_is_sent) {
  failed x = samples::broke();
  x.message = "bad byte \xff and " + std::string(10'000, 'x');
  auto back = std::get<failed>(decode_from_node(encode(from_node{x})).value());
  EXPECT_EQ(back.message.substr(0, 15), "bad byte ? and ");
  EXPECT_EQ(back.message.size(), 4096u);
  finished y = samples::done();
  y.outputs[0].metadata = {{"rate", std::nan("")}, {"title", "\xc3\x28"}, {"width", 4}};
  auto mended = std::get<finished>(decode_from_node(encode(from_node{y})).value()).outputs[0].metadata;
  EXPECT_EQ(mended, (json{{"rate", nullptr}, {"title", "?("}, {"width", 4}}));
  y.outputs[0].metadata = {{"note", std::string(100'000, 'x')}};
  EXPECT_EQ(std::get<finished>(decode_from_node(encode(from_node{y})).value()).outputs[0].metadata, json::object());
}

TEST(wire_messages, utf8_is_what_the_standard_says) {
  for (const char* good :
       {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8e\xac", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                          "\xf4\x90\x80\x80", "\xff", "a\xe2\x82"})
    EXPECT_FALSE(is_utf8(bad));
  EXPECT_EQ(clean_text("a\xe2\x82\xac", 3), "a") << "a character is not cut in two";
}

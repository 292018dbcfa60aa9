#include "common/packed.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace troupe {

namespace {

template <class Value>
json back(const Value& value) {
  return packed_map("it", value).tree().at("it");
}

} // namespace

TEST(Packed, EachValueReadsBackAsItWas) {
  EXPECT_EQ(back(true), json(true));
  EXPECT_EQ(back(false), json(false));
  EXPECT_EQ(back("text"), json("text"));
  EXPECT_EQ(back(std::string_view{""}), json(""));
  EXPECT_EQ(back(0.1), json(0.1));
  EXPECT_EQ(back(json{{"a", {1, nullptr, "b"}}}), (json{{"a", {1, nullptr, "b"}}}));
  EXPECT_EQ(back(std::vector<std::uint32_t>{1, 200, 70'000}), (json{1, 200, 70'000}));
  EXPECT_EQ(back(packed_map()), json::object());
  EXPECT_EQ(back(packed_list()), json::array());
  EXPECT_EQ(back(packed_bytes{std::string_view("\0\xff", 2)}), json::binary({0, 255}));
}

TEST(Packed, NumbersReadBackAtTheEdgesOfTheirForms) {
  for (std::uint64_t edge : {0x7full, 0xffull, 0xffffull, 0xffffffffull, 0x7fffffffffffffffull})
    for (auto value : {edge - 1, edge, edge + 1}) {
      EXPECT_EQ(back(value), json(value));
      EXPECT_EQ(back(-static_cast<std::int64_t>(value >> 1)), json(-static_cast<std::int64_t>(value >> 1)));
    }
  EXPECT_EQ(back(std::numeric_limits<std::int64_t>::min()), json(std::numeric_limits<std::int64_t>::min()));
  EXPECT_EQ(back(std::uint8_t{200}), json(200));
  EXPECT_EQ(back(std::int16_t{-32}), json(-32));
  EXPECT_EQ(back(-33), json(-33));
}

TEST(Packed, TextsBytesListsAndMapsReadBackAtTheEdgesOfTheirForms) {
  for (std::size_t size : {31u, 32u, 255u, 256u, 65'535u, 65'536u}) {
    std::string text(size, 'x');
    EXPECT_EQ(back(text), json(text));
    EXPECT_EQ(back(packed_bytes{text}).get_binary().size(), size);
  }
  for (std::size_t size : {15u, 16u, 65'535u, 65'536u}) {
    packed_list list;
    packed_map map;
    for (std::size_t i = 0; i < size; ++i) {
      list.push(i);
      map.add(std::to_string(i), i);
    }
    EXPECT_EQ(back(list).size(), size);
    EXPECT_EQ(back(map).size(), size);
    EXPECT_EQ(back(map).at(std::to_string(size - 1)), json(size - 1));
  }
}

TEST(Packed, ARecordIsWhatPackWrites) {
  auto record = packed_map("one", 1, "two", packed_map("three", "four")).record();
  EXPECT_EQ(unpack(record).value(), (json{{"one", 1}, {"two", {{"three", "four"}}}}));
  EXPECT_EQ(record.front(), pack(json::object()).front());
}

} // namespace troupe

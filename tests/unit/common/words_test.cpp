#include "common/clock.hpp"
#include "common/ids.hpp"
#include "common/money.hpp"
#include "common/random.hpp"
#include "common/sha256.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <unistd.h>

namespace troupe {
namespace {

using ::testing::MatchesRegex;

TEST(clock, writes_times_as_the_apis_do) {
  timestamp at = 1'774'872'000'123; // 2026-03-30 12:00:00.123 UTC
  EXPECT_EQ(studio_time(at), "2026-03-30 12:00:00");
  EXPECT_EQ(rfc3339(at), "2026-03-30T12:00:00.123Z");
  EXPECT_EQ(month_of(at), "2026-03");
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(month_of(1'709'251'199'999), "2024-02"); // the last millisecond of a leap February
}

TEST(clock, does_not_go_back) {
  auto before = steady_ms();
  EXPECT_GE(steady_ms(), before);
  EXPECT_GT(now_ms(), 1'700'000'000'000);
}

TEST(ulid, is_unique_and_sorts_by_time) {
  std::set<std::string> seen;
  for (int i = 0; i < 10'000; ++i)
    seen.insert(make_ulid());
  EXPECT_EQ(seen.size(), 10'000u);
  auto earlier = make_ulid();
  for (auto start = now_ms(); now_ms() <= start;)
    ;
  EXPECT_LT(earlier, make_ulid());
  EXPECT_THAT(earlier, MatchesRegex("[0-7][0-9a-hjkmnp-tv-z]{25}"));
}

TEST(ulid, begins_with_the_time_in_base_32) {
  static const std::string alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  auto before = now_ms();
  auto ulid = make_ulid();
  std::int64_t time = 0;
  for (auto c : ulid.substr(0, 10))
    time = time * 32 + static_cast<std::int64_t>(alphabet.find(c));
  EXPECT_GE(time, before);
  EXPECT_LE(time, now_ms());
}

TEST(uuid, is_version_4) {
  EXPECT_THAT(make_uuid(), MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_EQ(random_hex(16).size(), 32u);
  EXPECT_NE(random_hex(16), random_hex(16));
}

TEST(seed, is_what_engines_take) {
  for (int i = 0; i < 1000; ++i) {
    auto seed = random_seed();
    EXPECT_TRUE(seed >= 0 && seed <= 2'147'483'647) << seed;
  }
}

// FIPS 180-4 examples.
TEST(sha256, gives_the_published_digests) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(sha256, is_the_same_in_pieces_and_from_a_file) {
  std::string text(100'001, 'x');
  sha256 pieces;
  for (std::size_t at = 0; at < text.size(); at += 777)
    pieces.update(std::string_view{text}.substr(at, 777));
  auto path = std::filesystem::temp_directory_path() / ("troupe-sha256-" + std::to_string(getpid()));
  std::ofstream(path, std::ios::binary) << text;
  auto of_file = sha256_of_file(path);
  std::filesystem::remove(path);
  EXPECT_EQ(pieces.finish(), sha256_hex(text));
  ASSERT_TRUE(of_file);
  EXPECT_EQ(*of_file, sha256_hex(text));
  EXPECT_EQ(sha256_of_file(path).error().code, "io");
}

TEST(sha256, names_are_64_lower_case_digits_and_nothing_else) {
  EXPECT_TRUE(is_sha256(sha256_hex("")));
  EXPECT_FALSE(is_sha256(""));
  EXPECT_FALSE(is_sha256(std::string(64, 'A')));
  EXPECT_FALSE(is_sha256(std::string(64, 'g')));
  EXPECT_FALSE(is_sha256("../" + std::string(61, 'a')));
}

TEST(money, rounds_up_to_whole_credits) {
  EXPECT_EQ(round_up_to_credit(1), credits(1));
  EXPECT_EQ(round_up_to_credit(credits(1)), credits(1));
  EXPECT_EQ(round_up_to_credit(credits(1) + 1), credits(2));
  EXPECT_EQ(round_up_to_credit(0), 0);
}

} // namespace
} // namespace troupe

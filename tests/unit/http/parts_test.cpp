#include "http/rate_limit.hpp"
#include "http/resume.hpp"
#include "http/server/byte_range.hpp"
#include "http/url.hpp"

#include <gtest/gtest.h>

namespace troupe::http {
namespace {

TEST(a_rate_limit, counts_each_subject_in_its_own_window) {
  rate_limiter l{{}};
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(l.count(rate_class::spend, "ada", 1000 + i).allowed);
  auto no = l.count(rate_class::spend, "ada", 31'000);
  EXPECT_FALSE(no.allowed);
  EXPECT_EQ(no.reset_s, 30);
  EXPECT_EQ(no.remaining, 0);
  EXPECT_TRUE(l.count(rate_class::spend, "bob", 31'000).allowed);
  EXPECT_TRUE(l.count(rate_class::login, "ada", 31'000).allowed);
  EXPECT_TRUE(l.count(rate_class::spend, "ada", 61'000).allowed);
}

TEST(a_rate_limit, of_zero_is_none) {
  rate_limits none{0, 0, 0, 0, 0, 0, 10};
  rate_limiter l{none};
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(l.count(rate_class::spend, "ada", 0).allowed && l.count_address("1.2.3.4", 0).allowed &&
                l.count_key("k", std::nullopt, 0).allowed);
  EXPECT_EQ(l.counters(), 0u);
}

TEST(a_rate_limit, of_a_key_may_be_the_keys_own) {
  rate_limiter l{{}};
  EXPECT_EQ(l.count_key("k", std::nullopt, 0).limit, 60);
  EXPECT_TRUE(l.count_key("j", 1, 0).allowed);
  EXPECT_FALSE(l.count_key("j", 1, 0).allowed);
  EXPECT_EQ(l.count_key("i", 0, 0).limit, 0);
}

TEST(a_rate_limit, takes_the_addresses_of_an_ipv6_network_for_one) {
  rate_limits two;
  two.per_address_10min = 2;
  rate_limiter l{two};
  EXPECT_TRUE(l.count_address("2001:db8::1", 0).allowed);
  EXPECT_TRUE(l.count_address("2001:db8::2", 0).allowed);
  EXPECT_FALSE(l.count_address("2001:db8::3", 0).allowed);
  EXPECT_TRUE(l.count_address("2001:db8:0:1::3", 0).allowed);
}

TEST(a_rate_limit, of_logins_takes_an_ipv6_network_for_one) {
  rate_limits one;
  one.login_per_address_5min = 1;
  rate_limiter l{one};
  EXPECT_TRUE(l.count(rate_class::login, "2001:db8::1", 0).allowed);
  EXPECT_FALSE(l.count(rate_class::login, "2001:db8::2", 0).allowed);
  EXPECT_TRUE(l.count(rate_class::login, "2001:db8:0:1::1", 0).allowed);
}

TEST(a_rate_limit, goes_on_where_an_earlier_process_was) {
  rate_limiter before{{}};
  for (int i = 0; i < 10; ++i)
    before.count(rate_class::spend, "ada", 1000);
  before.count(rate_class::login, "1.2.3.4", 1000);
  before.count_address("1.2.3.4", 1000);
  before.count_key("k", std::nullopt, 1000);
  auto kept = before.changed(100);
  EXPECT_EQ(kept.size(), 2u) << "what counts spending and logins is kept, the rest is not";
  EXPECT_TRUE(before.changed(100).empty());
  rate_limiter after{{}};
  for (const auto& one : kept)
    after.restore(one, 2000);
  EXPECT_FALSE(after.count(rate_class::spend, "ada", 2000).allowed);
  EXPECT_EQ(after.count(rate_class::login, "1.2.3.4", 2000).remaining, 8);
  EXPECT_TRUE(after.count(rate_class::spend, "ada", 61'000).allowed) << "the window ends when it would have ended";
}

TEST(a_rate_limit, restores_nothing_that_is_over_or_not_its_own) {
  rate_limiter l{{}};
  for (const kept_window& one : {kept_window{"sada", 500, 10}, kept_window{"sbob", 90'000'000, 10},
                                 kept_window{"", 2000, 1}, kept_window{"a1.2.3.4", 2000, 5'000}})
    l.restore(one, 1000);
  EXPECT_EQ(l.counters(), 0u);
}

TEST(a_rate_limit, gives_back_what_was_refused_for_its_form) {
  rate_limits one;
  one.spend_per_user_minute = 1;
  rate_limiter l{one};
  EXPECT_TRUE(l.count(rate_class::spend, "ada", 0).allowed);
  EXPECT_EQ(l.give_back(rate_class::spend, "ada", 1).remaining, 1);
  EXPECT_TRUE(l.count(rate_class::spend, "ada", 2).allowed);
  EXPECT_FALSE(l.count(rate_class::spend, "ada", 3).allowed);
}

TEST(a_rate_limit, remembers_a_bounded_number) {
  rate_limits few;
  few.counters_max = 100;
  rate_limiter l{few};
  for (int i = 0; i < 10'000; ++i)
    l.count(rate_class::spend, std::to_string(i), i);
  EXPECT_LE(l.counters(), 100u);
  for (int i = 0; i < 60; ++i)
    l.count(rate_class::spend, "late" + std::to_string(i), 10'000'000);
  EXPECT_LE(l.counters(), 60u); // those whose window is over make room first
}

TEST(byte_ranges, are_single_and_within_the_file) {
  auto plan = [](const char* range) { return plan_file(10, "t", range, "", ""); };
  for (auto whole :
       {"", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "items=0-1", "bytes=0-1,2-3", "bytes=--1", "bytes=1 2-3"})
    EXPECT_EQ(plan(whole).status, 200) << whole;
  EXPECT_EQ(plan("bytes=0-0").length, 1u);
  EXPECT_EQ(plan("bytes=3-").offset, 3u);
  EXPECT_EQ(plan("bytes=3-").length, 7u);
  EXPECT_EQ(plan("bytes=-4").offset, 6u);
  EXPECT_EQ(plan("bytes=-99").length, 10u);
  EXPECT_EQ(plan("bytes=0-18446744073709551615").length, 10u);
  EXPECT_EQ(plan("bytes=0-99999999999999999999999").status, 200);
  EXPECT_EQ(plan("bytes=-0").status, 416);
  EXPECT_EQ(plan("bytes=10-").status, 416);
  EXPECT_EQ(plan_file(0, "t", "bytes=0-", "", "").status, 416);
  EXPECT_EQ(plan_file(10, "t", "", "", "*").status, 304);
  EXPECT_EQ(plan_file(10, "", "", "", "*").status, 200);
  EXPECT_EQ(plan_file(10, "t", "bytes=0-1", "W/\"t\"", "").status, 200);
}

TEST(percent_encoding, is_undone_only_when_it_is_right) {
  EXPECT_EQ(percent_decode("a%20b+c"), "a b+c");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
  for (auto bad : {"%", "%4", "%zz", "%00", "%ff", "%c0%af", "%ed%a0%80", "%f4%90%80%80"})
    EXPECT_EQ(percent_decode(bad), std::nullopt) << bad;
  EXPECT_EQ(percent_decode(percent_encode("ä/?&=%")), "ä/?&=%");
}

TEST(queries, have_a_bounded_number_of_parameters) {
  std::string text;
  for (int i = 0; i < 101; ++i)
    text += "a=" + std::to_string(i) + "&";
  EXPECT_FALSE(parse_query(text));
  EXPECT_EQ(parse_query("&&a=1&a=2&=x&b")->size(), 4u);
}

TEST(streams, resume_after_the_id_that_the_client_saw_last) {
  request r;
  EXPECT_EQ(resume_after(r), std::nullopt);
  r.query.emplace("last_event_id", "7");
  EXPECT_EQ(resume_after(r), 7u);
  r.headers.emplace_back("last-event-id", "18446744073709551615");
  EXPECT_EQ(resume_after(r), UINT64_MAX) << "the header is the browser's own and wins";
}

TEST(streams, begin_anew_after_what_is_no_id) {
  for (const char* text : {"-1", "+7", " 7", "7 ", "0x7", "7.0", "seven", "18446744073709551616"}) {
    request r;
    r.headers.emplace_back("last-event-id", text);
    EXPECT_EQ(resume_after(r), 0u) << text;
  }
}

TEST(uuids, are_recognised) {
  EXPECT_TRUE(is_uuid("0f8fad5b-d9cb-469f-a165-70867728950E"));
  EXPECT_FALSE(is_uuid("0f8fad5b-d9cb-469f-a165-70867728950"));
  EXPECT_FALSE(is_uuid("0f8fad5bxd9cb-469f-a165-70867728950e"));
}

} // namespace
} // namespace troupe::http

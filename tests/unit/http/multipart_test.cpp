#include "http/multipart.hpp"

#include <gtest/gtest.h>

#include <random>

namespace troupe::http {
namespace {

constexpr std::string_view type = "multipart/form-data; boundary=abc";

TEST(Multipart, parts_have_names_and_content_as_it_came) {
  const std::string body = "--abc\r\nContent-Disposition: form-data; name=\"avatar\"; filename=\"me \\\"1\\\".png\"\r\n"
                           "Content-Type: image/png\r\n\r\n\x89PNG\r\n--ab\r\n\r\n--abc\r\n"
                           "content-disposition: form-data; name=note\r\n\r\n\r\n--abc--\r\n";
  auto parts = read_multipart(type, body);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 2u);
  EXPECT_EQ((*parts)[0].name, "avatar");
  EXPECT_EQ((*parts)[0].file_name, "me \"1\".png");
  EXPECT_EQ((*parts)[0].content, "\x89PNG\r\n--ab\r\n");
  EXPECT_EQ((*parts)[1].name, "note");
  EXPECT_EQ((*parts)[1].content, "");
}

TEST(Multipart, a_preamble_and_a_quoted_boundary_are_fine) {
  const std::string body = "hello\r\n--a b\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--a b--";
  auto parts = read_multipart("Multipart/Form-Data; charset=utf-8; boundary=\"a b\"", body);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 1u);
  EXPECT_EQ((*parts)[0].content, "1");
}

TEST(Multipart, what_is_broken_is_refused) {
  for (const std::string body :
       {"", "--abc", "--abc\r\n", "--abc\r\nno headers", "--abc\r\n\r\nno end", "--abx\r\n\r\n1\r\n--abx--",
        "--abc\r\nContent-Disposition: form-data; name=x\r\n\r\n1"})
    EXPECT_FALSE(read_multipart(type, body)) << body;
  EXPECT_FALSE(read_multipart("multipart/form-data", "--abc--"));
  EXPECT_FALSE(read_multipart("application/json", "--abc--"));
  std::string many;
  for (int i = 0; i < 20; ++i)
    many += "--abc\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n";
  EXPECT_FALSE(read_multipart(type, many + "--abc--"));
}

/// Goal: no body makes it read outside the body or run for ever. Method: random cuts and changes of a good one, to be
/// run under the sanitizers; the seed is the number.
TEST(Multipart, no_body_brings_it_down) {
  const std::string good =
      "--abc\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\n12345\r\n--abc\r\n"
      "Content-Disposition: form-data; name=c\r\n\r\n\r\n--abc--\r\n";
  for (unsigned seed = 0; seed < 20'000; ++seed) {
    std::mt19937 dice(seed);
    auto body = good.substr(0, dice() % (good.size() + 1));
    for (unsigned i = 0; i < dice() % 4 && !body.empty(); ++i)
      body[dice() % body.size()] = "\r\n-abc\"\\;="[dice() % 10];
    if (auto parts = read_multipart(type, body)) {
      for (const auto& part : *parts)
        ASSERT_LE(part.content.size(), body.size()) << seed;
    }
  }
}

} // namespace
} // namespace troupe::http

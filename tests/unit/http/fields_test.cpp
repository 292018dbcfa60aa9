#include "http/endpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace troupe::http {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct shot {
  std::string prompt;
  std::optional<std::int64_t> seed;
};
template <class V>
void describe(V& v, shot& x) {
  v.required("prompt", x.prompt, "what is to be seen", {.length_min = 1, .length_max = 5});
  v.optional("seed", x.seed, "-1 for random", {.min = -1, .max = 2147483647});
}

struct film {
  int frames = 81;
  double cfg = 6;
  bool loop = false;
  std::string mode = "fast";
  std::vector<shot> shots;
  std::map<std::string, double> weights;
  std::string site, mail, file, word;
  json anything;
};
template <class V>
void describe(V& v, film& x) {
  v.optional("frames", x.frames, "", {.min = 1, .max = 999});
  v.optional("cfg", x.cfg, "", {.min = 0, .max = 30});
  v.optional("loop", x.loop, "");
  v.optional("mode", x.mode, "", {.one_of = {"fast", "good"}});
  v.required("shots", x.shots, "", {.items_min = 1, .items_max = 3});
  v.optional("weights", x.weights, "", {.max = 1});
  v.optional("site", x.site, "", {.form = form::url});
  v.optional("mail", x.mail, "", {.form = form::email});
  v.optional("file", x.file, "", {.form = form::file_name});
  v.optional("word", x.word, "", {.form = form::not_blank});
  v.optional("anything", x.anything, "");
}

std::vector<std::string> faults_of(json in, film* out = nullptr) {
  if (!in.contains("shots"))
    in["shots"] = json::array({{{"prompt", "a"}}});
  film x;
  value_reader values;
  body_reader v{values, in, {}};
  describe(v, x);
  std::vector<std::string> messages;
  for (const auto& f : values.faults())
    messages.push_back(f.message);
  if (out)
    *out = x;
  return messages;
}

TEST(fields, are_read_with_their_types_and_unknown_ones_are_ignored) {
  film x;
  auto in = json::parse(R"({"frames": 41, "cfg": 7, "loop": true, "mode": "good", "new": [1], "anything": [null, 1],
    "shots": [{"prompt": "äöü☃𝄞", "seed": -1}, {"prompt": "b", "seed": null}], "weights": {"a": 0.5}})");
  EXPECT_THAT(faults_of(in, &x), IsEmpty());
  EXPECT_EQ(x.frames, 41);
  EXPECT_EQ(x.cfg, 7.0);
  EXPECT_TRUE(x.loop);
  EXPECT_EQ(x.shots.size(), 2u);
  EXPECT_EQ(x.shots[0].seed, -1);
  EXPECT_EQ(x.shots[1].seed, std::nullopt);
  EXPECT_EQ(x.weights["a"], 0.5);
  EXPECT_EQ(x.anything, json::parse("[null,1]"));
}

TEST(fields, keep_their_defaults_when_absent_or_null) {
  film x;
  EXPECT_THAT(faults_of({{"frames", nullptr}}, &x), IsEmpty());
  EXPECT_EQ(x.frames, 81);
  EXPECT_EQ(x.mode, "fast");
}

TEST(fields, that_are_integers_say_so_and_their_range) {
  const std::string says = "frames must be an integer between 1 and 999";
  for (auto bad : {"0", "-1", "1000", "1.5", "1e308", "-1e308", "\"41\"", "true", "[]", "{}", "9223372036854775808",
                   "18446744073709551616", "1e-400"})
    EXPECT_THAT(faults_of({{"frames", json::parse(bad)}}), ElementsAre(says)) << bad;
  film x;
  EXPECT_THAT(faults_of({{"frames", json::parse("41.0")}}, &x), IsEmpty());
  EXPECT_EQ(x.frames, 41);
}

TEST(fields, that_are_numbers_say_so_and_their_range) {
  for (auto bad : {"-0.1", "30.5", "1e308", "\"6\"", "false"})
    EXPECT_THAT(faults_of({{"cfg", json::parse(bad)}}), ElementsAre("cfg must be a number between 0 and 30")) << bad;
}

TEST(fields, that_are_booleans_take_no_numbers) {
  EXPECT_THAT(faults_of({{"loop", 1}}), ElementsAre("loop must be true or false"));
}

TEST(fields, that_are_text_are_counted_in_code_points) {
  auto shots = [](const std::string& prompt) { return json{{"shots", {{{"prompt", prompt}}}}}; };
  EXPECT_THAT(faults_of(shots("☃☃☃☃☃")), IsEmpty());
  EXPECT_THAT(faults_of(shots("☃☃☃☃☃☃")), ElementsAre("shots[0].prompt must be 1 to 5 characters long"));
  EXPECT_THAT(faults_of(shots("")), ElementsAre("shots[0].prompt must be 1 to 5 characters long"));
  EXPECT_THAT(faults_of(shots(std::string{"a\0b", 3})),
              ElementsAre("shots[0].prompt must not contain a NUL character"));
}

TEST(fields, name_the_place_inside_arrays_and_objects) {
  auto in = json::parse(R"({"shots": [{"prompt": "a"}, {"seed": 1.5}, 7], "weights": {"x": 2}})");
  EXPECT_THAT(faults_of(in),
              ElementsAre("shots[1].prompt is required", "shots[1].seed must be an integer between -1 and 2147483647",
                          "shots[2] must be an object", "weights.x must be a number of at most 1"));
  EXPECT_THAT(faults_of({{"shots", json::array()}}), ElementsAre("shots must have 1 to 3 items"));
  EXPECT_THAT(faults_of({{"shots", "x"}}), ElementsAre("shots must be an array"));
}

TEST(fields, of_a_form_say_what_they_want) {
  EXPECT_THAT(faults_of({{"mode", "slow"}}), ElementsAre("mode must be one of fast, good"));
  EXPECT_THAT(faults_of({{"site", "javascript:x"}}), ElementsAre("site must be an http or https URL"));
  EXPECT_THAT(faults_of({{"site", "https://a.b/c?d"}}), IsEmpty());
  for (auto bad : {"a", "a@b", "@b.c", "a@b@c.d", "a @b.c"})
    EXPECT_THAT(faults_of({{"mail", bad}}), ElementsAre("mail must be an e-mail address")) << bad;
  for (auto bad : {"../x", ".x", "a/b", "a\\b", "", "a\nb"})
    EXPECT_THAT(faults_of({{"file", bad}}), ElementsAre("file must be a file name")) << bad;
  EXPECT_THAT(faults_of({{"word", " \n"}}), ElementsAre("word must not be blank"));
}

TEST(fields, report_a_bounded_number_of_faults) {
  json in{{"weights", json::object()}};
  for (int i = 0; i < 1000; ++i)
    in["weights"][std::to_string(i) + std::string(1000, 'x')] = 7;
  auto faults = faults_of(in);
  EXPECT_EQ(faults.size(), 20u);
  EXPECT_LT(faults.front().size(), 300u);
}

struct page_query {
  int limit = 50;
  std::optional<std::string> q;
  std::vector<int> ids;
  bool all = false;
};
template <class V>
void describe(V& v, page_query& x) {
  v.optional("limit", x.limit, "", {.min = 1, .max = 200});
  v.optional("q", x.q, "");
  v.optional("ids", x.ids, "");
  v.optional("all", x.all, "");
}

std::string query_fault(std::multimap<std::string, std::string> in, page_query& x) {
  request r;
  r.query = std::move(in);
  auto wrong = read_query(r, x);
  return wrong ? wrong->message : "";
}

TEST(queries, are_read_by_type) {
  page_query x;
  EXPECT_EQ(query_fault({{"limit", "7"}, {"q", "12"}, {"ids", "1"}, {"ids", "2"}, {"all", "true"}}, x), "");
  EXPECT_EQ(x.limit, 7);
  EXPECT_EQ(x.q, "12");
  EXPECT_THAT(x.ids, ElementsAre(1, 2));
  EXPECT_TRUE(x.all);
}

TEST(queries, name_the_parameter_that_is_wrong) {
  page_query x;
  for (auto bad : {"0", "201", "x", "", "1x", " 1", "1e400", "nan"})
    EXPECT_EQ(query_fault({{"limit", bad}}, x), "limit must be an integer between 1 and 200") << bad;
  EXPECT_EQ(query_fault({{"all", "yes"}}, x), "all must be true or false");
}

TEST(bodies, are_json_objects_in_utf_8) {
  auto refusal = [](const std::string& type, const std::string& body) {
    request r;
    if (!type.empty())
      r.headers = {{"content-type", type}};
    r.body = body;
    shot x;
    return read_body(r, x).value_or(problem{200, {}, {}, {}, {}});
  };
  EXPECT_EQ(refusal("", R"({"prompt":"a"})").status, 200);
  EXPECT_EQ(refusal("Application/JSON; charset=UTF-8", R"({"prompt":"a"})").status, 200);
  EXPECT_EQ(refusal("application/merge-patch+json", R"({"prompt":"a"})").status, 200);
  for (auto type : {"text/xml", "application/x-www-form-urlencoded", "multipart/form-data",
                    "application/json; charset=latin1", "x"})
    EXPECT_EQ(refusal(type, R"({"prompt":"a"})").status, 415) << type;
  auto broken = refusal("", R"({"prompt":"a",})");
  EXPECT_EQ(broken.status, 400);
  EXPECT_NE(broken.message.find("at byte 15"), std::string::npos) << broken.message;
  for (auto bad :
       {"NaN", "{\"prompt\":NaN}", "[]", "1", "null", "{\"prompt\":\"\xff\"}", "{\"prompt\":\"\\ud800\"}", "{}x"})
    EXPECT_EQ(refusal("", bad).status, 400) << bad;
  EXPECT_EQ(refusal("", std::string(100'000, '[')).status, 400);
  EXPECT_EQ(refusal("", "").message, "prompt is required");
}

TEST(schemas, say_what_the_reader_checks) {
  auto s = schema(film{}, {});
  EXPECT_EQ(s["properties"]["frames"], json::parse(R"({"type":"integer","minimum":1,"maximum":999,"default":81})"));
  EXPECT_EQ(s["properties"]["mode"], json::parse(R"({"type":"string","enum":["fast","good"],"default":"fast"})"));
  EXPECT_EQ(s["properties"]["shots"]["items"]["properties"]["prompt"]["maxLength"], 5);
  EXPECT_EQ(s["properties"]["shots"]["maxItems"], 3);
  EXPECT_EQ(s["required"], json::array({"shots"}));
}

} // namespace
} // namespace troupe::http

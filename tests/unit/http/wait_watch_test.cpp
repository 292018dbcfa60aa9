#include "http/workflows/wait_watch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>

namespace troupe::http {
void register_gateway_messages();
namespace workflows {
namespace {

/// A watch of job "j", whose actor answers with `rows`.
struct WaitWatch : ::testing::Test {
  static void SetUpTestSuite() {
    static std::once_flag registered;
    std::call_once(registered, [] {
      register_messages();
      register_gateway_messages();
    });
  }
  ~WaitWatch() override { others->clear(); }
  void SetUp() override {
    others->directory = system.spawn([this]() -> caf::behavior {
      return {[this](route& r) {
        ++asked;
        EXPECT_EQ(r.id, "j");
        EXPECT_TRUE(r.content.match_elements<explain_job>());
        return description{{{"count", rows.size()}, {"stages", rows}}};
      }};
    });
  }

  static json row(std::uint32_t index, const char* code, json position, json eta_ms = 5) {
    return {{"index", index}, {"stage", "s"},         {"code", code},
            {"reason", code}, {"position", position}, {"eta_ms", eta_ms}};
  }
  static log_entry entry(const char* event, std::uint32_t index) {
    return {event, "j", json{{"index", index}, {"job_id", "j"}}.dump()};
  }
  /// The indices and positions of what one look tells.
  std::vector<std::pair<int, int>> look(wait_watch& watch) {
    std::vector<std::pair<int, int>> out;
    auto once = [&]() -> asio::awaitable<void> {
      auto events = co_await watch.look();
      for (const auto& e : events) {
        EXPECT_EQ(e.id, "");
        EXPECT_EQ(e.name, "waiting");
        auto data = json::parse(e.data);
        EXPECT_EQ(data["job_id"], "j");
        EXPECT_TRUE(data.contains("eta_ms"));
        out.emplace_back(data["index"], data["position"]);
      }
    };
    asio::co_spawn(io, once, [](std::exception_ptr why) { EXPECT_FALSE(why); });
    io.restart();
    io.run_for(std::chrono::seconds(20));
    return out;
  }

  using told = std::vector<std::pair<int, int>>;
  asio::io_context io{1}; // outlives the actors, which post to it
  caf::actor_system_config config;
  caf::actor_system system{config};
  address_book_ptr others = std::make_shared<address_book>();
  gateway actors{system, others};
  json rows = json::array(); // nothing is asked while it changes
  std::atomic<int> asked{0};
};

TEST(WatchPlaces, AnAccountHasSoManyAtATimeAndGetsThemBack) {
  watch_places places;
  std::vector<std::shared_ptr<void>> taken;
  for (std::size_t i = 0; i < watch_places::of_account_max; ++i)
    ASSERT_TRUE(taken.emplace_back(places.take("a")));
  EXPECT_FALSE(watch_places{places}.take("a"));
  EXPECT_TRUE(places.take("b")) << "another account has its own";
  taken.pop_back();
  EXPECT_TRUE(places.take("a"));
  EXPECT_TRUE(places.take("a")) << "it was given back at once";
  taken.clear();
  EXPECT_TRUE(places.take("a"));
}

TEST_F(WaitWatch, TellsAgainOnlyWhatHasChangedAndNotForTheEstimate) {
  wait_watch watch(actors, "j", nullptr, 0);
  rows = {row(2, "busy", 1, 100), row(10, "busy", 2, 200)};
  EXPECT_EQ(look(watch), (told{{2, 1}, {10, 2}}));
  rows = {row(2, "busy", 1, 90), row(10, "busy", 2, 190)};
  EXPECT_EQ(look(watch), told{});
  rows = {row(10, "busy", 1, 90)};
  EXPECT_EQ(look(watch), (told{{10, 1}}));
  rows = {row(10, "draining", 1, nullptr)};
  EXPECT_EQ(look(watch), (told{{10, 1}}));
}

TEST_F(WaitWatch, TellsOfAStageAgainThatRanAndWaitsOnceMore) {
  wait_watch watch(actors, "j", nullptr, 0);
  rows = {row(0, "busy", 1), row(1, "busy", 2)};
  look(watch);
  watch.heard(entry("stage", 0));
  EXPECT_EQ(look(watch), (told{{0, 1}}));
}

TEST_F(WaitWatch, AsksNoMoreWhileNothingWaits) {
  wait_watch watch(actors, "j", nullptr, 0);
  EXPECT_EQ(look(watch), told{});
  EXPECT_EQ(asked, 1) << "at first it cannot know";
  watch.heard(entry("progress", 0));
  look(watch);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(watch.time_left(30'000), 30'000);
  watch.heard(entry("stage", 0));
  EXPECT_EQ(watch.time_left(30'000), 0);
  look(watch);
  EXPECT_EQ(asked, 2);
}

TEST_F(WaitWatch, AsksNoMoreOftenThanItIsToHoweverMuchIsHeard) {
  wait_watch watch(actors, "j", nullptr, 60'000);
  rows = {row(0, "busy", 1)};
  look(watch);
  watch.heard(entry("stage", 0));
  EXPECT_GT(watch.time_left(120'000), 30'000);
  EXPECT_LE(watch.time_left(120'000), 60'000);
  EXPECT_EQ(watch.time_left(7), 7);
  look(watch);
  EXPECT_EQ(asked, 1);
}

} // namespace
} // namespace workflows
} // namespace troupe::http

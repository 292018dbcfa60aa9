#include "http/bridge/gateway.hpp"

#include "common/clock.hpp"
#include "http/studio/video.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <mutex>
#include <optional>

namespace troupe::http {
void register_gateway_messages();
namespace {

struct Gateway : ::testing::Test {
  static void SetUpTestSuite() {
    static std::once_flag registered;
    std::call_once(registered, [] {
      register_messages();
      register_gateway_messages();
    });
  }
  ~Gateway() override {
    late = {};
    others->clear();
  }

  asio::io_context io{1}; // outlives the actors, which post to it
  caf::actor_system_config config;
  caf::actor_system system{config};
  address_book_ptr others = std::make_shared<address_book>();
  caf::typed_response_promise<description> late; // of whoever is never answered

  /// What comes of asking the scheduler once.
  std::optional<caf::expected<description>> ask(gateway& through) {
    std::optional<caf::expected<description>> out;
    auto once = [&]() -> asio::awaitable<void> {
      read_queue question{"a1"};
      auto answer = co_await through.ask_scheduler(std::move(question));
      out = std::move(answer);
    };
    asio::co_spawn(io, once, [](std::exception_ptr) {});
    io.restart();
    io.run_for(std::chrono::seconds(20));
    return out;
  }
};

TEST_F(Gateway, BringsTheAnswer) {
  others->scheduler = system.spawn([]() -> caf::behavior {
    return {[](read_queue& m) { return description{{{"account", m.account}}}; }};
  });
  gateway own(system, others);
  auto answer = ask(own);
  ASSERT_TRUE(answer && *answer);
  EXPECT_EQ((*answer)->value["account"], "a1");
}

// A job may end, and be forgotten, between a list of jobs and the question why its stages wait.
TEST_F(Gateway, TheQueueAsksOnUntilAJobIsUnavailable) {
  std::vector<std::string> asked;
  others->directory = system.spawn([&asked]() -> caf::behavior {
    return {[&asked](route& r) -> caf::result<description> {
      asked.push_back(r.id);
      if (r.id == "gone")
        return refuse(refusal::not_found, "no such job");
      if (r.id == "slow")
        return refuse(refusal::unavailable, "the disk is slow");
      return description{{{"count", 1}, {"stages", json::array({r.id})}}};
    }};
  });
  gateway own(system, others);
  std::vector<json> waits;
  auto all = [&]() -> asio::awaitable<void> {
    std::vector<std::string> jobs{"one", "gone", "two", "slow", "three"};
    waits = co_await studio::waits_of(own, std::move(jobs));
  };
  asio::co_spawn(io, all, [](std::exception_ptr why) { EXPECT_FALSE(why); });
  io.run_for(std::chrono::seconds(20));
  EXPECT_EQ(asked, (std::vector<std::string>{"one", "gone", "two", "slow"}));
  ASSERT_EQ(waits.size(), 5u);
  EXPECT_EQ(waits[0]["stages"][0], "one");
  EXPECT_TRUE(waits[1].is_null());
  EXPECT_EQ(waits[2]["stages"][0], "two");
  EXPECT_TRUE(waits[3].is_null() && waits[4].is_null());
}

TEST_F(Gateway, WhoIsNotAnsweredInTimeIsTold) {
  others->scheduler = system.spawn([this](caf::event_based_actor* self) -> caf::behavior {
    return {[this, self](read_queue&) -> caf::result<description> {
      auto promise = self->make_response_promise<description>();
      late = promise;
      return promise;
    }};
  });
  gateway own(system, others, std::chrono::milliseconds(300));
  auto begin = steady_ms();
  auto answer = ask(own);
  ASSERT_TRUE(answer);
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error(), caf::make_error(caf::sec::request_timeout));
  EXPECT_EQ(read_refusal(answer->error()).why, refusal::unavailable);
  EXPECT_GE(steady_ms() - begin, 300);
  late.deliver(description{}); // to nobody
  EXPECT_TRUE(ask(own)) << "and the next is looked after, too";
}

TEST_F(Gateway, AnActorThatIsGoneIsNotWaitedFor) {
  others->scheduler = system.spawn([]() -> caf::behavior { return {[](read_queue&) { return description{}; }}; });
  caf::anon_send_exit(others->scheduler, caf::exit_reason::kill);
  gateway own(system, others);
  auto begin = steady_ms();
  auto answer = ask(own);
  ASSERT_TRUE(answer);
  EXPECT_FALSE(*answer);
  EXPECT_LT(steady_ms() - begin, 10'000);
}

} // namespace
} // namespace troupe::http

#include "actors/directory/directory_actor.hpp"

#include "actors/account/account_actor.hpp"
#include "actors/ledger/ledger_actor.hpp"
#include "actors/messages.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <thread>

namespace troupe {
namespace {

/// A directory over a real database, with an idle time short enough to see actors leave.
struct Directory : ::testing::Test {
  std::filesystem::path folder;
  std::unique_ptr<storage::database> database;
  actor_board board;
  admin_roll admins;
  caf::actor_system_config config;
  std::unique_ptr<caf::actor_system> system;
  caf::actor directory;

  void SetUp() override {
    static const bool registered = (register_messages(), true);
    ASSERT_TRUE(registered);
    char made[] = "/tmp/troupe-directory-XXXXXX";
    folder = ::mkdtemp(made);
    storage::database_options options;
    options.directory = folder;
    auto opened = storage::database::open(options);
    ASSERT_TRUE(opened) << opened.error().message;
    database = std::move(*opened);
    config.set("caf.scheduler.policy", "sharing");
    system = std::make_unique<caf::actor_system>(config);
    directory_options quick;
    quick.passivate_after_ms = 0;
    auto make = [this](caf::event_based_actor& parent, actor_kind kind, std::string id, past_of_actor past) {
      if (kind == actor_kind::account)
        return parent.spawn<account_actor>(std::ref(board), std::ref(database->journal()), std::ref(admins),
                                           std::move(id), std::move(past.events));
      return parent.spawn<ledger_actor>(std::ref(board), std::ref(database->journal()), std::move(id),
                                        std::move(past.events), past.last_feed_id);
    };
    directory = system->spawn<directory_actor>(std::ref(board), std::ref(*database), make, quick);
  }
  void TearDown() override {
    for (const auto& entry : board.list("", "", 1000))
      if (auto who = caf::actor_cast<caf::strong_actor_ptr>(entry->address))
        caf::anon_send_exit(caf::actor_cast<caf::actor>(who), caf::exit_reason::user_shutdown);
    directory = nullptr;
    system->await_all_actors_done();
    database.reset();
    system.reset();
    std::filesystem::remove_all(folder);
  }

  template <class Command>
  caf::expected<typename Command::reply> ask(Command command) {
    caf::scoped_actor self{*system};
    caf::expected<typename Command::reply> out{caf::error{}};
    self->request(directory, std::chrono::seconds(20), routed(std::move(command)))
        .receive([&](typename Command::reply& x) { out = std::move(x); }, [&](caf::error& e) { out = std::move(e); });
    return out;
  }
  static create_account alice(const char* account) {
    create_account out;
    out.account = account;
    out.username = "alice";
    out.password_hash = "hash";
    return out;
  }
};

TEST_F(Directory, ActivatesAnActorOnItsFirstMessage) {
  ASSERT_TRUE(ask(alice("a1")));
  EXPECT_TRUE(board.find("account", "a1"));
}

TEST_F(Directory, BringsBackAnActorThatHasLeftWithAllItKnew) {
  ASSERT_TRUE(ask(alice("a1")));
  caf::anon_send(directory, sweep{0});
  for (int i = 0; i < 1000 && board.find("account", "a1"); ++i) // until it has left, 10 s at most
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_FALSE(board.find("account", "a1"));
  auto back = ask(describe_account{"a1"});
  ASSERT_TRUE(back);
  EXPECT_EQ(back->username, "alice");
}

TEST_F(Directory, LetsOnlyOneAccountHaveAName) {
  ASSERT_TRUE(ask(alice("a1")));
  auto second = ask(alice("a2"));
  ASSERT_FALSE(second);
  EXPECT_EQ(read_refusal(second.error()).why, refusal::exists);
  auto described = ask(describe_account{"a2"});
  while (!described && read_refusal(described.error()).why == refusal::unavailable)
    described = ask(describe_account{"a2"}); // it met the one that was just refused, on its way out
  ASSERT_FALSE(described);
  EXPECT_EQ(read_refusal(described.error()).why, refusal::not_found);
}

TEST_F(Directory, LosesNoMessageWhileActorsComeAndGo) {
  int granted = 0;
  for (int i = 0; i < 200; ++i) {
    book request;
    request.account = "b1";
    request.movements.push_back({"grant", 1, {}, {}, {}, {}});
    granted += ask(std::move(request)) ? 1 : 0;
    caf::anon_send(directory, sweep{0});
  }
  auto now = ask(read_books{"b1"});
  ASSERT_TRUE(now);
  EXPECT_EQ(granted, 200);
  EXPECT_EQ(now->balance, 200);
}

} // namespace
} // namespace troupe

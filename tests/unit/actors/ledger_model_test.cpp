#include "actors/ledger/ledger_actor.hpp"
#include "tests/support/deterministic_system.hpp"
#include "tests/support/slow_journal.hpp"
#include "tests/unit/actors/ledger_model.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <random>

namespace troupe {
namespace {

using testing::deterministic_system;
using testing::ledger_model;
using testing::model_answer;
using testing::model_order;
using testing::slow_journal;

struct reply_slot {
  std::optional<booked> done;
  std::optional<refused> refused_with;
};

book command_of(const std::vector<model_order>& orders) {
  book out;
  out.account = "alice";
  out.at = 1000;
  for (const auto& o : orders)
    out.movements.push_back({o.kind, o.amount, o.job, o.stage, o.period, {}, o.reference, o.key, o.key_limit});
  return out;
}

/// Sends everything at once, in order, and keeps what comes back.
caf::behavior customers(caf::event_based_actor* self, caf::actor ledger, std::vector<book> all,
                        std::shared_ptr<std::vector<reply_slot>> replies) {
  for (std::size_t i = 0; i < all.size(); ++i)
    self->request(ledger, caf::infinite, std::move(all[i]))
        .then([replies, i](booked& answer) { (*replies)[i].done = std::move(answer); },
              [replies, i](caf::error& why) { (*replies)[i].refused_with = read_refusal(why); });
  return {};
}

/// One ledger that lives through many crashes, and its model.
class world {
public:
  world(std::uint64_t seed) : random_(seed) { disk_.keep_written = false; }
  ~world() {
    disk_.stopped = false;
    disk_.let_go();
    end_ledger();
  }

  std::size_t burst();
  void compare_books();

private:
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  std::vector<model_order> orders();
  model_order order();
  void start_ledger() {
    if (ledger_)
      return;
    ledger_ = cluster_.system.spawn<ledger_actor>(std::ref(board_), std::ref(disk_), std::string{"alice"},
                                                  *disk_.replay("ledger/alice"), 0);
    cluster_.scheduler.run();
  }
  void end_ledger() {
    if (ledger_)
      caf::anon_send_exit(ledger_, caf::exit_reason::kill);
    ledger_ = nullptr;
    cluster_.scheduler.run();
  }

  std::mt19937_64 random_;
  slow_journal disk_;
  actor_board board_;
  deterministic_system cluster_;
  caf::actor ledger_;
  ledger_model model_;
  std::vector<std::vector<model_order>> earlier_; // to be sent again
  std::uint64_t next_job_ = 0, next_reference_ = 0;
  std::string last_reversed_;
};

model_order world::order() {
  static const char* kinds[] = {"hold",      "hold",     "hold",    "hold",      "capture",  "capture",
                                "capture",   "capture",  "meter",   "meter",     "release",  "grant",
                                "topup",     "reversal", "refund",  "allowance", "hold",     "meter",
                                "nonsense?", "meter",    "release", "capture",   "reversal", "reinstatement"};
  model_order out;
  out.kind = kinds[draw(std::size(kinds))];
  // Mostly prices of a few credits, sometimes fractions, rarely something absurd.
  out.amount =
      draw(3) == 0 ? static_cast<std::int64_t>(draw(9'000'000)) : static_cast<std::int64_t>(draw(30)) * 1'000'000;
  if (draw(100) == 0)
    out.amount = -out.amount - 1;
  if (out.kind == "hold" && draw(10) != 0)
    ++next_job_;
  out.job = "job" + std::to_string(next_job_ - draw(std::min<std::uint64_t>(next_job_ + 1, 6)));
  out.stage = std::to_string(draw(4));
  out.period = "2026-" + std::to_string(10 + next_job_ / 100 + draw(2));
  out.reference =
      draw(50) == 0 ? "" : "ref" + std::to_string(draw(4) == 0 ? draw(next_reference_ + 1) : ++next_reference_);
  if (out.kind == "reversal" && draw(2) == 0)
    last_reversed_ = out.reference;
  if (out.kind == "reinstatement" && draw(4) != 0) // a dispute that was lost before, and perhaps is only sent after
    out.reference = last_reversed_;
  if (draw(2) == 0) {
    out.key = "key" + std::to_string(draw(3));
    out.key_limit = draw(2) == 0 ? 0 : static_cast<std::int64_t>(draw(2'000)) * 1'000'000;
  }
  return out;
}

std::vector<model_order> world::orders() {
  if (!earlier_.empty() && draw(8) == 0)
    return earlier_[draw(earlier_.size())]; // somebody sends again what was perhaps done long ago
  std::vector<model_order> out;
  for (auto n = draw(4) == 0 ? 1 + draw(4) : 1; n > 0; --n)
    out.push_back(order());
  earlier_.push_back(out);
  if (earlier_.size() > 64)
    earlier_.erase(earlier_.begin());
  return out;
}

/// Many customers at once, and then the disk takes all of it, some of it, or fails. Returns how many orders were sent.
std::size_t world::burst() {
  start_ledger();
  std::vector<std::vector<model_order>> sent;
  for (auto n = 1 + draw(24); n > 0; --n)
    sent.push_back(orders());
  std::shuffle(sent.begin(), sent.end(), random_);

  std::vector<model_answer> expected;
  std::vector<ledger_model> after; // each order that reached the journal
  std::vector<bool> at_once;       // it moves nothing, and nothing is on its way to the disk
  std::vector<book> commands;
  auto before = model_;
  for (const auto& one : sent) {
    expected.push_back(model_.take(one));
    auto taken = expected.back().refused.empty();
    at_once.push_back(taken && expected.back().transfers == 0 && after.empty());
    if (taken && !at_once.back())
      after.push_back(model_);
    commands.push_back(command_of(one));
  }
  auto replies = std::make_shared<std::vector<reply_slot>>(sent.size());
  disk_.stopped = true;
  cluster_.system.spawn(customers, ledger_, std::move(commands), replies);
  cluster_.scheduler.run();
  EXPECT_EQ(disk_.waiting(), after.size());
  for (std::size_t i = 0; i < sent.size(); ++i)
    EXPECT_EQ((*replies)[i].done.has_value(), at_once[i]) << "answered before the disk knew, or waiting for nothing";

  auto written = after.size();
  auto fate = draw(10);
  if (fate < 2) { // the process dies when some of it is on the disk; perhaps somebody heard of it before
    written = draw(after.size() + 1);
    disk_.let_go(written);
    if (draw(2) == 0)
      cluster_.scheduler.run();
    disk_.forget();
    end_ledger();
  } else if (fate == 2) { // the disk fails after some of it
    written = draw(after.size() + 1);
    disk_.let_go(written);
    disk_.next_status = draw(2) == 0 ? storage::commit_status::failed : storage::commit_status::full;
    disk_.let_go();
    cluster_.scheduler.run();
    disk_.next_status = storage::commit_status::ok;
    if (written < after.size())
      ledger_ = nullptr; // it has left by itself
  } else {
    disk_.let_go();
    cluster_.scheduler.run();
  }
  disk_.stopped = false;
  if (written < after.size())
    model_ = written == 0 ? before : after[written - 1];

  std::size_t nth = 0;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    const auto& reply = (*replies)[i];
    const auto& e = expected[i];
    if (!e.refused.empty()) {
      EXPECT_TRUE(reply.refused_with) << "order " << i << " had to be refused: " << e.refused;
      if (reply.refused_with) {
        EXPECT_EQ(to_string(reply.refused_with->why), e.refused);
      }
      continue;
    }
    if (reply.done) {
      EXPECT_TRUE(at_once[i] || nth < written) << "what is not on the disk was acknowledged";
      EXPECT_EQ(reply.done->balance, e.balance);
      EXPECT_EQ(reply.done->held, e.held);
      EXPECT_EQ(reply.done->moved, e.moved);
      EXPECT_EQ(reply.done->transfers, e.transfers);
    } else {
      EXPECT_TRUE(fate <= 2) << "order " << i << " was never answered";
    }
    nth += at_once[i] ? 0 : 1;
  }
  return sent.size();
}

void world::compare_books() {
  start_ledger();
  auto key = "key" + std::to_string(draw(3));
  auto now = cluster_.ask(ledger_, read_books{"alice", key});
  ASSERT_TRUE(now);
  EXPECT_EQ(now->balance, model_.wallet);
  EXPECT_EQ(now->held, model_.held());
  EXPECT_EQ(now->spent, model_.revenue);
  EXPECT_EQ(now->granted, model_.gifts);
  EXPECT_EQ(now->owed, model_.metered - model_.settled);
  EXPECT_EQ(now->paid, model_.paid);
  EXPECT_EQ(now->refunded, model_.refunded);
  EXPECT_EQ(now->key_spent + now->key_held, model_.key_total(key));
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const auto* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Goal: whatever customers, crashes and disks do, every answer of the ledger is the one that an independent model
/// works out, what was acknowledged is there after a crash, and what was not is there whole or not at all. Method:
/// bursts of random orders, some sent before, in random order, through the real actor and its journal; crashes drop
/// what was not written. A seed replays a run: TROUPE_SEED=… ; TROUPE_MODEL_ORDERS says how many orders.
TEST(LedgerModel, EveryAnswerIsTheOneThatAnIndependentModelWorksOut) {
  auto seed = number_from("TROUPE_SEED", std::random_device{}());
  auto orders = number_from("TROUPE_MODEL_ORDERS", 100'000);
  std::cout << "TROUPE_SEED=" << seed << "\n";
  std::size_t sent = 0;
  for (std::uint64_t round = 0; sent < orders && !::testing::Test::HasFailure(); ++round) {
    world one(seed + round);
    for (std::size_t in_this = 0; in_this < 2'000 && !::testing::Test::HasFailure();) {
      auto n = one.burst();
      in_this += n;
      sent += n;
      one.compare_books();
    }
    ASSERT_FALSE(::testing::Test::HasFailure()) << "replay with TROUPE_SEED=" << seed + round;
  }
}

} // namespace
} // namespace troupe

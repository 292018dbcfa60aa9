#include "tests/simulation/disk.hpp"

#include "tests/support/database.hpp"

namespace troupe::simulation {

using namespace storage::testing;
using storage::batch;
using storage::erasure;
using storage::table;

namespace {

constexpr int batches = 3'000;

class two_disks : public storage_test {
protected:
  std::string name() { return "job/" + std::to_string(luck.below(6)); }
  std::string key() { return "k" + std::to_string(luck.below(12)); }
  std::vector<std::string> values() {
    std::vector<std::string> out(luck.below(4));
    for (auto& value : out)
      value = "v" + std::to_string(luck.below(1000));
    return out;
  }
  // Mostly what follows, at times one too many or too few.
  std::uint64_t after(std::uint64_t last) { return luck.permille(850) ? last + 1 : luck.below(last + 3); }

  batch draw() {
    batch out;
    for (auto i = luck.below(3); i > 0; --i) {
      auto actor = name();
      out.appends.push_back({actor, after(model.replay(actor)->last_seq), values()});
    }
    if (luck.permille(400)) {
      account_id account{name()};
      out.feeds.push_back({account, after(model.feed(account.value).last), values()});
    }
    for (auto i = luck.below(4); i > 0; --i)
      out.rows.push_back({luck.permille(500) ? table::jobs : table::files, key(),
                          luck.permille(700) ? std::optional(key()) : std::nullopt, luck.permille(200)});
    if (luck.permille(150)) {
      auto actor = name();
      auto last = model.replay(actor)->last_seq + (out.appends.empty() ? 0 : luck.below(3));
      out.snapshots.push_back({actor, last, "state"});
      if (luck.permille(300))
        out.erasures.push_back({erasure::part::past, actor});
    }
    if (luck.permille(50))
      out.erasures.push_back({luck.permille(500) ? erasure::part::actor : erasure::part::log, name()});
    return out;
  }

  void compare() {
    for (int i = 0; i < 6; ++i) {
      auto actor = "job/" + std::to_string(i);
      auto real = db->journal().replay(actor);
      auto modelled = model.replay(actor);
      ASSERT_EQ(real.has_value(), modelled.has_value()) << actor;
      EXPECT_EQ(real->last_seq, modelled->last_seq) << actor;
      EXPECT_EQ(real->events, modelled->events) << actor;
      EXPECT_EQ(real->from.has_value(), modelled->from.has_value()) << actor;
      EXPECT_EQ(*db->journal().events(actor, 0, 5, true), model.events(actor, 0, 5, true)) << actor;
      EXPECT_EQ(*db->journal().events(actor, 2, 5, false), model.events(actor, 2, 5, false)) << actor;
      EXPECT_EQ(db->feed_last(account_id{actor}), model.feed(actor).last) << actor;
    }
    for (auto in : {table::jobs, table::files}) {
      durable::table_rows rows;
      db->scan(in, "", "", false, [&](std::string_view k, std::string_view value) {
        rows.emplace(k, value);
        return true;
      });
      EXPECT_EQ(rows, model.rows(in));
    }
  }

  dice luck{20'261'121};
  durable model;
};

} // namespace

// Goal: what the simulation believes of the disk is so. Method: the same random batches, good ones and bad ones, to the
// model and to the real database; every verdict and everything that can be read must be the same.
TEST_F(two_disks, answer_the_same_and_hold_the_same) {
  int refused = 0;
  for (int i = 0; i < batches && !HasFailure(); ++i) {
    auto what = draw();
    auto real = write(*db, what);
    auto modelled = model.apply(what);
    ASSERT_EQ(real, modelled) << "batch " << i;
    refused += modelled == storage::commit_status::ok ? 0 : 1;
    if (i % 50 == 0)
      compare();
  }
  compare();
  EXPECT_GT(refused, batches / 20);
  EXPECT_LT(refused, batches / 2);
}

} // namespace troupe::simulation

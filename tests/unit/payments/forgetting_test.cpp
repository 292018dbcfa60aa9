#include "common/json.hpp"
#include "http/payments/cashier.hpp"
#include "tests/support/database.hpp"

namespace troupe::payments {
namespace {

using storage::table;

struct EventsThatWereTaken : storage::testing::storage_test {
  void take(const std::string& event, timestamp at) {
    auto row = storage::testing::put(table::payment_events, event, pack({{"type", "topup"}, {"at", at}}));
    ASSERT_EQ(storage::testing::write(*db, std::move(row)), storage::commit_status::ok);
  }
};

TEST_F(EventsThatWereTaken, AreForgottenWhenTheyAreOld) {
  take("evt_old", 999);
  take("evt_new", 1000);
  EXPECT_EQ(forget_events(*db, 1000), 1u);
  EXPECT_FALSE(db->get(table::payment_events, "evt_old"));
  EXPECT_TRUE(db->get(table::payment_events, "evt_new"));
  EXPECT_EQ(forget_events(*db, 1000), 0u);
}

TEST_F(EventsThatWereTaken, AreForgottenAsManyAtOnceAsOneBatchMayHold) {
  storage::batch many;
  for (int i = 0; i < 10'001; ++i)
    many.rows.push_back({table::payment_events, "evt_" + std::to_string(i), pack({{"at", 1}}), false});
  ASSERT_EQ(storage::testing::write(*db, std::move(many)), storage::commit_status::ok);
  EXPECT_EQ(forget_events(*db, 1000), 10'000u);
  EXPECT_EQ(forget_events(*db, 1000), 1u);
}

} // namespace
} // namespace troupe::payments

#pragma once

// What a ledger should answer, worked out a second time by other means: whole sums of a list of entries instead of
// books that are kept. It shares no code with the ledger, and is slow on purpose.

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace troupe::testing {

struct model_order {
  std::string kind;
  std::int64_t amount = 0;
  std::string job, stage, period, reference, key;
  std::int64_t key_limit = 0;
};

struct model_answer {
  std::string refused; // empty: it was done
  std::int64_t balance = 0, held = 0, moved = 0;
  std::uint32_t transfers = 0;
};

class ledger_model {
public:
  model_answer take(const std::vector<model_order>& orders) {
    auto before = *this;
    model_answer out;
    for (const auto& order : orders) {
      auto refused = one(order, out);
      if (!refused.empty()) {
        *this = before;
        out = {};
        out.refused = refused;
        return out;
      }
    }
    out.balance = wallet;
    out.held = held();
    return out;
  }

  std::int64_t held() const {
    std::int64_t sum = 0;
    for (const auto& [name, job] : jobs)
      sum += job.price - job.taken;
    return sum;
  }
  std::int64_t key_total(const std::string& key) const {
    auto gone = spent_before.find(key);
    std::int64_t sum = gone == spent_before.end() ? 0 : gone->second;
    for (const auto& [name, job] : jobs)
      if (job.key == key)
        sum += job.price;
    return sum;
  }

  struct job_money {
    std::int64_t price = 0, taken = 0;
    std::string key;
    std::set<std::string> stages;
  };
  std::int64_t wallet = 0, revenue = 0, gifts = 0, paid = 0, refunded = 0;
  std::int64_t metered = 0, settled = 0; // ever: exact, and what wallets paid for it
  std::map<std::string, job_money> jobs; // that hold
  std::map<std::string, std::int64_t> spent_before, allowances;
  std::set<std::string> references;
  struct chargeback {
    std::string reference;
    std::int64_t taken = 0, left = 0;
  };
  std::vector<chargeback> chargebacks; // those that found credits held

private:
  static constexpr std::int64_t cent = 1'000'000;

  std::string one(const model_order& o, model_answer& out) {
    if (o.amount < 0)
      return "invalid";
    auto moved = [&](std::int64_t amount) {
      ++out.transfers;
      out.moved += amount;
    };
    if (o.kind == "hold") {
      if (jobs.count(o.job) != 0)
        return "conflict";
      if (wallet - o.amount < 0)
        return "insufficient_credits";
      if (o.key_limit != 0 && key_total(o.key) + o.amount > o.key_limit)
        return "spend_limit_exceeded";
      wallet -= o.amount;
      jobs[o.job] = {o.amount, 0, o.key, {}};
      moved(o.amount);
      return "";
    }
    if (o.kind == "capture" || o.kind == "meter") {
      if (jobs.count(o.job) == 0)
        return "conflict";
      auto& job = jobs[o.job];
      if (job.stages.count(o.stage) != 0)
        return "";
      // All whole cents of everything ever metered, less those that were paid.
      auto pay = o.kind == "capture" ? o.amount : (metered + o.amount) / cent * cent - settled;
      if (job.taken + pay > job.price)
        return "conflict";
      job.taken += pay;
      job.stages.insert(o.stage);
      revenue += o.amount;
      // Chargebacks wait only for what is still held; the last one gives up first.
      for (auto one = chargebacks.rbegin(); pay > 0 && one != chargebacks.rend(); ++one)
        one->left -= std::min(one->left, std::max<std::int64_t>(0, owed_of_chargebacks() - held()));
      if (o.kind == "meter") {
        metered += o.amount;
        settled += pay;
        if (pay > 0)
          moved(pay);
      }
      moved(o.amount);
      return "";
    }
    if (o.kind == "release") {
      auto found = jobs.find(o.job);
      if (found == jobs.end())
        return "";
      auto back = found->second.price - found->second.taken;
      spent_before[found->second.key] += found->second.taken;
      jobs.erase(found);
      wallet += back;
      moved(back);
      collect(back, out);
      return "";
    }
    if (o.kind == "grant" || o.kind == "allowance") {
      auto amount = o.amount;
      if (o.kind == "allowance") {
        if (!allowances.empty() && o.period < allowances.rbegin()->first)
          return "";
        amount = std::max<std::int64_t>(0, o.amount - allowances[o.period]);
        if (amount == 0 && allowances[o.period] == 0)
          allowances.erase(o.period);
        else
          allowances[o.period] += amount;
      }
      if (amount == 0)
        return "";
      if (o.kind == "grant" && !o.reference.empty() && !references.insert("grant " + o.reference).second)
        return "";
      wallet += amount;
      gifts += amount;
      moved(amount);
      return "";
    }
    if (o.kind != "topup" && o.kind != "reversal" && o.kind != "reinstatement" && o.kind != "refund")
      return "invalid";
    if (o.reference.empty() || (o.amount == 0 && o.kind != "reinstatement"))
      return "invalid";
    if (!references.insert(o.kind + " " + o.reference).second)
      return "";
    auto amount = o.amount;
    if (o.kind == "reversal") {
      amount = -std::min(o.amount, wallet);
      auto spoken_for = std::min(held(), owed_of_chargebacks());
      if (auto left = std::min(o.amount + amount, held() - spoken_for); left > 0)
        chargebacks.push_back({o.reference, -amount, left});
    } else if (o.kind == "reinstatement") {
      for (auto& one : chargebacks)
        if (one.reference == o.reference)
          amount = one.taken;
      chargebacks.erase(std::remove_if(chargebacks.begin(), chargebacks.end(),
                                       [&](const chargeback& one) { return one.reference == o.reference; }),
                        chargebacks.end());
    }
    wallet += amount;
    (o.kind == "refund" ? refunded : paid) += amount;
    moved(std::max(amount, -amount));
    if (o.kind == "topup" || o.kind == "reinstatement")
      collect(amount, out);
    return "";
  }

  std::int64_t owed_of_chargebacks() const {
    std::int64_t sum = 0;
    for (const auto& one : chargebacks)
      sum += one.left;
    return sum;
  }
  /// What came in goes to the chargebacks first.
  void collect(std::int64_t came_in, model_answer& out) {
    for (auto& one : chargebacks) {
      auto amount = std::min(one.left, came_in);
      if (amount == 0)
        continue;
      one.left -= amount;
      one.taken += amount;
      came_in -= amount;
      wallet -= amount;
      paid -= amount;
      ++out.transfers;
      out.moved += amount;
    }
  }
};

} // namespace troupe::testing

#include "actors/ledger/ledger_audit.hpp"

#include "actors/job/open_job.hpp"
#include "common/json.hpp"
#include "storage/database.hpp"

#include <set>
#include <stdexcept>

namespace troupe::ledger {

namespace {

constexpr std::size_t problems_shown = 100;
constexpr std::string_view ledgers = "ledger/";

const std::map<std::string, std::pair<const char*, const char*>> ways{
    {"hold", {"wallet", "held"}},         {"capture", {"held", "revenue"}},
    {"settle", {"held", "carry"}},        {"meter", {"carry", "revenue"}},
    {"release", {"held", "wallet"}},      {"grant", {"grants", "wallet"}},
    {"allowance", {"grants", "wallet"}},  {"topup", {"payments", "wallet"}},
    {"reversal", {"wallet", "payments"}}, {"reinstatement", {"payments", "wallet"}},
    {"refund", {"refunds", "wallet"}}};

std::string in_credits(micro_credits amount) { return std::to_string(amount) + " micro-credits"; }

/// One account while its events go by.
class account_audit {
public:
  account_audit(const storage::reader& from, audit_report& report, std::string account)
    : from_(from), report_(report), account_(std::move(account)) {}

  /// Reads the snapshot that the events will be compared with.
  void begin() {
    auto read = from_.snapshot_of(std::string{ledgers} + account_);
    if (!read)
      return wrong(read.error().message);
    snapshot_ = std::move(*read);
    if (snapshot_)
      ++report_.snapshots;
  }

  void take(std::uint64_t seq, std::string_view bytes) {
    if (seq != last_seq_ + 1)
      wrong("event " + std::to_string(last_seq_ + 1) + " is missing");
    last_seq_ = seq;
    try {
      auto event = unpack(bytes);
      if (!event)
        return wrong("event " + std::to_string(seq) + " cannot be read: " + event.error().message);
      follow(*event);
      if (snapshot_ && snapshot_->seq == seq)
        compare_snapshot();
    } catch (const std::exception& e) {
      wrong("event " + std::to_string(seq) + " does not parse: " + e.what());
    }
  }

  void end(std::map<std::string, std::string>& open_holds) {
    if (snapshot_ && snapshot_->seq > last_seq_)
      wrong("the snapshot is of event " + std::to_string(snapshot_->seq) + ", the last event is " +
            std::to_string(last_seq_));
    micro_credits left = 0;
    for (const auto& [job, open] : holds_) {
      left += open.left;
      if (open.left == 0) // charged to the last; its job's end takes it away
        continue;
      ++report_.open_holds;
      open_holds[storage::key_of(account_, job)] = job;
      check_job_of(job);
    }
    if (left != books_["held"])
      wrong("holds have " + in_credits(left) + " left, the book says " + in_credits(books_["held"]));
    if (books_["carry"] > 0 || books_["carry"] <= -micro_per_credit)
      wrong("carries " + in_credits(books_["carry"]) + ", which is not a fraction of a credit that it owes");
    for (const auto& [book, balance] : books_)
      report_.books[book] += balance;
    ++report_.accounts;
  }

private:
  struct reversal {
    micro_credits taken = 0, left = 0; // left: to be taken when it comes back to the wallet
    std::uint64_t id = 0;              // of its transfer
  };
  struct hold {
    micro_credits left = 0, charged = 0;
    std::set<std::string> stages;
  };

  void wrong(const std::string& what) {
    ++report_.problem_count;
    if (report_.problems.size() < problems_shown)
      report_.problems.push_back("account " + account_ + ": " + what);
  }

  void follow(const json& event) {
    auto id = event.at("id").get<std::uint64_t>();
    auto kind = event.at("kind").get<std::string>();
    auto amount = event.at("amount").get<micro_credits>();
    auto job = event.value("job", std::string{});
    auto what = "transfer " + std::to_string(id) + " (" + kind + ")";
    ++report_.transfers;
    if (id != last_id_ + 1)
      wrong(what + " follows transfer " + std::to_string(last_id_));
    last_id_ = id;
    auto way = ways.find(kind);
    if (way == ways.end())
      return wrong(what + " is of no kind that is known");
    if (amount < 0)
      wrong(what + " moves less than nothing");
    books_[way->second.first] -= amount;
    books_[way->second.second] += amount;
    if (books_["wallet"] < 0)
      wrong(what + " leaves the wallet with " + in_credits(books_["wallet"]));
    follow_hold(event, kind, amount, job, what);
    if (kind == "reversal" || kind == "reinstatement")
      follow_reversal(event, kind, id, amount, what);
    if (auto reference = event.value("reference", std::string{}); !reference.empty())
      follow_reference(kind, reference, id, what);
  }

  void follow_hold(const json& event, const std::string& kind, micro_credits amount, const std::string& job,
                   const std::string& what) {
    if (kind == "hold") {
      if (!holds_.emplace(job, hold{amount, 0, {}}).second)
        wrong(what + ": job " + job + " has a hold already");
      return;
    }
    auto of_job = kind == "capture" || kind == "settle" || kind == "meter" || kind == "release";
    auto found = holds_.find(job);
    if (!of_job)
      return;
    if (found == holds_.end())
      return wrong(what + ": job " + job + " holds nothing");
    auto& open = found->second;
    if (kind != "meter")
      open.left -= amount;
    if (kind == "capture" || kind == "settle")
      forgive_spent();
    if (kind == "capture" || kind == "meter") {
      open.charged += amount;
      if (!open.stages.insert(event.value("stage", std::string{})).second)
        wrong(what + ": stage " + event.value("stage", std::string{}) + " of job " + job + " was charged already");
    }
    if (open.left < 0)
      wrong(what + ": takes " + in_credits(-open.left) + " more than job " + job + " holds");
    if (kind == "release") {
      if (open.left != 0)
        wrong(what + ": leaves " + in_credits(open.left) + " in the hold of job " + job);
      check_charge_of(job, open.charged);
      holds_.erase(found);
    }
  }

  void follow_reference(const std::string& kind, const std::string& reference, std::uint64_t id,
                        const std::string& what) {
    if (!references_.insert(kind + ":" + reference).second)
      wrong(what + ": reference " + reference + " was used already");
    ++report_.references;
    auto row = from_.row(storage::table::references, storage::key_of(storage::key_of(account_, kind), reference));
    auto value = row && *row ? unpack(**row) : result<json>{json()};
    if (!row)
      wrong(what + ": " + row.error().message);
    else if (!value || *value != json(id))
      wrong(what + ": the row of reference " + reference + " is missing or another's");
  }

  /// No more is left to be taken than is held: from the newest reversal on, what was spent is taken off.
  void forgive_spent() {
    std::map<std::uint64_t, reversal*> newest_last;
    micro_credits left = 0;
    for (auto& [reference, one] : reversals_) {
      left += one.left;
      if (one.left > 0)
        newest_last[one.id] = &one;
    }
    for (auto at = newest_last.rbegin(); at != newest_last.rend() && left > books_["held"]; ++at) {
      auto amount = std::min(at->second->left, left - books_["held"]);
      at->second->left -= amount;
      left -= amount;
    }
  }

  void follow_reversal(const json& event, const std::string& kind, std::uint64_t id, micro_credits amount,
                       const std::string& what) {
    auto completes = event.value("completes", std::string{});
    auto& one = reversals_[completes.empty() ? event.value("reference", std::string{}) : completes];
    if (kind == "reinstatement") {
      if (amount != one.taken)
        wrong(what + ": gives back " + in_credits(amount) + " of a reversal that took " + in_credits(one.taken));
      one.left = 0;
      return;
    }
    one.taken += amount;
    if (!completes.empty()) {
      one.left -= amount;
      if (one.left < 0)
        wrong(what + ": takes " + in_credits(-one.left) + " more than reversal " + completes + " had left");
      return;
    }
    one.left = event.value("outstanding", micro_credits{0});
    one.id = id;
    micro_credits left = 0;
    for (const auto& [reference, other] : reversals_)
      left += other.left;
    if (one.left != 0 && left > books_["held"])
      wrong(what + ": leaves " + in_credits(one.left) + " to be taken later, which is more than is held");
  }

  void check_charge_of(const std::string& job, micro_credits charged) {
    auto row = from_.row(storage::table::jobs, job);
    if (!row)
      return wrong(row.error().message);
    auto summary = *row ? unpack(**row) : result<json>{json()};
    if (!summary || !summary->is_object()) // its owner deleted it, or it was no job but a metered request
      return;
    if (auto said = summary->value("charged", micro_credits{0}); said != charged)
      wrong("job " + job + " was charged " + in_credits(charged) + ", its row says " + in_credits(said));
  }

  void check_job_of(const std::string& job) {
    auto row = from_.row(storage::table::open_jobs, job);
    if (!row)
      return wrong(row.error().message);
    auto open = *row ? jobs::unpack_open_job(job, **row) : std::nullopt;
    if (!open || open->account != account_)
      wrong("job " + job + " holds credits and is not open");
  }

  void compare_snapshot() {
    auto state = unpack(snapshot_->state);
    if (!state)
      return wrong("the snapshot cannot be read: " + state.error().message);
    for (const auto& [book, balance] : state->at("books").items())
      if (balance.get<micro_credits>() != books_[book])
        wrong("the snapshot of event " + std::to_string(last_seq_) + " has " + in_credits(balance) + " in " + book +
              ", the events say " + in_credits(books_[book]));
    micro_credits left = 0;
    for (const auto& [job, open] : state->at("holds").items()) {
      left += open.at("left").get<micro_credits>();
      auto found = holds_.find(job);
      if (found == holds_.end() ? open.at("left") != 0 : open.at("left") != found->second.left)
        wrong("the snapshot's hold of job " + job + " is not what the events say");
    }
    if (left != books_["held"])
      wrong("the snapshot's holds are not what is held");
    compare_reversals(*state);
    if (state->at("transfers").get<std::uint64_t>() != last_id_)
      wrong("the snapshot counts another number of transfers");
  }

  void compare_reversals(const json& state) {
    std::map<std::string, micro_credits> said, known; // what is left to be taken, by reference
    for (const auto& one : state.value("partial_reversals", json::array()))
      if (auto left = one.at("left").get<micro_credits>(); left != 0)
        said[one.at("reference").get<std::string>()] = left;
    for (const auto& [reference, one] : reversals_)
      if (one.left != 0)
        known[reference] = one.left;
    if (said != known)
      wrong("the snapshot of event " + std::to_string(last_seq_) + " has other partial reversals than the events");
  }

  const storage::reader& from_;
  audit_report& report_;
  std::string account_;
  std::optional<storage::snapshot> snapshot_;
  std::uint64_t last_seq_ = 0, last_id_ = 0;
  std::map<std::string, micro_credits> books_;
  std::map<std::string, hold> holds_;
  std::map<std::string, reversal> reversals_; // by reference
  std::set<std::string> references_;
};

} // namespace

micro_credits audit_report::sum() const {
  micro_credits out = 0;
  for (const auto& [book, balance] : books)
    out += balance;
  return out;
}

result<audit_report> audit(const storage::reader& from) {
  audit_report report;
  std::map<std::string, std::string> open_holds; // key of its row → job
  std::optional<account_audit> now;
  std::string actor_now;
  auto finish = [&] {
    if (now)
      now->end(open_holds);
    now.reset();
  };
  auto read = from.events(ledgers, [&](std::string_view actor, std::uint64_t seq, std::string_view event) {
    if (actor != actor_now) {
      finish();
      actor_now = actor;
      now.emplace(from, report, std::string{actor.substr(ledgers.size())});
      now->begin();
    }
    now->take(seq, event);
  });
  if (!read)
    return read.error();
  finish();
  std::uint64_t rows = 0;
  auto note = [&](const std::string& what) {
    ++report.problem_count;
    if (report.problems.size() < problems_shown)
      report.problems.push_back(what);
  };
  auto listed = from.rows(storage::table::open_holds, [&](std::string_view key, std::string_view) {
    if (open_holds.erase(std::string{key}) > 0)
      return;
    auto bytes = from.row(storage::table::open_jobs, key.substr(std::min(key.size(), key.find('\0') + 1)));
    if (!bytes || !*bytes) // one that was charged to the last, and whose job goes on, may stay
      note("a row says that job " + std::string{key.substr(std::min(key.size(), key.find('\0') + 1))} +
           " holds credits, and it does not");
  });
  if (!listed)
    return listed.error();
  for (const auto& [key, job] : open_holds)
    note("the hold of job " + job + " has no row");
  auto counted = from.rows(storage::table::references, [&](auto, auto) { ++rows; });
  if (!counted)
    return counted.error();
  if (rows != report.references)
    note(std::to_string(rows) + " references have rows, " + std::to_string(report.references) + " were used");
  return report;
}

} // namespace troupe::ledger

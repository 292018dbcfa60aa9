#include "actors/base/event.hpp"
#include "actors/directory/directory_messages.hpp"
#include "actors/ledger/ledger_core.hpp"
#include "actors/ledger/ledger_messages.hpp"
#include "app/bench.hpp"
#include "app/bench_head.hpp"
#include "app/head_core.hpp"
#include "common/exit_codes.hpp"
#include "common/log.hpp"

#include <caf/all.hpp>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <semaphore>
#include <thread>

namespace troupe::app {

namespace {

using clock = bench_clock;

std::unique_ptr<head_core> open_core(const std::string& data) {
  configuration config;
  config.data.directory = data;
  config.storage.cache_mib = 64;
  auto core = head_core::start(config, false, {});
  if (core)
    return std::move(*core);
  std::fprintf(stderr, "troupe bench: %s\n", core.error().message.c_str());
  return nullptr;
}

struct load {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> holds{0}, captures{0}, refused{0};
  std::atomic<int> running{0};
};

book request_for(const std::string& account) {
  book out;
  out.account = account;
  out.at = now_ms();
  return out;
}

/// One customer of an account: holds for a job, charges its one stage and ends it, and begins again. Each step waits
/// until the one before is on the disk, as a job does.
class customer : public caf::event_based_actor {
public:
  customer(caf::actor_config& config, caf::actor directory, std::string account, int number, load& counts)
    : caf::event_based_actor(config), directory_(std::move(directory)), account_(std::move(account)),
      prefix_("job" + std::to_string(number) + "-"), counts_(counts) {}

  caf::behavior make_behavior() override {
    hold();
    return {[](int) {}};
  }

private:
  void hold() {
    if (counts_.stop) {
      --counts_.running;
      quit();
      return;
    }
    job_ = prefix_ + std::to_string(++jobs_);
    auto ask = request_for(account_);
    ask.movements.push_back({"hold", credits(1), job_, {}, {}, "bench"});
    send_book(std::move(ask), [this] {
      ++counts_.holds;
      capture();
    });
  }
  void capture() {
    auto ask = request_for(account_);
    ask.movements.push_back({"capture", credits(1), job_, "0", {}, "work"});
    ask.movements.push_back({"release", 0, job_, {}, {}, "succeeded"});
    send_book(std::move(ask), [this] {
      ++counts_.captures;
      hold();
    });
  }
  void send_book(book ask, std::function<void()> then) {
    request(directory_, caf::infinite, routed(std::move(ask)))
        .then([then = std::move(then)](booked&) { then(); },
              [this](caf::error&) {
                ++counts_.refused;
                --counts_.running;
                quit();
              });
  }

  caf::actor directory_;
  std::string account_, prefix_, job_;
  load& counts_;
  std::uint64_t jobs_ = 0;
};

bool grant(head_core& core, const std::string& account) {
  caf::scoped_actor self{core.system()};
  auto ask = request_for(account);
  ask.movements.push_back({"grant", credits(100'000'000), {}, {}, {}, "bench"});
  bool good = false;
  self->request(core.others()->directory, std::chrono::seconds(30), routed(std::move(ask)))
      .receive([&](booked&) { good = true; }, [](caf::error&) {});
  return good;
}

int run_load(const bench_ledger_options& options, int accounts, int customers_each, const char* what) {
  auto core = open_core(options.data);
  if (!core)
    return exit_failure;
  for (int i = 0; i < accounts; ++i)
    if (!grant(*core, "bench" + std::to_string(i)))
      return exit_failure;
  load counts;
  auto before = core->database().journal().counters();
  auto begin = clock::now();
  counts.running = accounts * customers_each;
  for (int i = 0; i < accounts * customers_each; ++i)
    core->system().spawn<customer>(core->others()->directory, "bench" + std::to_string(i % accounts), i,
                                   std::ref(counts));
  std::this_thread::sleep_for(std::chrono::seconds(options.seconds));
  counts.stop = true;
  auto took = seconds_since(begin);
  auto holds = counts.holds.load(), captures = counts.captures.load();
  while (counts.running > 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  auto after = core->database().journal().counters();
  std::printf(
      "%s: %.0f durable holds+captures/s (%.0f jobs/s), %d accounts, %d customers, %.1f holds+captures a sync\n", what,
      static_cast<double>(holds + captures) / took, static_cast<double>(captures) / took, accounts,
      accounts * customers_each,
      static_cast<double>(holds + captures) /
          static_cast<double>(std::max<std::uint64_t>(1, after.syncs - before.syncs)));
  return counts.refused == 0 ? exit_ok : exit_failure;
}

std::string account_name(int number) {
  char out[32];
  std::snprintf(out, sizeof out, "account%08d", number);
  return out;
}

/// Accounts whose ledgers have ten transfers: three jobs after a grant.
int fill(const bench_ledger_options& options) {
  storage::database_options where;
  where.directory = options.data;
  auto database = storage::database::open(where);
  if (!database)
    return exit_failure;
  auto begin = clock::now();
  std::counting_semaphore<64> slots{64};
  std::atomic<bool> failed{false};
  constexpr int accounts_a_batch = 100;
  for (int first = 0; first < options.accounts; first += accounts_a_batch) {
    storage::batch batch;
    for (int i = first; i < std::min(options.accounts, first + accounts_a_batch); ++i) {
      auto name = account_name(i);
      storage::append history{"ledger/" + name, 1, {}};
      ledger::ledger_core core;
      auto add = [&](ledger::transfer asked) {
        auto verdict = core.decide({std::move(asked)}, 1'700'000'000'000);
        for (const auto& happened : std::get<0>(verdict)) {
          core.evolve(happened);
          history.events.push_back(pack_event(happened));
        }
      };
      add({"grant", credits(150), {}, {}, {}, "bench"});
      for (const auto* job : {"a", "b", "c"}) {
        auto id = name + job;
        add({"hold", credits(4), id, {}, {}, "bench-chain"});
        add({"capture", credits(4), id, "0", {}, "first"});
        add({"release", 0, id, {}, {}, "succeeded"});
      }
      batch.appends.push_back(std::move(history));
      batch.rows.push_back({storage::table::accounts, name, pack({{"username", name}, {"tier", "free"}}), false});
    }
    slots.acquire();
    (*database)->journal().commit(std::move(batch), [&](storage::commit_status status) {
      failed = failed || status != storage::commit_status::ok;
      slots.release();
    });
  }
  for (int i = 0; i < 64; ++i)
    slots.acquire();
  database->reset();
  std::printf("fill: %d accounts with 10 transfers each in %.1f s\n", options.accounts, seconds_since(begin));
  return failed ? exit_failure : exit_ok;
}

double resident_mib() {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;)
    if (word == "VmRSS:") {
      double kib = 0;
      in >> kib;
      return kib / 1024;
    }
  return 0;
}

/// Opens what fill() wrote, and uses a thousand of the accounts.
int open_many(const bench_ledger_options& options) {
  auto begin = clock::now();
  auto core = open_core(options.data);
  if (!core)
    return exit_failure;
  caf::scoped_actor self{core->system()};
  auto read = [&](int number) {
    read_books ask;
    ask.account = account_name(number);
    micro_credits balance = -1;
    self->request(core->others()->directory, std::chrono::seconds(30), routed(std::move(ask)))
        .receive([&](books& b) { balance = b.balance; }, [](caf::error&) {});
    return balance == credits(138);
  };
  if (!read(0))
    return exit_failure;
  std::printf("start: %.2f s to the first balance, %d accounts on disk\n", seconds_since(begin), options.accounts);
  begin = clock::now();
  auto step = std::max(1, options.accounts / options.active);
  for (int i = 0; i < options.active; ++i)
    if (!read(i * step % options.accounts))
      return exit_failure;
  auto woken = seconds_since(begin);
  for (int i = 0; i < options.active; ++i) // and each does something
    if (!grant(*core, account_name(i * step % options.accounts)))
      return exit_failure;
  std::printf("memory: %.0f MiB resident with %d accounts active (woken in %.2f s)\n", resident_mib(), options.active,
              woken);
  return exit_ok;
}

int in_a_process(const bench_ledger_options& options, const char* part) {
  std::vector<std::string> words{options.program,
                                 "bench",
                                 "ledger",
                                 "--part",
                                 part,
                                 "--data",
                                 options.data,
                                 "--seconds",
                                 std::to_string(options.seconds),
                                 "--accounts",
                                 std::to_string(options.accounts),
                                 "--active",
                                 std::to_string(options.active)};
  std::vector<char*> argv;
  for (auto& w : words)
    argv.push_back(w.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  if (::posix_spawn(&pid, options.program.c_str(), nullptr, nullptr, argv.data(), environ) != 0)
    return exit_failure;
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : exit_failure;
}

int run_part(const bench_ledger_options& options) {
  if (options.part == "many")
    return run_load(options, 1'000, 1, "many accounts");
  if (options.part == "hot")
    return run_load(options, 1, 256, "one hot account");
  if (options.part == "fill")
    return fill(options);
  if (options.part == "open")
    return open_many(options);
  std::fprintf(stderr, "troupe bench: --part is one of many, hot, fill and open\n");
  return exit_usage;
}

} // namespace

int bench_ledger(const bench_ledger_options& options) {
  start_log("bench", "warn");
  auto here = options;
  if (options.part == "open" && options.data.empty()) {
    std::fprintf(stderr, "troupe bench: --part open needs --data, as --part fill left it\n");
    return exit_usage;
  }
  if (!options.part.empty() && !options.data.empty())
    return run_part(options);
  if (!options.part.empty()) {
    here.data = make_bench_folder();
    auto status = run_part(here);
    std::filesystem::remove_all(here.data);
    return status;
  }
  std::string folder;
  for (const auto* part : {"many", "hot", "fill", "open"}) {
    auto is_open = std::string_view{part} == "open"; // looks at what fill wrote
    if (options.data.empty())
      here.data = is_open ? folder : (folder = make_bench_folder());
    else
      here.data = options.data + (is_open || std::string_view{part} == "fill" ? "/filled" : std::string{"/"} + part);
    auto status = in_a_process(here, part);
    if (options.data.empty() && std::string_view{part} != "fill")
      std::filesystem::remove_all(here.data);
    if (status != exit_ok)
      return status;
  }
  return exit_ok;
}

} // namespace troupe::app

// Who gets what of the devices, in a simulation of the scheduler's core: shares against weights, splitting, and how
// often a model is loaded. Usage: fairness_bench [shares | split | loads] [SVG-FILE], by default all three; the seed is
// fixed, so that a run can be repeated. Ends with 1 where a figure is not as it should be.

#include "actors/scheduler/scheduler_core.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <queue>
#include <random>

namespace {

using namespace troupe;
using namespace troupe::scheduling;

struct account_plan {
  std::string name;
  std::uint32_t weight = 1;
  std::uint32_t stages_per_job = 1;
};

struct scenario {
  std::vector<account_plan> accounts;
  std::size_t devices = 16, jobs = 10'000, models = 1;
  std::int64_t run_ms = 1'000, load_ms = 0; // mean of what a stage takes; what a model takes to load
};

struct outcome_of {
  std::map<std::string, double> used_ms; // device time by account, with the loads that its stages waited for
  std::size_t ended = 0, cold = 0;
  std::vector<std::map<std::string, double>> over_time; // used so far, at each hundredth
};

struct stage {
  const account_plan* account = nullptr;
  std::uint64_t number = 0; // of the account's
  std::size_t model = 0;
  std::int64_t run_ms = 0; // once its model is loaded; known to nobody before it has ended
};

/// What an account submits, one stage after the other: the same whoever schedules it, and whatever the others do.
class workload {
public:
  workload(const scenario& what, const account_plan& of, std::uint32_t seed) : what_(what), of_(of), chance_(seed) {}
  stage next() {
    auto model = chance_() % what_.models;
    auto run = static_cast<double>(what_.run_ms) * length_(chance_);
    return {&of_, number_++, model, std::max<std::int64_t>(1, std::llround(run))};
  }

private:
  const scenario& what_;
  const account_plan& of_;
  std::mt19937 chance_;
  std::lognormal_distribution<double> length_{-0.125, 0.5}; // mean 1
  std::uint64_t number_ = 0;
};

std::map<std::string, workload> workloads_of(const scenario& what) {
  std::map<std::string, workload> out;
  for (const auto& account : what.accounts)
    out.try_emplace(account.name, what, account, 20261121u + static_cast<std::uint32_t>(out.size()));
  return out;
}

/// Devices that hold one model at a time, and the time they are used.
class machines {
public:
  explicit machines(const scenario& what) : what_(what), loaded_(what.devices, what.models) {}
  bool holds(std::size_t device, std::size_t model) const { return loaded_[device] == model; }
  /// What the stage takes there: a node counts a load as part of its run.
  std::int64_t run(std::size_t device, const stage& of) {
    auto cold = !holds(device, of.model);
    loaded_[device] = of.model;
    loads_ += cold ? 1 : 0;
    return of.run_ms + (cold ? what_.load_ms : 0);
  }
  void ended(const stage& of, std::int64_t took) {
    out_.used_ms[of.account->name] += static_cast<double>(took);
    if (++out_.ended % (what_.jobs / 100) == 0)
      out_.over_time.push_back(out_.used_ms);
  }
  bool enough() const { return out_.ended == what_.jobs; }
  outcome_of result() {
    out_.cold = loads_;
    return out_;
  }

private:
  const scenario& what_;
  std::vector<std::size_t> loaded_;
  std::size_t loads_ = 0;
  outcome_of out_;
};

/// The scheduler's core. Every account always has work waiting.
class simulation {
public:
  explicit simulation(const scenario& what)
    : what_(what), core_(wide(), 1), workloads_(workloads_of(what_)), machines_(what_) {
    for (const auto& account : what_.accounts)
      for (std::size_t i = 0; i < backlog; ++i)
        submit(account);
    for (std::size_t d = 0; d < what_.devices; ++d) {
      auto id = "n" + std::to_string(d / 8) + "/cuda" + std::to_string(d % 8);
      devices_[id] = d;
      tell(device_up{{id}, {"n" + std::to_string(d / 8)}, "cuda", {"video"}, 1, vram_mib});
    }
  }
  simulation(const simulation&) = delete;
  simulation& operator=(const simulation&) = delete;

  outcome_of run() {
    while (!machines_.enough()) {
      auto next = running_.top();
      running_.pop();
      for (; ticked_ + tick_every < next.at; tell(tick{}))
        now_ = ticked_ += tick_every;
      now_ = std::max(now_, next.at);
      machines_.ended(next.what, next.took);
      submit(*next.what.account);
      tell(stage_ended{next.ref, next.attempt, next.device, outcome::ok, static_cast<std::uint32_t>(next.took)});
    }
    return machines_.result();
  }

private:
  static constexpr std::size_t backlog = 200;
  static constexpr std::int64_t tick_every = 500;
  static constexpr std::uint32_t vram_mib = 24'576, model_mib = 20'480; // one model at a time

  struct attempt {
    std::int64_t at = 0, took = 0;
    stage_ref ref;
    std::uint64_t attempt = 0;
    device_id device;
    stage what;
    bool operator<(const struct attempt& other) const { return at > other.at; }
  };

  static limits wide() {
    limits out;
    out.in_flight_per_account = 1'000'000;
    return out;
  }

  void submit(const account_plan& of) {
    auto next = workloads_.at(of.name).next();
    stage_request request;
    request.ref = {job_id{of.name + "-" + std::to_string(next.number / of.stages_per_job)},
                   static_cast<std::uint32_t>(next.number % of.stages_per_job)};
    request.account = account_id{of.name};
    request.weight = of.weight;
    request.kind = "video";
    request.model = "model" + std::to_string(next.model);
    request.vram_mib = model_mib;
    request.estimate_ms = static_cast<std::uint32_t>(what_.run_ms);
    waiting_[request.ref] = next;
    tell(stage_queued{std::move(request)});
  }

  void tell(const event& happened) {
    std::vector<command> commands;
    core_.apply(happened, now_, commands);
    for (const auto& one : commands)
      if (const auto* begun = std::get_if<start>(&one))
        begin(*begun);
  }

  void begin(const start& s) {
    auto what = waiting_.at(s.ref);
    waiting_.erase(s.ref);
    auto took = machines_.run(devices_.at(s.device.value), what);
    running_.push({now_ + took, took, s.ref, s.attempt, s.device, what});
  }

  const scenario what_;
  scheduler_core core_;
  std::int64_t now_ = 1, ticked_ = 0;
  std::map<std::string, workload> workloads_;
  machines machines_;
  std::map<std::string, std::size_t> devices_;
  std::map<stage_ref, stage> waiting_;
  std::priority_queue<attempt> running_;
};

/// First come, first served, on whichever device is free, rather one that holds the model. It is as fair as the core's
/// order: each account's stages come as often as its weight says, evenly, so that it gets what is its share.
outcome_of in_order_of_arrival(const scenario& what) {
  auto workloads = workloads_of(what);
  using arrival = std::pair<double, std::size_t>; // by weight, account
  std::priority_queue<arrival, std::vector<arrival>, std::greater<>> arrivals;
  for (std::size_t a = 0; a < what.accounts.size(); ++a)
    arrivals.push({1.0 / what.accounts[a].weight, a});
  struct attempt {
    std::int64_t at, took;
    std::size_t device;
    stage what;
    bool operator>(const attempt& other) const { return at > other.at; }
  };
  std::priority_queue<attempt, std::vector<attempt>, std::greater<>> running;
  machines devices(what);
  std::vector<std::size_t> free(what.devices);
  for (std::size_t d = 0; d < what.devices; ++d)
    free[d] = d;
  for (std::int64_t now = 0; !devices.enough();) {
    while (!free.empty()) {
      auto [turn, a] = arrivals.top();
      arrivals.pop();
      arrivals.push({turn + 1.0 / what.accounts[a].weight, a});
      auto next = workloads.at(what.accounts[a].name).next();
      auto warm = std::find_if(free.begin(), free.end(), [&](auto d) { return devices.holds(d, next.model); });
      auto on = warm == free.end() ? free.begin() : warm;
      auto device = *on;
      free.erase(on);
      auto took = devices.run(device, next);
      running.push({now + took, took, device, next});
    }
    do { // all that end in one moment
      auto ended = running.top();
      running.pop();
      now = ended.at;
      devices.ended(ended.what, ended.took);
      free.push_back(ended.device);
    } while (!devices.enough() && !running.empty() && running.top().at == now);
  }
  return devices.result();
}

/// How far each account's part is from its weight's, in percent of its own; the largest.
double worst_deviation(const scenario& what, const std::map<std::string, double>& used) {
  double all = 0, weights = 0, worst = 0;
  for (const auto& account : what.accounts) {
    all += used.contains(account.name) ? used.at(account.name) : 0;
    weights += account.weight;
  }
  for (const auto& account : what.accounts) {
    auto due = account.weight / weights;
    auto had = used.contains(account.name) ? used.at(account.name) / all : 0;
    worst = std::max(worst, 100 * std::abs(had - due) / due);
  }
  return worst;
}

void plot(const char* file, const scenario& what, const outcome_of& got) {
  constexpr int width = 640, height = 300, left = 50, top = 20;
  static const char* colours[] = {"#1b6ca8", "#c8553d", "#588b4c", "#8c5aa8"};
  std::ofstream svg(file);
  svg << "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " << width + 160 << " " << height + 70
      << "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
      << "<text x=\"" << left
      << "\" y=\"14\">Share of device time of each account, percent; dashed: by its weight</text>\n";
  double weights = 0;
  for (const auto& account : what.accounts)
    weights += account.weight;
  auto y_of = [&](double share) { return top + height - share * height * 2; }; // up to one half
  for (std::size_t a = 0; a < what.accounts.size(); ++a) {
    const auto& account = what.accounts[a];
    auto due = y_of(account.weight / weights);
    svg << "<line x1=\"" << left << "\" x2=\"" << left + width << "\" y1=\"" << due << "\" y2=\"" << due
        << "\" stroke=\"#999\" stroke-dasharray=\"4 4\"/>\n<polyline fill=\"none\" stroke-width=\"1.5\" stroke=\""
        << colours[a % 4] << "\" points=\"";
    std::map<std::string, double> before;
    for (std::size_t i = 4; i < got.over_time.size(); i += 5) { // shares within each twentieth
      const auto& from = i < 5 ? before : got.over_time[i - 5];
      double all = 0, own = 0;
      for (const auto& [name, used] : got.over_time[i]) {
        auto within = used - (from.contains(name) ? from.at(name) : 0);
        all += within;
        own += name == account.name ? within : 0;
      }
      svg << left + static_cast<double>(i + 1) * width / 100 << "," << y_of(own / all) << " ";
    }
    svg << "\"/>\n<text x=\"" << left + width + 8 << "\" y=\"" << due + 4 << "\" fill=\"" << colours[a % 4] << "\">"
        << account.name << ", weight " << account.weight << "</text>\n";
  }
  for (int percent = 0; percent <= 50; percent += 10)
    svg << "<text x=\"20\" y=\"" << y_of(percent / 100.0) + 4 << "\">" << percent << "</text>\n";
  svg << "<text x=\"" << left << "\" y=\"" << top + height + 30 << "\">" << what.jobs
      << " stages one after the other; each point is a twentieth of them</text>\n</svg>\n";
}

bool judge(bool holds, const char* wanted) {
  std::printf(holds ? " (wanted: %s)\n" : " NOT AS WANTED: %s\n", wanted);
  return holds;
}

constexpr double share_off_max = 2, gain_max = 1, fewer_loads_min = 30; // percent

const scenario weights{{{"free", 1}, {"creator", 2}, {"pro", 3}, {"studio", 4}}};

bool shares_follow_weights(const char* picture) {
  auto got = simulation(weights).run();
  if (picture != nullptr)
    plot(picture, weights, got);
  auto off = worst_deviation(weights, got.used_ms);
  std::printf("%zu stages, weights 1 to 4: the worst share is %.2f %% off its weight", got.ended, off);
  return judge(off <= share_off_max, "2 % at most");
}

bool splitting_gains_nothing() {
  auto got = simulation({{{"splits", 1, 1}, {"bundles", 1, 100}}}).run();
  auto gain = 100 * (got.used_ms["splits"] / got.used_ms["bundles"] - 1);
  std::printf("a stage a job against a hundred stages a job: %.2f %% more for who splits", gain);
  return judge(gain <= gain_max, "nothing, and 1 % is chance");
}

bool loads_are_fewer_at_the_same_fairness(std::size_t devices, std::size_t models, std::int64_t run_ms) {
  auto what = weights;
  what.devices = devices;
  what.models = models;
  what.run_ms = run_ms;
  what.load_ms = 5'000;
  auto got = simulation(what).run(), naive = in_order_of_arrival(what);
  auto fewer = 100 * (1 - static_cast<double>(got.cold) / static_cast<double>(naive.cold));
  std::printf("%zu models, %zu devices that hold one each, stages of %lld s: %zu cold loads, %zu in order of arrival, "
              "%.0f %% fewer",
              models, devices, static_cast<long long>(run_ms / 1'000), got.cold, naive.cold, fewer);
  auto good = judge(fewer >= fewer_loads_min, "30 % at least");
  auto off = worst_deviation(what, got.used_ms), naive_off = worst_deviation(what, naive.used_ms);
  std::printf("  the worst share meanwhile, with the loads: %.2f %% off its weight", off);
  good = judge(off <= share_off_max, "2 % at most") && good;
  std::printf("  and in order of arrival: %.2f %% off its weight", naive_off);
  return judge(naive_off <= share_off_max, "2 % at most, to be compared at the same fairness") && good;
}

} // namespace

int main(int argc, char** argv) {
  std::string only;
  const char* picture = nullptr;
  for (; argc > 1; --argc, ++argv) {
    std::string word = argv[1];
    if (word == "shares" || word == "split" || word == "loads")
      only = word;
    else
      picture = argv[1];
  }
  bool good = true;
  if (only.empty() || only == "shares")
    good = shares_follow_weights(picture) && good;
  if (only.empty() || only == "split")
    good = splitting_gains_nothing() && good;
  if (only.empty() || only == "loads")
    for (auto [devices, models, run_ms] :
         {std::tuple{16u, 24u, 1'000}, {16u, 48u, 1'000}, {16u, 24u, 30'000}, {1u, 4u, 30'000}})
      good = loads_are_fewer_at_the_same_fairness(devices, models, run_ms) && good;
  return good ? 0 : 1;
}

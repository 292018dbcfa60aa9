// Who gets what of the devices, in a simulation of the scheduler's core: shares against weights, splitting, and how
// often a model is loaded. Usage: fairness_bench [SVG-FILE]; the seed is fixed, so that a run can be repeated.

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
  std::map<std::string, double> used_ms; // device time without loads, by account
  std::size_t ended = 0, cold = 0;
  std::vector<std::map<std::string, double>> over_time; // used so far, at each hundredth
};

/// Every account always has work waiting; what a stage takes is known to nobody before it has ended.
class simulation {
public:
  explicit simulation(const scenario& what) : what_(what), core_(wide(), 1) {
    for (std::size_t d = 0; d < what_.devices; ++d) {
      auto id = "n" + std::to_string(d / 8) + "/cuda" + std::to_string(d % 8);
      tell(device_up{{id}, {"n" + std::to_string(d / 8)}, "cuda", {"video"}, 1, vram_mib});
    }
    for (const auto& account : what_.accounts)
      for (std::size_t i = 0; i < backlog; ++i)
        submit(account);
  }

  outcome_of run() {
    while (out_.ended < what_.jobs) {
      auto next = running_.top();
      running_.pop();
      now_ = std::max(now_, next.at);
      ++out_.ended;
      out_.used_ms[next.account->name] += static_cast<double>(next.run_ms);
      if (out_.ended % (what_.jobs / 100) == 0)
        out_.over_time.push_back(out_.used_ms);
      submit(*next.account);
      tell(stage_ended{next.ref, next.attempt, next.device, outcome::ok, static_cast<std::uint32_t>(next.run_ms)});
    }
    return out_;
  }

private:
  static constexpr std::size_t backlog = 200;
  static constexpr std::uint32_t vram_mib = 24'576, model_mib = 20'480; // one model at a time

  struct attempt {
    std::int64_t at = 0, run_ms = 0;
    stage_ref ref;
    std::uint64_t attempt = 0;
    device_id device;
    const account_plan* account = nullptr;
    bool operator<(const struct attempt& other) const { return at > other.at; }
  };

  static limits wide() {
    limits out;
    out.in_flight_per_account = 1'000'000;
    return out;
  }

  void submit(const account_plan& of) {
    auto number = submitted_[of.name]++;
    stage_request request;
    request.ref = {job_id{of.name + "-" + std::to_string(number / of.stages_per_job)},
                   static_cast<std::uint32_t>(number % of.stages_per_job)};
    request.account = account_id{of.name};
    request.weight = of.weight;
    request.kind = "video";
    request.model = "model" + std::to_string(chance_() % what_.models);
    request.vram_mib = model_mib;
    request.estimate_ms = static_cast<std::uint32_t>(what_.run_ms);
    wanted_[request.ref] = {&of, request.model};
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
    auto [account, model] = wanted_.at(s.ref);
    wanted_.erase(s.ref);
    auto& loaded = loaded_[s.device.value];
    auto load = loaded == model ? 0 : what_.load_ms;
    out_.cold += loaded == model ? 0 : 1;
    loaded = model;
    auto run = std::max<std::int64_t>(1, std::llround(static_cast<double>(what_.run_ms) * length_(chance_)));
    running_.push({now_ + load + run, run, s.ref, s.attempt, s.device, account});
  }

  scenario what_;
  scheduler_core core_;
  std::int64_t now_ = 1;
  std::mt19937 chance_{20261121};
  std::lognormal_distribution<double> length_{-0.125, 0.5}; // mean 1
  std::map<std::string, std::uint64_t> submitted_;
  std::map<stage_ref, std::pair<const account_plan*, std::string>> wanted_;
  std::map<std::string, std::string> loaded_; // device → model
  std::priority_queue<attempt> running_;
  outcome_of out_;
};

/// The same work, first come, first served, on whichever device is free.
std::size_t cold_loads_in_order_of_arrival(const scenario& what) {
  std::mt19937 chance{20261121};
  std::vector<std::size_t> loaded(what.devices, what.models);
  std::lognormal_distribution<double> length{-0.125, 0.5};
  using free_at = std::pair<double, std::size_t>; // when a device is free
  std::priority_queue<free_at, std::vector<free_at>, std::greater<>> devices;
  for (std::size_t d = 0; d < what.devices; ++d)
    devices.push({0, d});
  std::size_t cold = 0;
  for (std::size_t i = 0; i < what.jobs; ++i) {
    auto [at, device] = devices.top();
    devices.pop();
    auto model = chance() % what.models;
    bool load = loaded[device] != model;
    cold += load ? 1 : 0;
    loaded[device] = model;
    devices.push(
        {at + static_cast<double>(what.run_ms) * length(chance) + (load ? static_cast<double>(what.load_ms) : 0),
         device});
  }
  return cold;
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

} // namespace

int main(int argc, char** argv) {
  scenario weights{{{"free", 1}, {"creator", 2}, {"pro", 3}, {"studio", 4}}};
  auto shares = simulation(weights).run();
  std::printf("%zu stages, weights 1 to 4: the worst share is %.2f %% off its weight\n", shares.ended,
              worst_deviation(weights, shares.used_ms));
  if (argc > 1)
    plot(argv[1], weights, shares);

  scenario split{{{"splits", 1, 1}, {"bundles", 1, 100}}};
  auto halves = simulation(split).run();
  std::printf("a stage a job against a hundred stages a job: %.2f %% more for who splits\n",
              100 * (halves.used_ms["splits"] / halves.used_ms["bundles"] - 1));

  scenario models = weights;
  models.models = 24;
  models.load_ms = 5'000;
  auto mixed = simulation(models).run();
  auto naive = cold_loads_in_order_of_arrival(models);
  std::printf("24 models on 16 devices that hold one each: %zu cold loads, %zu in order of arrival, %.0f %% fewer; the "
              "worst share is %.2f %% off its weight\n",
              mixed.cold, naive, 100 * (1 - static_cast<double>(mixed.cold) / static_cast<double>(naive)),
              worst_deviation(models, mixed.used_ms));
  return 0;
}

#include "tests/simulation/scenario.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <map>

namespace troupe::simulation {

namespace {

constexpr std::array<const char*, static_cast<std::size_t>(act::count_)> names = {
    "submit",      "resubmit",       "fan_out",     "cancel",     "describe",     "read_books", "top_up",
    "refund",      "reverse",        "reinstate",   "forget",     "repair",       "make_key",   "revoke_key",
    "follow",      "unfollow",       "explain",     "drain",      "enable",       "distrust",   "remove_node",
    "rotate_node", "node_leaves",    "reprice",     "reload",     "head_crash",   "node_crash", "node_freeze",
    "line_cut",    "line_slow",      "line_noisy",  "disk_full",  "disk_failing", "disk_slow",  "blob_corrupt",
    "blob_lost",   "device_failing", "device_slow", "clock_jump", "stall"};

// How often, beside each other, a seed that has them does them.
const std::map<act, int> often = {
    {act::submit, 40},     {act::resubmit, 8},    {act::fan_out, 3},     {act::cancel, 10},    {act::describe, 8},
    {act::read_books, 6},  {act::top_up, 6},      {act::refund, 2},      {act::reverse, 4},    {act::reinstate, 2},
    {act::forget, 5},      {act::repair, 4},      {act::make_key, 3},    {act::revoke_key, 3}, {act::follow, 4},
    {act::unfollow, 3},    {act::explain, 3},     {act::drain, 2},       {act::enable, 2},     {act::distrust, 2},
    {act::remove_node, 1}, {act::rotate_node, 1}, {act::node_leaves, 1}, {act::reprice, 1},    {act::reload, 3}};

std::vector<step> draw_steps(dice luck, const std::vector<act>& bag, std::int64_t count, micros duration) {
  std::vector<step> out;
  for (std::int64_t i = 0; i < count && !bag.empty(); ++i) {
    step one;
    one.at = 3 * second + luck.between(0, duration);
    one.what = bag[static_cast<std::size_t>(luck.below(bag.size()))];
    one.seed = luck.next();
    out.push_back(one);
  }
  return out;
}

} // namespace

const char* name_of(act what) { return names.at(static_cast<std::size_t>(what)); }

scenario scenario::draw(std::uint64_t seed) {
  scenario out;
  out.seed = seed;
  auto luck = dice(seed).stream("scenario");
  out.accounts = 1 + luck.below(4);
  out.nodes = 1 + luck.below(3);
  out.order = static_cast<turns>(luck.below(3));
  out.duration = luck.magnitude(10 * second, 5 * minute);
  out.passivate_after_ms = luck.permille(300) ? luck.between(1'000, 20'000) : 300'000;
  out.spoilt = luck.permille(300) ? luck.between(10, 300) : 0;
  out.work_ms = luck.magnitude(50, 20'000);
  out.urgencies = luck.permille(400) ? luck.between(100, 800) : 0;
  out.speculative = luck.permille(300) ? luck.between(100, 1000) : 0;

  std::vector<act> requests, faults;
  for (const auto& [what, weight] : often)
    if (what == act::submit || luck.permille(600))
      requests.insert(requests.end(), static_cast<std::size_t>(weight), what);
  for (auto what = first_fault; what < act::count_; what = static_cast<act>(static_cast<int>(what) + 1))
    if (luck.permille(250))
      faults.push_back(what);
  out.steps = draw_steps(luck.stream("requests"), requests, luck.magnitude(5, 60), out.duration);
  auto bad = draw_steps(luck.stream("faults"), faults, luck.magnitude(1, 16), out.duration);
  out.steps.insert(out.steps.end(), bad.begin(), bad.end());
  std::stable_sort(out.steps.begin(), out.steps.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  return out;
}

scenario scenario::with(const std::vector<std::size_t>& kept) const {
  auto out = *this;
  out.steps.clear();
  for (auto i : kept)
    if (i < steps.size())
      out.steps.push_back(steps[i]);
  return out;
}

std::string scenario::text() const {
  auto out = fmt::format("seed {}: {} accounts, {} nodes, {} s, turns {}, work about {} ms, {} steps\n", seed, accounts,
                         nodes, duration / second, static_cast<int>(order), work_ms, steps.size());
  for (const auto& one : steps)
    out += fmt::format("  {:>5}.{:06} {}\n", one.at / second, one.at % second, name_of(one.what));
  return out;
}

} // namespace troupe::simulation

// troupe-sim: the whole product on one thread, under faults that a seed draws; docs/reliability.md.

#include "tests/simulation/child.hpp"
#include "tests/simulation/shrink.hpp"

#include "common/log.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <numeric>
#include <optional>
#include <sstream>

namespace {

using namespace troupe::simulation;

constexpr const char* usage =
    R"(troupe-sim --seed S        one seed: its story, and whether it does the same twice; a complaint is shrunk
troupe-sim --seeds N       that many seeds, one after another
troupe-sim --hours H       seeds until so many hours were simulated
  --from S                 the first seed (1)
  --steps 1,4,7            of --seed: only these steps of it
  --no-shrink, --no-story  of --seed
  --log                    the product's own log, on stderr
Ends with 1 when a promise was broken.
)";

struct options {
  std::optional<std::uint64_t> seed;
  std::uint64_t seeds = 0, from = 1;
  double hours = 0;
  std::optional<std::vector<std::size_t>> steps;
  bool shrinks = true, tells = true, logs = false;
};

std::vector<std::size_t> numbers_in(const std::string& text) {
  std::vector<std::size_t> out;
  std::istringstream in(text);
  for (std::string word; std::getline(in, word, ',');)
    if (word != "none")
      out.push_back(std::strtoull(word.c_str(), nullptr, 10));
  return out;
}

std::string text_of(const std::vector<std::size_t>& steps) {
  std::string out;
  for (auto i : steps)
    out += (out.empty() ? "" : ",") + std::to_string(i);
  return out;
}

bool read(int argc, char** argv, options& into) {
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    std::string value = i + 1 < argc ? argv[i + 1] : "";
    auto number = std::strtoull(value.c_str(), nullptr, 10);
    if (word == "--no-shrink")
      into.shrinks = false;
    else if (word == "--no-story")
      into.tells = false;
    else if (word == "--log")
      into.logs = true;
    else if (value.empty())
      return false;
    else if (word == "--seed")
      into.seed = number, ++i;
    else if (word == "--seeds")
      into.seeds = number, ++i;
    else if (word == "--from")
      into.from = number, ++i;
    else if (word == "--hours")
      into.hours = std::atof(value.c_str()), ++i;
    else if (word == "--steps")
      into.steps = numbers_in(value), ++i;
    else
      return false;
  }
  return into.seed || into.seeds > 0 || into.hours > 0;
}

void print(const outcome& one) {
  const auto& f = one.figures;
  std::printf("seed %llu: %s\n  %.1f s, %llu events, %llu lives of the head, %llu jobs, %llu attempts, %llu of them "
              "lost and back, %llu transfers, %llu frames; hash %016llx\n",
              static_cast<unsigned long long>(f.seed), one.complaint.empty() ? "good" : one.complaint.c_str(),
              static_cast<double>(f.simulated) / second, static_cast<unsigned long long>(f.events),
              static_cast<unsigned long long>(f.heads), static_cast<unsigned long long>(f.jobs),
              static_cast<unsigned long long>(f.attempts), static_cast<unsigned long long>(f.came_back),
              static_cast<unsigned long long>(f.transfers), static_cast<unsigned long long>(f.frames),
              static_cast<unsigned long long>(f.hash));
  std::fflush(stdout);
}

int run_one(const options& wanted) {
  auto whole = scenario::draw(*wanted.seed);
  std::vector<std::size_t> kept(whole.steps.size());
  std::iota(kept.begin(), kept.end(), 0);
  if (wanted.steps)
    kept = *wanted.steps;
  auto first = run_apart(whole.with(kept), false), second_time = run_apart(whole.with(kept), false);
  print(first);
  if (first.complaint != second_time.complaint || first.figures.hash != second_time.figures.hash) {
    std::printf("it does not do the same twice: %016llx, %s\n",
                static_cast<unsigned long long>(second_time.figures.hash), second_time.complaint.c_str());
    return 1;
  }
  if (!first.complaint.empty() && wanted.shrinks) {
    constexpr int tries_max = 300;
    kept = shrink(whole, std::move(kept), first.complaint, tries_max);
    std::printf("shrunk to %zu of %zu steps: troupe-sim --seed %llu --steps %s\n", kept.size(), whole.steps.size(),
                static_cast<unsigned long long>(*wanted.seed), kept.empty() ? "none" : text_of(kept).c_str());
  }
  if (wanted.tells) {
    std::printf("%s", whole.with(kept).text().c_str());
    run_apart(whole.with(kept), true);
  }
  return first.complaint.empty() ? 0 : 1;
}

int run_many(const options& wanted) {
  auto begin = std::chrono::steady_clock::now();
  std::uint64_t ran = 0, broken = 0, jobs = 0, came_back = 0, lives = 0, events = 0;
  double simulated_s = 0;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> kinds; // → how many, the first seed
  auto each = [&](const outcome& one) {
    ++ran;
    simulated_s += static_cast<double>(one.figures.simulated) / second;
    jobs += one.figures.jobs;
    came_back += one.figures.came_back;
    lives += one.figures.heads;
    events += one.figures.events;
    if (one.complaint.empty())
      return;
    ++broken;
    auto& [count, first] = kinds[kind_of(one.complaint)];
    if (count++ == 0) {
      first = one.figures.seed;
      print(one);
    }
  };
  constexpr std::uint64_t at_once = 100;
  auto more = [&] { return wanted.hours > 0 ? simulated_s < wanted.hours * 3600 : ran < wanted.seeds; };
  while (more())
    run_apart(wanted.from + ran, wanted.hours > 0 ? at_once : std::min(at_once, wanted.seeds - ran), each);
  auto wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (const auto& [kind, seen] : kinds)
    std::printf("%6llu seeds, first %llu: %s\n", static_cast<unsigned long long>(seen.first),
                static_cast<unsigned long long>(seen.second), kind.c_str());
  std::printf(
      "%llu seeds, %llu with a broken promise; %.1f h simulated in %.1f s (%.0f times as fast as time); %llu jobs, "
      "%llu attempts lost and back, %llu lives of the head, %llu events\n",
      static_cast<unsigned long long>(ran), static_cast<unsigned long long>(broken), simulated_s / 3600, wall_s,
      simulated_s / wall_s, static_cast<unsigned long long>(jobs), static_cast<unsigned long long>(came_back),
      static_cast<unsigned long long>(lives), static_cast<unsigned long long>(events));
  return broken == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  options wanted;
  if (!read(argc, argv, wanted)) {
    std::fputs(usage, stderr);
    return 2;
  }
  troupe::start_log("sim", wanted.logs ? "info" : "off");
  return wanted.seed ? run_one(wanted) : run_many(wanted);
}

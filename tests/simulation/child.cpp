#include "tests/simulation/child.hpp"

#include "common/check.hpp"
#include "tests/simulation/authors.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>

namespace troupe::simulation {

namespace {

constexpr unsigned hung_after_s = 120; // of one scenario
constexpr std::size_t text_max = 1000;

struct record {
  numbers figures;
  std::array<char, text_max> complaint{};
};

bool read_all(int from, void* to, std::size_t size) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    auto n = ::read(from, at, size);
    if (n <= 0)
      return false;
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

record perform(const scenario& what, bool told) {
  ::alarm(hung_after_s);
  auto v = run(what, told);
  ::alarm(0);
  for (const auto& line : v.story)
    std::puts(line.c_str());
  std::fflush(stdout);
  record out;
  out.figures = {what.seed,   v.hash,     v.events, v.jobs,   v.attempts, v.came_back,
                 v.transfers, v.accepted, v.heads,  v.frames, v.simulated};
  std::snprintf(out.complaint.data(), text_max, "%s", v.complaint.c_str());
  return out;
}

/// What a child leaves that a failed check ended.
std::string last_words(std::FILE* said, int status) {
  std::string out = WIFSIGNALED(status) ? "the process died of signal " + std::to_string(WTERMSIG(status))
                                        : "the process ended with " + std::to_string(WEXITSTATUS(status));
  std::array<char, text_max> text{};
  auto fd = ::fileno(said);
  auto size = ::lseek(fd, 0, SEEK_END);
  auto begin = size > static_cast<off_t>(text_max) ? size - static_cast<off_t>(text_max) : 0;
  auto n = ::pread(fd, text.data(), text_max - 1, begin);
  if (n > 0) {
    std::string all(text.data(), static_cast<std::size_t>(n));
    while (!all.empty() && all.back() == '\n')
      all.pop_back();
    out += ": " + all.substr(all.rfind('\n') + 1);
  }
  return out;
}

/// Runs `work` in a child that writes records; returns how it ended and what it said last.
struct child {
  int records = -1;
  pid_t process = -1;
  std::FILE* said = nullptr;

  explicit child(const std::function<void(int to)>& work) {
    int ends[2];
    TROUPE_CHECK(::pipe(ends) == 0);
    said = std::tmpfile();
    TROUPE_CHECK(said != nullptr);
    std::fflush(stdout);
    process = ::fork();
    TROUPE_CHECK(process >= 0);
    if (process == 0) {
      ::close(ends[0]);
      ::dup2(::fileno(said), STDERR_FILENO);
      work(ends[1]);
      ::_exit(0);
    }
    ::close(ends[1]);
    records = ends[0];
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() {
    ::close(records);
    std::fclose(said);
  }
  /// Empty when it ended well.
  std::string wait() const {
    int status = 0;
    ::waitpid(process, &status, 0);
    std::error_code ignored;
    std::filesystem::remove_all(authors::folder_of(process), ignored);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? std::string{} : last_words(said, status);
  }
};

void put(int to, const record& what) {
  if (::write(to, &what, sizeof what) != static_cast<ssize_t>(sizeof what))
    ::_exit(3);
}

} // namespace

outcome run_apart(const scenario& what, bool told) {
  child one([&](int to) { put(to, perform(what, told)); });
  record got;
  outcome out;
  out.figures.seed = what.seed;
  bool whole = read_all(one.records, &got, sizeof got);
  auto died = one.wait();
  if (whole)
    out = {got.complaint.data(), got.figures};
  if (!died.empty())
    out.complaint = died;
  return out;
}

void run_apart(std::uint64_t from, std::uint64_t count, const std::function<void(const outcome&)>& each) {
  for (auto next = from; next < from + count;) {
    child many([&](int to) {
      for (auto seed = next; seed < from + count; ++seed)
        put(to, perform(scenario::draw(seed), false));
    });
    record got;
    while (read_all(many.records, &got, sizeof got)) {
      each({got.complaint.data(), got.figures});
      ++next;
    }
    if (auto died = many.wait(); !died.empty() && next < from + count) {
      outcome out;
      out.complaint = died;
      out.figures.seed = next++;
      each(out);
    }
  }
}

} // namespace troupe::simulation

#include "tests/unit/storage/process.hpp"

#include "common/check.hpp"
#include "common/clock.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::storage::testing {

process::process(const std::filesystem::path& program, std::vector<std::string> arguments) {
  std::array<int, 2> ends{};
  TROUPE_CHECK(::pipe2(ends.data(), O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  auto name = program.string();
  std::vector<char*> all{name.data()};
  for (auto& argument : arguments)
    all.push_back(argument.data());
  all.push_back(nullptr);
  TROUPE_CHECK(::posix_spawn(&id_, name.c_str(), &actions, nullptr, all.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  output_ = ends[0];
}

process::~process() {
  kill();
  ::close(output_);
}

std::optional<std::string> process::line(int limit_ms) {
  auto end = steady_ms() + limit_ms;
  for (;;) {
    if (auto at = buffer_.find('\n'); at != std::string::npos) {
      auto out = buffer_.substr(0, at);
      buffer_.erase(0, at + 1);
      return out;
    }
    pollfd wanted{output_, POLLIN, 0};
    auto left = end - steady_ms();
    if (left < 0 || ::poll(&wanted, 1, static_cast<int>(left)) <= 0)
      return {};
    std::array<char, 65'536> bytes{};
    auto got = ::read(output_, bytes.data(), bytes.size());
    if (got <= 0)
      return {};
    buffer_.append(bytes.data(), static_cast<std::size_t>(got));
  }
}

void process::kill() {
  if (id_ < 0)
    return;
  ::kill(id_, SIGKILL);
  ::waitpid(id_, nullptr, 0);
  id_ = -1;
}

} // namespace troupe::storage::testing

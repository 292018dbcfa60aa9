#include "gpu/engines/speech/child.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace troupe::engines {

namespace {

using clock = std::chrono::steady_clock;

constexpr int tick_ms = 50;

result<void> listen(int in, const std::function<void(std::string_view)>& received, const std::function<bool()>& stop,
                    const child_limits& bounds) {
  const auto deadline = clock::now() + bounds.time;
  std::array<char, 65536> buffer{};
  std::size_t total = 0;
  while (true) {
    if (stop())
      return fail("cancelled", "broken off");
    if (clock::now() > deadline)
      return fail("timeout", "it took longer than it may");
    pollfd waiting{in, POLLIN, 0};
    if (poll(&waiting, 1, tick_ms) <= 0)
      continue;
    const auto got = read(in, buffer.data(), buffer.size());
    if (got == 0)
      return {};
    if (got < 0)
      continue; // interrupted
    total += static_cast<std::size_t>(got);
    if (total > bounds.bytes_max)
      return fail("too_large", "it made more than it may");
    received(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  }
}

/// What a child needs of our environment, and nothing else: no secret, whoever set it.
std::vector<char*> environment_of_child() {
  constexpr std::array<std::string_view, 7> passed{
      "HOME=", "LANG=", "LC_ALL=", "LD_LIBRARY_PATH=", "TMPDIR=", "TROUPE_PREFIX=", "XDG_CACHE_HOME="};
  std::vector<char*> out;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    std::string_view one{*at};
    auto name = one.substr(0, one.find('='));
    bool sanitizer = name.ends_with("SAN_OPTIONS");
    if (sanitizer || std::any_of(passed.begin(), passed.end(), [&](auto word) { return one.starts_with(word); }))
      out.push_back(*at);
  }
  out.push_back(nullptr);
  return out;
}

/// A file in memory that holds `text`, read from its beginning: writing never waits for a child that does not read.
int file_of(std::string_view text) {
  const int file = memfd_create("request", MFD_CLOEXEC);
  while (file >= 0 && !text.empty()) {
    const auto written = write(file, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      close(file);
      return -1;
    }
  }
  if (file >= 0)
    lseek(file, 0, SEEK_SET);
  return file;
}

} // namespace

result<void> run_child(const char* name, const std::string& request,
                       const std::function<void(std::string_view bytes)>& received, const std::function<bool()>& stop,
                       child_limits bounds) {
  const int in = file_of(request);
  std::array<int, 2> out{};
  if (in < 0)
    return fail("child", "there is no memory for what it is asked");
  if (pipe2(out.data(), O_CLOEXEC) != 0) {
    close(in);
    return fail("child", "no pipe could be made");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1); // the node's sockets and locks are not its own
  std::string word(name);
  std::array<char*, 2> argv{word.data(), nullptr};
  auto environment = environment_of_child();
  pid_t child = -1;
  const bool started = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, argv.data(), environment.data()) == 0;
  posix_spawn_file_actions_destroy(&actions);
  close(in);
  close(out[1]);
  if (!started) {
    close(out[0]);
    return fail("child", "no process could be made");
  }
  auto heard = listen(out[0], received, stop, bounds);
  close(out[0]);
  if (!heard)
    kill(child, SIGKILL);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    ;
  if (!heard)
    return heard;
  if (WIFSIGNALED(status))
    return fail("crashed", "it broke down");
  if (WEXITSTATUS(status) != 0)
    return fail("child", "it failed");
  return {};
}

} // namespace troupe::engines

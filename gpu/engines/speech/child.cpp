#include "gpu/engines/speech/child.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace troupe::engines {

namespace {

using clock = std::chrono::steady_clock;

constexpr int tick_ms = 50;

[[noreturn]] void be_the_child(int out, const std::function<bool(const child_sink&)>& work) {
  prctl(PR_SET_PDEATHSIG, SIGKILL); // it must not outlive the thread that waits for it
  signal(SIGPIPE, SIG_IGN);
  // Sockets and locks of the node are not the child's to hold; its own pipe becomes the first descriptor after stderr.
  constexpr int pipe_at = 3;
  if (out != pipe_at)
    dup2(out, pipe_at);
  close_range(pipe_at + 1, ~0U, 0);
  const bool good = work([](std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto sent = write(pipe_at, bytes.data(), bytes.size());
      if (sent < 0 && errno != EINTR)
        return false;
      if (sent > 0)
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
    }
    return true;
  });
  _exit(good ? 0 : 1); // no destructor of the parent's may run here
}

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

} // namespace

result<void> run_in_child(const std::function<bool(const child_sink&)>& work,
                          const std::function<void(std::string_view bytes)>& received,
                          const std::function<bool()>& stop, child_limits bounds) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    return fail("child", "no pipe could be made");
  const pid_t child = fork();
  if (child == 0)
    be_the_child(ends[1], work);
  close(ends[1]);
  if (child < 0) {
    close(ends[0]);
    return fail("child", "no process could be made");
  }
  auto heard = listen(ends[0], received, stop, bounds);
  close(ends[0]);
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

#include "gpu/node/supervisor.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"
#include "gpu/link/wakeup.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>

extern char** environ;

namespace troupe::node {

namespace {

// What the child gets of this process: its environment, its stderr and stdout, and nothing else. No socket, no lock, no
// signal mask: those would outlive this process in the child.
int spawn(const std::vector<std::string>& argv, pid_t& pid) {
  std::vector<char*> words;
  for (const auto& word : argv)
    words.push_back(const_cast<char*>(word.c_str())); // posix_spawn does not write to them
  words.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0); // Ctrl-C at the terminal is for the head, which then stops this child
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  int error = ::posix_spawn(&pid, words[0], &files, &attributes, words.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  return error;
}

class process_supervisor final : public supervisor {
public:
  explicit process_supervisor(supervisor_options options) : options_(std::move(options)), thread_([this] { run(); }) {}
  ~process_supervisor() override { stop(); }

  supervisor_state state() const override {
    std::lock_guard guard(mutex_);
    return state_;
  }
  void stop() override {
    stopping_ = true;
    wakeup_.ring();
    std::lock_guard guard(join_mutex_);
    if (thread_.joinable())
      thread_.join();
  }

private:
  void run();
  int live(pid_t pid);
  void pause(std::int64_t ms);
  bool wait(int pidfd, pid_t pid, std::int64_t ms, int& status);

  supervisor_options options_;
  mutable std::mutex mutex_;
  std::mutex join_mutex_;
  supervisor_state state_;
  std::atomic<bool> stopping_{false};
  link::wakeup wakeup_;
  std::thread thread_;
};

void process_supervisor::run() {
  for (auto backoff = options_.backoff_ms; !stopping_;) {
    auto began = steady_ms();
    pid_t pid = 0;
    int status = 127;
    if (int error = spawn(options_.argv, pid); error != 0) {
      log::error("cannot start {}: {}", options_.argv[0], std::strerror(error));
    } else {
      {
        std::lock_guard guard(mutex_);
        state_.pid = pid;
        ++state_.starts;
      }
      status = live(pid);
    }
    {
      std::lock_guard guard(mutex_);
      state_.pid = 0;
      state_.last_status = status;
    }
    auto goes_on = !options_.on_exit || options_.on_exit(status);
    if (stopping_ || !goes_on)
      return;
    if (steady_ms() - began >= options_.settled_ms)
      backoff = options_.backoff_ms;
    log::warn("{} ended ({} {}); starting it again in {} ms", options_.argv[0], status < 0 ? "signal" : "status",
              std::abs(status), backoff);
    pause(backoff);
    backoff = std::min(backoff * 2, options_.backoff_max_ms);
  }
}

// Until the child is gone, and waited for: no zombie stays. Returns how it ended.
int process_supervisor::live(pid_t pid) {
  int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); // glibc 2.36 declares it for C only;
  int status = 0;
  bool gone = false;
  while (!gone && !stopping_)
    gone = wait(pidfd, pid, -1, status);
  if (!gone) {
    ::kill(pid, SIGTERM);
    gone = wait(pidfd, pid, options_.grace_ms, status);
  }
  if (!gone) {
    log::error("process {} did not end within {} ms of SIGTERM and is killed", pid, options_.grace_ms);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, &status, 0);
  }
  if (pidfd >= 0)
    ::close(pidfd);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

// True when the child has ended. Without a time it also returns when stop() is called.
bool process_supervisor::wait(int pidfd, pid_t pid, std::int64_t ms, int& status) {
  for (auto until = steady_ms() + ms;;) {
    if (::waitpid(pid, &status, WNOHANG) == pid)
      return true;
    bool timed = ms >= 0;
    auto left = timed ? until - steady_ms() : 1000;
    if ((timed && left <= 0) || (!timed && stopping_))
      return false;
    // An old kernel has no pidfd: then look ten times a second.
    pollfd fds[] = {{pidfd, POLLIN, 0}, {timed ? -1 : wakeup_.fd(), POLLIN, 0}};
    ::poll(fds, 2, static_cast<int>(pidfd >= 0 ? left : std::min<std::int64_t>(left, 100)));
  }
}

void process_supervisor::pause(std::int64_t ms) {
  for (auto until = steady_ms() + ms; !stopping_ && steady_ms() < until;) {
    pollfd ring{wakeup_.fd(), POLLIN, 0};
    ::poll(&ring, 1, static_cast<int>(until - steady_ms()));
  }
}

} // namespace

result<std::unique_ptr<supervisor>> supervisor::start(supervisor_options options) {
  if (options.argv.empty() || options.argv[0].empty())
    return fail("malformed", "no program to keep alive is given");
  try {
    return std::unique_ptr<supervisor>(std::make_unique<process_supervisor>(std::move(options)));
  } catch (const std::exception& e) {
    return fail("io", std::string("cannot watch over a process: ") + e.what());
  }
}

} // namespace troupe::node

#include "app/portrait.hpp"

#include "gpu/engines/speech/child.hpp"
#include "gpu/media/portrait.hpp"

#include <csignal>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace troupe::app {

namespace {

constexpr const char* child_name = "troupe-portray";
constexpr int exit_media = 3;
constexpr std::size_t portrait_bytes_max = 1 << 20;
[[maybe_unused]] constexpr rlim_t memory_max = 2ull << 30; // of addresses: a picture of 64 megapixels takes 400 MiB
constexpr rlim_t cpu_seconds_max = 10;
constexpr auto time_max = std::chrono::seconds(15);

void limit(int what, rlim_t most) {
  const rlimit to{most, most};
  if (::setrlimit(static_cast<__rlimit_resource_t>(what), &to) != 0)
    ::_exit(1);
}

bool write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    auto sent = ::write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (sent < 0 && errno != EINTR)
      return false;
    if (sent > 0)
      bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

} // namespace

result<std::string> make_portrait(const std::string& picture) {
  std::string out;
  engines::child_limits bounds;
  bounds.time = time_max;
  bounds.bytes_max = portrait_bytes_max;
  auto made = engines::run_child(
      child_name, picture, [&out](std::string_view bytes) { out += bytes; }, [] { return false; }, bounds);
  // A picture that brings the codec down, or to its limits, is not one that another try would like better.
  if (!made && (made.error().code == "crashed" || made.error().code == "timeout" || made.error().code == "child"))
    return fail("media", "it is broken, or too large");
  if (!made)
    return made.error();
  return out;
}

void portray_if_asked(int argc, char** argv) {
  if (argc < 1 || std::string_view(argv[0]) != child_name)
    return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL); // it must not outlive who waits for it
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  std::signal(SIGPIPE, SIG_IGN);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  limit(RLIMIT_AS, memory_max); // sanitizers take terabytes of addresses for themselves,
  limit(RLIMIT_NOFILE, 0); // and pipes to look at memory; what is open stays so, and no file or socket can be opened
#endif
  limit(RLIMIT_CPU, cpu_seconds_max);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, 0); // pipes are no files: it can write to us and nowhere else
  auto made = media::portrait_of("/dev/stdin");
  if (!made)
    ::_exit(exit_media);
  ::_exit(write_all(*made) ? 0 : 1);
}

} // namespace troupe::app

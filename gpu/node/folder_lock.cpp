#include "gpu/node/folder_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace troupe::node {

result<folder_lock> folder_lock::take(const std::filesystem::path& folder) {
  std::error_code made;
  std::filesystem::create_directories(folder, made);
  auto path = folder / "lock";
  folder_lock lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.fd_ < 0)
    return fail("io", "cannot open " + path.string() + ": " + std::strerror(errno));
  if (::flock(lock.fd_, LOCK_EX | LOCK_NB) != 0) {
    std::array<char, 16> pid{};
    auto got = ::pread(lock.fd_, pid.data(), pid.size() - 1, 0);
    return fail("locked", "another node works in " + folder.string() + " (process " +
                              (got > 0 ? std::string(pid.data()) : std::string("unknown")) + "); stop it first");
  }
  auto pid = std::to_string(::getpid());
  if (::ftruncate(lock.fd_, 0) != 0 || ::pwrite(lock.fd_, pid.data(), pid.size(), 0) < 0)
    return fail("io", "cannot write " + path.string() + ": " + std::strerror(errno));
  return lock;
}

folder_lock::folder_lock(folder_lock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

folder_lock::~folder_lock() {
  if (fd_ >= 0)
    ::close(fd_);
}

} // namespace troupe::node

#include "storage/lock.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace troupe::storage {

namespace {

// The winner takes the lock first and writes its id a moment later, so an empty file is asked again.
std::string holder_of(const file& lock) {
  for (int attempt = 0; attempt < 50; ++attempt) {
    std::array<char, 32> text{};
    auto length = ::pread(lock.descriptor(), text.data(), text.size(), 0);
    std::string_view found{text.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
    auto digits = found.substr(0, found.find_first_not_of("0123456789"));
    if (!digits.empty())
      return "process " + std::string{digits};
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return "another process";
}

} // namespace

result<data_lock> data_lock::take(const std::filesystem::path& directory) {
  auto path = directory / "lock";
  auto opened = open_file(path, O_RDWR | O_CREAT, 0640);
  if (!opened.is_open())
    return io_failure(errno, "cannot open " + path.string());
  if (::flock(opened.descriptor(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return io_failure(errno, "cannot lock " + path.string());
    return fail("locked", "data directory " + directory.string() + " is in use by " + holder_of(opened) +
                              "; stop it or use another --data");
  }
  if (::ftruncate(opened.descriptor(), 0) != 0)
    return io_failure(errno, "cannot write " + path.string());
  if (auto written = write_all(opened, std::to_string(::getpid()) + "\n"); !written)
    return written.error();
  return data_lock{std::move(opened)};
}

data_lock::~data_lock() {
  // The file stays: removing it would let two processes hold locks on two files of one name.
  if (held_.is_open() && ::ftruncate(held_.descriptor(), 0) != 0)
    return;
}

} // namespace troupe::storage

#include "common/private_file.hpp"

#include "common/random.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace troupe {

namespace {

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    auto n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return ::fsync(fd) == 0;
}

bool sync_folder(const std::filesystem::path& folder) {
  int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return false;
  bool good = ::fsync(fd) == 0;
  ::close(fd);
  return good;
}

bool name_it(const std::string& part, const std::filesystem::path& path, if_there old) {
  if (old == if_there::replace)
    return ::rename(part.c_str(), path.c_str()) == 0;
  // link() refuses a name that exists, unlike rename(): of two processes that write at once, who came first is kept.
  bool named = ::link(part.c_str(), path.c_str()) == 0 || errno == EEXIST;
  ::unlink(part.c_str());
  return named;
}

} // namespace

result<void> write_private_file(const std::filesystem::path& path, std::string_view text, if_there old) {
  auto part = path.string() + "." + random_hex(4) + ".part";
  int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool good = fd >= 0 && write_all(fd, text);
  auto error = errno;
  if (fd >= 0)
    ::close(fd);
  if (good && name_it(part, path, old) && sync_folder(path.parent_path()))
    return {};
  if (good)
    error = errno;
  if (fd >= 0)
    ::unlink(part.c_str());
  return fail("io", "cannot write " + path.string() + ": " + std::strerror(error));
}

} // namespace troupe

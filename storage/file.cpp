#include "storage/file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

namespace troupe::storage {

void file::close() {
  if (is_open())
    ::close(std::exchange(descriptor_, -1));
}

failure io_failure(int error, const std::string& what) {
  bool full = error == ENOSPC || error == EDQUOT;
  return fail(full ? "full" : "io", what + ": " + std::generic_category().message(error));
}

file open_file(const std::filesystem::path& path, int flags, unsigned mode) {
  int descriptor = -1;
  do
    descriptor = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (descriptor < 0 && errno == EINTR);
  return file{descriptor};
}

result<void> write_all(const file& to, std::string_view bytes) {
  while (!bytes.empty()) {
    auto written = ::write(to.descriptor(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return io_failure(errno, "cannot write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

result<void> sync_folder(const std::filesystem::path& folder) {
  auto opened = open_file(folder, O_RDONLY | O_DIRECTORY);
  if (!opened.is_open() || ::fsync(opened.descriptor()) != 0)
    return io_failure(errno, "cannot sync the folder " + folder.string());
  return {};
}

} // namespace troupe::storage

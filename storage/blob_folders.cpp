#include "storage/blob_folders.hpp"

#include "common/log.hpp"
#include "common/random.hpp"
#include "common/sha256.hpp"

#include <cerrno>
#include <cstdio>
#include <sys/stat.h>

namespace troupe::storage {

namespace {

namespace fs = std::filesystem;

// Synced also when it was there: the process that made it may have died before it synced.
result<void> make_folder(const fs::path& folder) {
  if (::mkdir(folder.c_str(), 0750) != 0 && errno != EEXIST)
    return io_failure(errno, "cannot make the folder " + folder.string());
  return sync_folder(folder.parent_path());
}

} // namespace

result<void> blob_folders::prepare() {
  std::error_code error;
  fs::create_directories(root_, error);
  if (!error)
    fs::remove_all(root_ / "tmp", error);
  if (error)
    return io_failure(error.value(), "cannot prepare the blob folder " + root_.string());
  for (const char* name : {"tmp", "quarantine"})
    if (auto made = make_folder(root_ / name); !made)
      return made;
  return {};
}

fs::path blob_folders::temporary() const { return root_ / "tmp" / random_hex(16); }

fs::path blob_folders::place_of(const std::string& sha256) const {
  if (!is_sha256(sha256))
    return {};
  return root_ / sha256.substr(0, 2) / sha256.substr(2, 2) / sha256;
}

result<void> blob_folders::place(const fs::path& temporary, const std::string& sha256) {
  auto to = place_of(sha256);
  {
    std::lock_guard guard{mutex_};
    if (auto made = make_parents(sha256); !made)
      return made;
    if (::rename(temporary.c_str(), to.c_str()) != 0)
      return io_failure(errno, "cannot name blob " + sha256);
  }
  return sync_folder(to.parent_path());
}

result<void> blob_folders::make_parents(const std::string& sha256) {
  auto number = std::stoul(sha256.substr(0, 4), nullptr, 16);
  if (made_[number])
    return {};
  auto inner = place_of(sha256).parent_path();
  for (const auto& folder : {inner.parent_path(), inner})
    if (auto made = make_folder(folder); !made)
      return made;
  made_[number] = true;
  return {};
}

void blob_folders::set_aside(const std::string& sha256, const file& damaged) {
  auto from = place_of(sha256);
  struct stat opened {
  }, named{};
  std::lock_guard guard{mutex_};
  bool same = ::fstat(damaged.descriptor(), &opened) == 0 && ::stat(from.c_str(), &named) == 0 &&
              opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
  if (!same)
    return; // made again meanwhile
  auto to = root_ / "quarantine" / (sha256 + "." + random_hex(4));
  if (::rename(from.c_str(), to.c_str()) != 0)
    log::error("cannot set damaged blob {} aside: {}", sha256, io_failure(errno, "rename").message);
}

} // namespace troupe::storage

#include "gpu/link/head_link.hpp"

#include "common/check.hpp"
#include "common/random.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace troupe::link {

namespace {

constexpr std::size_t z85_length = 40;

result<void> write_synced(const std::string& path, const std::string& text, int extra_flags) {
  int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | extra_flags, 0600);
  if (fd < 0)
    return fail("io", "cannot make the key file " + path + ": " + std::strerror(errno));
  bool good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!good)
    return fail("io", "cannot write the key file " + path + "; is the disk full?");
  return {};
}

void sync_folder(const std::filesystem::path& folder) {
  int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
}

// Read back after making, so that of two processes that make it at once both use the pair that won.
result<key_pair> read_key_pair(const std::string& path) {
  std::ifstream in(path);
  key_pair keys;
  if (!(in >> keys.public_key >> keys.secret_key))
    return fail("malformed", "the key file " + path + " holds no key pair; move it away to have a new one made");
  std::array<char, z85_length + 1> derived{};
  bool sized = keys.public_key.size() == z85_length && keys.secret_key.size() == z85_length;
  if (!sized || zmq_curve_public(derived.data(), keys.secret_key.c_str()) != 0 || keys.public_key != derived.data())
    return fail("malformed", "the keys in " + path + " are no pair; move the file away to have a new one made");
  return keys;
}

} // namespace

key_pair make_key_pair() {
  std::array<char, z85_length + 1> public_key{}, secret_key{};
  TROUPE_CHECK(zmq_curve_keypair(public_key.data(), secret_key.data()) == 0);
  return {public_key.data(), secret_key.data()};
}

result<key_pair> load_or_make_key_pair(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored))
    return read_key_pair(path);
  auto keys = make_key_pair();
  auto temporary = path + "." + random_hex(4);
  if (auto written = write_synced(temporary, keys.public_key + "\n" + keys.secret_key + "\n", O_EXCL); !written) {
    ::unlink(temporary.c_str());
    return written.error();
  }
  // link() refuses a name that exists, unlike rename(): who came first is kept.
  bool linked = ::link(temporary.c_str(), path.c_str()) == 0 || errno == EEXIST;
  ::unlink(temporary.c_str());
  if (!linked)
    return fail("io", "cannot name the key file " + path + ": " + std::strerror(errno));
  sync_folder(std::filesystem::path(path).parent_path());
  return read_key_pair(path);
}

} // namespace troupe::link

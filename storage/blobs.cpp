#include "storage/blobs.hpp"

#include "common/log.hpp"
#include "storage/blob_folders.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace troupe::storage {

namespace {

namespace fs = std::filesystem;

failure missing(const std::string& sha256) { return fail("missing", "there is no blob " + sha256); }

class file_writer final : public blob_writer {
public:
  file_writer(blob_folders& folders, fs::path path, file opened)
    : folders_(folders), path_(std::move(path)), file_(std::move(opened)) {}
  ~file_writer() override { drop(); }

  std::uint64_t size() const override { return size_; }

  result<void> write(std::string_view bytes) override {
    if (!file_.is_open())
      return fail("io", "a blob was written to after its end");
    if (auto written = write_all(file_, bytes); !written) {
      drop(); // some of the bytes may be there: no hash can be right from here
      return written;
    }
    hash_.update(bytes);
    size_ += bytes.size();
    return {};
  }

  result<std::string> commit(const std::string& expected) override {
    if (!file_.is_open())
      return fail("io", "a blob was committed after its end");
    auto name = hash_.finish();
    if (!expected.empty() && expected != name) {
      drop();
      return fail("mismatch", "the content has the hash " + name + ", not " + expected);
    }
    if (::fsync(file_.descriptor()) != 0) {
      auto why = io_failure(errno, "cannot sync a blob");
      drop();
      return why;
    }
    file_.close();
    if (auto placed = folders_.place(path_, name); !placed) {
      drop();
      return placed.error();
    }
    path_.clear();
    return name;
  }

private:
  void drop() {
    file_.close();
    if (!path_.empty())
      ::unlink(path_.c_str());
    path_.clear();
  }

  blob_folders& folders_;
  fs::path path_; // empty: nothing of it is left under tmp/
  file file_;
  troupe::sha256 hash_;
  std::uint64_t size_ = 0;
};

class local_blob_store final : public blob_store {
public:
  explicit local_blob_store(fs::path folder) : folders_(std::move(folder)) {}

  result<void> prepare() { return folders_.prepare(); }

  result<std::unique_ptr<blob_writer>> create() override {
    auto path = folders_.temporary();
    auto opened = open_file(path, O_WRONLY | O_CREAT | O_EXCL);
    if (!opened.is_open())
      return io_failure(errno, "cannot begin a blob");
    return std::make_unique<file_writer>(folders_, std::move(path), std::move(opened));
  }

  bool has(const std::string& sha256) const override { return size(sha256).has_value(); }

  std::optional<std::uint64_t> size(const std::string& sha256) const override {
    struct stat found {};
    if (!is_sha256(sha256) || ::stat(path(sha256).c_str(), &found) != 0 || !S_ISREG(found.st_mode))
      return {};
    return static_cast<std::uint64_t>(found.st_size);
  }

  fs::path path(const std::string& sha256) const override { return folders_.place_of(sha256); }

  result<std::string> read(const std::string& sha256, std::uint64_t offset, std::size_t length) const override {
    auto opened = open_blob(sha256);
    if (!opened)
      return opened.error();
    struct stat found {};
    if (::fstat(opened->descriptor(), &found) != 0)
      return io_failure(errno, "cannot read blob " + sha256);
    auto size = static_cast<std::uint64_t>(found.st_size);
    std::string out(std::min<std::uint64_t>(length, size - std::min(offset, size)), '\0');
    for (std::size_t at = 0; at < out.size();) {
      auto got = ::pread(opened->descriptor(), out.data() + at, out.size() - at, static_cast<off_t>(offset + at));
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        return io_failure(errno, "cannot read blob " + sha256);
      if (got == 0)
        return fail("io", "blob " + sha256 + " became shorter while it was read");
      at += static_cast<std::size_t>(got);
    }
    return out;
  }

  result<void> verify(const std::string& sha256) override {
    auto opened = open_blob(sha256);
    if (!opened)
      return opened.error();
    troupe::sha256 hash;
    std::string buffer(1 << 18, '\0');
    for (;;) {
      auto got = ::read(opened->descriptor(), buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR)
        continue;
      if (got < 0)
        return io_failure(errno, "cannot read blob " + sha256);
      if (got == 0)
        break;
      hash.update({buffer.data(), static_cast<std::size_t>(got)});
    }
    auto found = hash.finish();
    if (found == sha256)
      return {};
    folders_.set_aside(sha256, *opened);
    log::error("blob {} is damaged (its content has the hash {}); it was set aside in quarantine", sha256, found);
    return fail("corrupt", "blob " + sha256 + " is damaged and was set aside; make it again");
  }

  result<void> remove(const std::string& sha256) override {
    if (is_sha256(sha256) && ::unlink(path(sha256).c_str()) != 0 && errno != ENOENT)
      return io_failure(errno, "cannot remove blob " + sha256);
    return {};
  }

private:
  result<file> open_blob(const std::string& sha256) const {
    if (!is_sha256(sha256))
      return missing(sha256.substr(0, 64));
    auto opened = open_file(path(sha256), O_RDONLY);
    if (opened.is_open())
      return opened;
    return errno == ENOENT ? missing(sha256) : io_failure(errno, "cannot open blob " + sha256);
  }

  blob_folders folders_;
};

} // namespace

result<std::unique_ptr<blob_store>> blob_store::open(const std::filesystem::path& folder) {
  auto out = std::make_unique<local_blob_store>(folder);
  if (auto prepared = out->prepare(); !prepared)
    return prepared.error();
  return out;
}

} // namespace troupe::storage

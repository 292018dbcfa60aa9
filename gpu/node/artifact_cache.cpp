#include "gpu/node/artifact_cache.hpp"

#include "common/log.hpp"
#include "common/sha256.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace troupe::node {

namespace fs = std::filesystem;

artifact_cache::pin::pin(pin&& other) noexcept
  : cache_(std::exchange(other.cache_, nullptr)), sha256_(std::move(other.sha256_)) {}

artifact_cache::pin& artifact_cache::pin::operator=(pin&& other) noexcept {
  std::swap(cache_, other.cache_);
  std::swap(sha256_, other.sha256_);
  return *this;
}

artifact_cache::pin::~pin() {
  if (cache_)
    cache_->unpin(sha256_);
}

result<std::unique_ptr<artifact_cache>> artifact_cache::open(const fs::path& folder, std::uint64_t bytes_max) {
  std::error_code error;
  fs::create_directories(folder / "partial", error);
  if (error)
    return fail("io", "cannot make the artifact cache " + folder.string() + ": " + error.message());
  std::unique_ptr<artifact_cache> made(new artifact_cache(folder, bytes_max));
  made->scan();
  return made;
}

void artifact_cache::scan() {
  struct found_file {
    fs::file_time_type at;
    std::string sha256;
    std::uint64_t bytes;
  };
  std::vector<found_file> found;
  std::error_code error;
  for (auto i = fs::recursive_directory_iterator(folder_, error); !error && i != fs::recursive_directory_iterator();
       i.increment(error)) {
    auto name = i->path().filename().string();
    std::error_code gone;
    if (i->is_regular_file(gone) && is_sha256(name) && i->path() == file_of(name))
      found.push_back({i->last_write_time(gone), name, i->file_size(gone)});
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.at < b.at; });
  std::lock_guard guard(mutex_);
  for (const auto& file : found)
    insert(file.sha256, file.bytes, false);
  trim();
}

void artifact_cache::prune_partials(std::size_t keep_max) const {
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  std::error_code error, gone;
  for (auto i = fs::directory_iterator(folder_ / "partial", error); !error && i != fs::directory_iterator();
       i.increment(error))
    files.emplace_back(i->last_write_time(gone), i->path());
  if (files.size() <= keep_max)
    return;
  std::sort(files.begin(), files.end());
  files.resize(files.size() - keep_max);
  for (const auto& [at, path] : files)
    fs::remove(path, gone);
}

std::optional<artifact_cache::pin> artifact_cache::find(const std::string& sha256) {
  std::unique_lock lock(mutex_);
  auto found = entries_.find(sha256);
  if (found == entries_.end())
    return std::nullopt;
  auto& here = found->second;
  ++here.pins; // keeps the entry in place while it is hashed
  by_age_.splice(by_age_.end(), by_age_, here.age);
  pin held(*this, sha256);
  if (here.verified)
    return held;
  lock.unlock();
  auto hash = sha256_of_file(file_of(sha256));
  std::error_code ignored;
  fs::last_write_time(file_of(sha256), fs::file_time_type::clock::now(), ignored); // the age, for the next process
  lock.lock();
  here.verified = hash && *hash == sha256;
  if (here.verified)
    return held;
  log::warn("the cached artifact {} is broken and is dropped", sha256);
  fs::remove(file_of(sha256), ignored);
  bytes_ -= here.bytes;
  here.bytes = 0; // nothing is left to account for; the entry goes with its last pin
  lock.unlock();
  return std::nullopt;
}

result<artifact_cache::pin> artifact_cache::adopt(const fs::path& file, const std::string& sha256) {
  std::error_code error;
  auto to = file_of(sha256);
  auto bytes = fs::file_size(file, error);
  if (!error)
    fs::create_directories(to.parent_path(), error);
  if (!error) {
    fs::rename(file, to, error);
    if (error == std::errc::cross_device_link) {
      auto beside = fs::path(to.string() + ".copy");
      fs::copy_file(file, beside, fs::copy_options::overwrite_existing, error);
      if (!error)
        fs::rename(beside, to, error);
    }
  }
  if (error)
    return fail(error == std::errc::no_space_on_device ? "full" : "io", "cannot keep an artifact: " + error.message());
  std::lock_guard guard(mutex_);
  auto& here = insert(sha256, bytes, true);
  ++here.pins;
  trim();
  return pin(*this, sha256);
}

std::uint64_t artifact_cache::bytes() const {
  std::lock_guard guard(mutex_);
  return bytes_;
}

artifact_cache::entry& artifact_cache::insert(const std::string& sha256, std::uint64_t bytes, bool verified) {
  auto [found, fresh] = entries_.try_emplace(sha256);
  auto& here = found->second;
  if (fresh)
    here.age = by_age_.insert(by_age_.end(), sha256);
  bytes_ += bytes - here.bytes;
  here.bytes = bytes;
  here.verified = verified;
  return here;
}

void artifact_cache::erase(const std::string& sha256) {
  auto found = entries_.find(sha256);
  std::error_code ignored;
  fs::remove(file_of(sha256), ignored);
  bytes_ -= found->second.bytes;
  by_age_.erase(found->second.age);
  entries_.erase(found);
}

void artifact_cache::trim() {
  for (auto i = by_age_.begin(); i != by_age_.end() && bytes_ > bytes_max_;) {
    auto sha256 = *i++;
    if (entries_.at(sha256).pins == 0)
      erase(sha256);
  }
}

void artifact_cache::unpin(const std::string& sha256) {
  std::lock_guard guard(mutex_);
  auto found = entries_.find(sha256);
  if (found == entries_.end() || --found->second.pins > 0)
    return;
  std::error_code ignored;
  if (!found->second.verified && !fs::exists(file_of(sha256), ignored))
    erase(sha256);
  else
    trim();
}

} // namespace troupe::node

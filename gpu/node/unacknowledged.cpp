#include "gpu/node/unacknowledged.hpp"

#include "common/log.hpp"
#include "common/sha256.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace troupe::node {

namespace fs = std::filesystem;

const wire::attempt_ref& ref_of(const report& what) {
  return std::visit([](const auto& x) -> const wire::attempt_ref& { return x.ref; }, what);
}

unacknowledged::unacknowledged(fs::path folder, std::size_t count_max)
  : folder_(std::move(folder)), count_max_(count_max) {
  std::error_code error;
  fs::create_directories(folder_, error);
  std::vector<fs::path> files;
  for (auto i = fs::directory_iterator(folder_, error); !error && i != fs::directory_iterator(); i.increment(error))
    files.push_back(i->path());
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    auto frame = wire::decode_from_node(text.str());
    auto* what = frame ? std::get_if<wire::finished>(&*frame) : nullptr;
    if (what && file == file_of(what->ref)) {
      add(std::move(*what));
      continue;
    }
    log::warn("{} is no result of a stage (a half-written one?) and is dropped", file.string());
    fs::remove(file, error);
  }
}

fs::path unacknowledged::file_of(const wire::attempt_ref& ref) const {
  auto name = ref.job + "\n" + std::to_string(ref.stage) + "\n" + std::to_string(ref.attempt);
  return folder_ / sha256_hex(name).substr(0, 32);
}

// Not synced: this is for a killed process. After a power cut the stage runs again.
void unacknowledged::save(const wire::finished& what) const {
  if (what.outputs.empty())
    return;
  auto file = file_of(what.ref);
  auto half = fs::path(file.string() + ".half");
  std::ofstream out(half, std::ios::binary | std::ios::trunc);
  out << wire::encode(wire::from_node{what}) << std::flush;
  out.close();
  std::error_code error;
  if (out)
    fs::rename(half, file, error);
  if (!out || error)
    log::warn("cannot keep the result of job {} stage {} on disk; if this node dies now, the stage runs again",
              what.ref.job, what.ref.stage);
}

void unacknowledged::add(report what) {
  if (reports_.size() >= count_max_) {
    auto oldest = std::min_element(reports_.begin(), reports_.end(),
                                   [](const auto& a, const auto& b) { return a.first.attempt < b.first.attempt; });
    log::warn("the head did not acknowledge the result of job {} stage {} for too long; it is forgotten",
              oldest->first.job, oldest->first.stage);
    auto ref = oldest->first;
    acknowledge(ref);
  }
  auto ref = ref_of(what);
  reports_.insert_or_assign(std::move(ref), std::move(what));
}

const report* unacknowledged::find(const wire::attempt_ref& ref) const {
  auto found = reports_.find(ref);
  return found == reports_.end() ? nullptr : &found->second;
}

void unacknowledged::acknowledge(const wire::attempt_ref& ref) {
  auto found = reports_.find(ref);
  if (found == reports_.end())
    return;
  auto* done = std::get_if<wire::finished>(&found->second);
  if (done && !done->outputs.empty()) {
    std::error_code ignored;
    fs::remove(file_of(ref), ignored);
  }
  reports_.erase(found);
}

} // namespace troupe::node

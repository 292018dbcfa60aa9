#include "workflows/definition_store.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

namespace troupe::workflow {

namespace {

namespace fs = std::filesystem;

// The *.json of a folder by name, so that problems come in the same order on every machine.
std::vector<fs::path> definition_files(const fs::path& folder, std::vector<problem>& problems) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->path().extension() == ".json" && at->is_regular_file(ignored))
      files.push_back(at->path());
    if (files.size() > definition_store::files_max)
      break;
  }
  if (error)
    problems.push_back({folder.string(), "", "", "the folder cannot be read: " + error.message()});
  else if (files.size() > definition_store::files_max)
    problems.push_back({folder.string(), "", "", "has more than 1000 definitions"});
  std::sort(files.begin(), files.end());
  return files;
}

parsed_definition read(const fs::path& path) {
  auto name = path.filename().string();
  std::ifstream in(path, std::ios::binary);
  std::string text;
  text.resize(definition_store::file_bytes_max + 1);
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  auto got = static_cast<std::size_t>(in.gcount());
  if (!in.is_open() || in.bad())
    return {nullptr, {{name, "", "", "cannot be read"}}};
  text.resize(got);
  return parse_definition_text(text, name);
}

} // namespace

std::shared_ptr<const definition_store::content> definition_store::now() const {
  std::lock_guard lock(mutex_);
  return content_;
}

std::vector<problem> definition_store::load(const fs::path& folder) {
  std::vector<problem> problems;
  auto next = std::make_shared<content>();
  std::map<std::pair<std::string, std::uint32_t>, std::string> files;
  for (const auto& path : definition_files(folder, problems)) {
    auto parsed = read(path);
    problems.insert(problems.end(), parsed.problems.begin(), parsed.problems.end());
    if (!parsed.definition)
      continue;
    const auto& one = parsed.definition;
    auto [first, fresh] = files.try_emplace({one->name, one->version}, path.filename().string());
    if (!fresh)
      problems.push_back(
          {path.filename().string(), "", "version",
           "version " + std::to_string(one->version) + " of '" + one->name + "' is in " + first->second + " too"});
    auto& newest = next->newest[one->name];
    if (!newest || newest->version < one->version)
      newest = one;
    next->by_hash[one->hash] = one;
  }
  if (!problems.empty())
    return problems;
  std::lock_guard lock(mutex_);
  for (const auto& [hash, old] : content_->by_hash)
    if (next->by_hash.size() < files.size() + remembered_max)
      next->by_hash.try_emplace(hash, old);
  content_ = std::move(next);
  return {};
}

definition_ptr definition_store::find(std::string_view name) const {
  auto loaded = now();
  auto found = loaded->newest.find(name);
  return found == loaded->newest.end() ? nullptr : found->second;
}

definition_ptr definition_store::find_by_hash(std::string_view hash) const {
  auto loaded = now();
  auto found = loaded->by_hash.find(hash);
  return found == loaded->by_hash.end() ? nullptr : found->second;
}

std::vector<definition_ptr> definition_store::all() const {
  std::vector<definition_ptr> out;
  auto loaded = now();
  for (const auto& [name, newest] : loaded->newest)
    out.push_back(newest);
  return out;
}

} // namespace troupe::workflow

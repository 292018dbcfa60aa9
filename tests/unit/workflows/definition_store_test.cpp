#include "workflows/definition_store.hpp"

#include "builders.hpp"

#include <atomic>
#include <thread>

#include <unistd.h>

namespace troupe::workflow {
namespace {

using namespace workflow::testing;
namespace fs = std::filesystem;

class DefinitionStore : public ::testing::Test {
protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& file, const std::string& text) { std::ofstream(folder_ / file) << text; }
  void write(const std::string& file, std::uint32_t version) {
    auto document = null_workflow({null_stage("a")}, "a");
    document["version"] = version;
    write(file, document.dump());
  }

  fs::path folder_ = fs::temp_directory_path() / ("troupe-definitions-" + std::to_string(::getpid()));
  definition_store store_;
};

TEST_F(DefinitionStore, FindsTheNewestVersionByNameAndEachByHash) {
  write("a.json", 2);
  write("b.json", 10);
  write("notes.txt", "not a definition");
  EXPECT_EQ(texts(store_.load(folder_)), "");
  ASSERT_TRUE(store_.find("test"));
  EXPECT_EQ(store_.find("test")->version, 10u);
  EXPECT_EQ(store_.all().size(), 1u);
  EXPECT_EQ(store_.find_by_hash(store_.find("test")->hash), store_.find("test"));
  EXPECT_FALSE(store_.find("other"));
  EXPECT_FALSE(store_.find_by_hash("00"));
}

TEST_F(DefinitionStore, ABadReloadKeepsWhatThereWas) {
  write("a.json", 1);
  ASSERT_TRUE(store_.load(folder_).empty());
  auto before = store_.find("test");
  write("a.json", 2);
  write("broken.json", "{");
  auto problems = store_.load(folder_);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].file, "broken.json");
  EXPECT_EQ(store_.find("test"), before) << "the good file beside it must not be taken either";
}

TEST_F(DefinitionStore, WhatAReloadReplacesIsStillFoundByHash) {
  write("a.json", 1);
  ASSERT_TRUE(store_.load(folder_).empty());
  auto old = store_.find("test");
  write("a.json", 2);
  ASSERT_TRUE(store_.load(folder_).empty());
  EXPECT_EQ(store_.find("test")->version, 2u);
  EXPECT_EQ(store_.find_by_hash(old->hash), old);
}

TEST_F(DefinitionStore, OneVersionCannotBeInTwoFiles) {
  write("a.json", 1);
  write("b.json", 1);
  EXPECT_EQ(texts(store_.load(folder_)), "b.json: version: version 1 of 'test' is in a.json too\n");
}

TEST_F(DefinitionStore, AFolderOrFileThatCannotBeReadIsAProblem) {
  EXPECT_EQ(store_.load(folder_ / "nowhere").size(), 1u);
  write("long.json", std::string(definition_store::file_bytes_max + 10, ' '));
  auto problems = store_.load(folder_);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].message.find("longer than"), std::string::npos);
}

TEST_F(DefinitionStore, CanBeReadWhileItIsReloaded) {
  write("a.json", 1);
  ASSERT_TRUE(store_.load(folder_).empty());
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop)
      EXPECT_TRUE(store_.find("test"));
  });
  for (int i = 0; i < 50; ++i)
    EXPECT_TRUE(store_.load(folder_).empty());
  stop = true;
  reader.join();
}

} // namespace
} // namespace troupe::workflow

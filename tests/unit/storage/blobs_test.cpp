#include "storage/blobs.hpp"

#include "tests/support/database.hpp"

#include <fstream>

namespace troupe::storage::testing {

namespace fs = std::filesystem;

class blobs_test : public ::testing::Test {
protected:
  void open() {
    blobs.reset();
    auto opened = blob_store::open(folder.path() / "blobs");
    ASSERT_TRUE(opened) << opened.error().message;
    blobs = std::move(*opened);
  }
  void SetUp() override { open(); }
  std::string add(const std::string& content) {
    auto writer = std::move(*blobs->create());
    EXPECT_TRUE(writer->write(content));
    return *writer->commit();
  }
  std::size_t files_in(const char* name) {
    auto at = fs::directory_iterator(folder.path() / "blobs" / name);
    return static_cast<std::size_t>(std::distance(fs::begin(at), fs::end(at)));
  }
  void damage(const std::string& name) {
    std::fstream file(blobs->path(name), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3);
    file.put('!');
  }

  temporary_folder folder;
  std::unique_ptr<blob_store> blobs;
};

TEST_F(blobs_test, content_comes_back_under_its_hash_also_after_a_restart) {
  auto name = add("hello, film");
  EXPECT_EQ(name, sha256_hex("hello, film"));
  open();
  EXPECT_TRUE(blobs->has(name));
  EXPECT_EQ(blobs->size(name), 11u);
  EXPECT_EQ(*blobs->read(name, 0, 100), "hello, film");
  EXPECT_TRUE(blobs->verify(name));
  EXPECT_EQ(blobs->path(name), folder.path() / "blobs" / name.substr(0, 2) / name.substr(2, 2) / name);
}

TEST_F(blobs_test, pieces_make_one_blob) {
  auto writer = std::move(*blobs->create());
  std::string whole;
  for (int i = 0; i < 100; ++i) {
    std::string piece(static_cast<std::size_t>(i) * 100, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(writer->write(piece));
    whole += piece;
  }
  EXPECT_EQ(writer->size(), whole.size());
  EXPECT_EQ(*writer->commit(sha256_hex(whole)), sha256_hex(whole));
  EXPECT_EQ(*blobs->read(sha256_hex(whole), 0, 1 << 20), whole);
}

TEST_F(blobs_test, nothing_at_all_is_a_blob_too) {
  auto name = *(*blobs->create())->commit();
  EXPECT_EQ(name, sha256_hex(""));
  EXPECT_EQ(blobs->size(name), 0u);
  EXPECT_EQ(*blobs->read(name, 0, 10), "");
}

TEST_F(blobs_test, a_read_stops_at_the_end_and_hostile_ranges_are_empty) {
  auto name = add("0123456789");
  EXPECT_EQ(*blobs->read(name, 2, 3), "234");
  EXPECT_EQ(*blobs->read(name, 8, 100), "89");
  EXPECT_EQ(*blobs->read(name, 10, 1), "");
  EXPECT_EQ(*blobs->read(name, UINT64_MAX, 1), "");
  EXPECT_EQ(*blobs->read(name, 0, SIZE_MAX), "0123456789");
  EXPECT_EQ(*blobs->read(name, 0, 0), "");
}

TEST_F(blobs_test, content_of_another_hash_is_refused_and_leaves_nothing) {
  auto writer = std::move(*blobs->create());
  ASSERT_TRUE(writer->write("this"));
  auto refused = writer->commit(sha256_hex("that"));
  EXPECT_EQ(refused.error().code, "mismatch");
  EXPECT_FALSE(blobs->has(sha256_hex("this")));
  EXPECT_FALSE(blobs->has(sha256_hex("that")));
  EXPECT_EQ(files_in("tmp"), 0u);
  EXPECT_EQ(writer->write("more").error().code, "io");
  EXPECT_EQ(writer->commit().error().code, "io");
}

TEST_F(blobs_test, a_writer_that_is_dropped_leaves_nothing) {
  {
    auto writer = std::move(*blobs->create());
    ASSERT_TRUE(writer->write("half"));
    EXPECT_EQ(files_in("tmp"), 1u);
  }
  EXPECT_EQ(files_in("tmp"), 0u);
}

TEST_F(blobs_test, what_an_earlier_process_left_half_written_is_cleared_away) {
  auto name = add("whole");
  std::ofstream{folder.path() / "blobs" / "tmp" / "left"} << "half";
  open();
  EXPECT_EQ(files_in("tmp"), 0u);
  EXPECT_TRUE(blobs->has(name));
}

TEST_F(blobs_test, a_name_is_never_seen_before_its_content_is_whole) {
  auto writer = std::move(*blobs->create());
  ASSERT_TRUE(writer->write("slow"));
  EXPECT_FALSE(blobs->has(sha256_hex("slow")));
  EXPECT_TRUE(writer->commit());
  EXPECT_TRUE(blobs->has(sha256_hex("slow")));
}

TEST_F(blobs_test, a_damaged_blob_is_found_set_aside_and_can_be_made_again) {
  auto name = add("precious content");
  damage(name);
  auto found = blobs->verify(name);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, "corrupt");
  EXPECT_EQ(found.error().message.find(folder.path().string()), std::string::npos) << "no paths in messages";
  EXPECT_FALSE(blobs->has(name));
  EXPECT_EQ(files_in("quarantine"), 1u);
  EXPECT_EQ(blobs->verify(name).error().code, "missing");
  EXPECT_EQ(add("precious content"), name);
  EXPECT_TRUE(blobs->verify(name));
  damage(name);
  EXPECT_EQ(blobs->verify(name).error().code, "corrupt");
  EXPECT_EQ(files_in("quarantine"), 2u);
}

TEST_F(blobs_test, writing_a_damaged_blob_again_mends_it) {
  auto name = add("precious content");
  damage(name);
  EXPECT_EQ(add("precious content"), name);
  EXPECT_TRUE(blobs->verify(name));
}

TEST_F(blobs_test, a_blob_cut_short_is_damaged) {
  auto name = add("precious content");
  fs::resize_file(blobs->path(name), 4);
  EXPECT_EQ(blobs->verify(name).error().code, "corrupt");
}

TEST_F(blobs_test, what_is_not_there_is_missing) {
  auto name = sha256_hex("never");
  EXPECT_FALSE(blobs->has(name));
  EXPECT_FALSE(blobs->size(name));
  EXPECT_EQ(blobs->read(name, 0, 1).error().code, "missing");
  EXPECT_EQ(blobs->verify(name).error().code, "missing");
  EXPECT_TRUE(blobs->remove(name));
}

TEST_F(blobs_test, a_removed_blob_is_gone) {
  auto name = add("old");
  EXPECT_TRUE(blobs->remove(name));
  EXPECT_FALSE(blobs->has(name));
}

TEST_F(blobs_test, names_that_are_no_hash_lead_nowhere) {
  std::ofstream{folder.path() / "secret"} << "secret";
  for (const std::string& name :
       {std::string{"../secret"}, std::string{"../../secret"}, std::string{}, std::string{"tmp"}, std::string(64, 'A'),
        std::string(63, 'a') + "/", std::string(65, 'a')}) {
    EXPECT_TRUE(blobs->path(name).empty());
    EXPECT_FALSE(blobs->has(name));
    EXPECT_EQ(blobs->read(name, 0, 10).error().code, "missing");
    EXPECT_EQ(blobs->verify(name).error().code, "missing");
    EXPECT_TRUE(blobs->remove(name));
    auto writer = std::move(*blobs->create());
    if (!name.empty()) {
      EXPECT_EQ(writer->commit(name).error().code, "mismatch");
    }
  }
  EXPECT_TRUE(fs::exists(folder.path() / "secret"));
}

TEST_F(blobs_test, threads_that_write_the_same_content_agree) {
  std::vector<std::thread> all;
  for (int t = 0; t < 4; ++t)
    all.emplace_back([&] {
      for (int i = 0; i < 20; ++i)
        add("content " + std::to_string(i));
    });
  for (auto& t : all)
    t.join();
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(blobs->verify(sha256_hex("content " + std::to_string(i))));
  EXPECT_EQ(files_in("tmp"), 0u);
}

TEST(blobs, a_folder_that_cannot_be_made_is_an_error) {
  temporary_folder folder;
  std::ofstream{folder.path() / "file"} << "x";
  EXPECT_EQ(blob_store::open(folder.path() / "file" / "blobs").error().code, "io");
}

} // namespace troupe::storage::testing

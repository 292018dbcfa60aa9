// The example of docs/adding-an-engine.md, compiled and run; the page must show it as it is.

#include "tests/unit/gpu/example/word_count_engine.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace troupe::engines {
namespace {

struct quiet_context final : stage_context {
  bool stop = false;
  void progress(double, const std::string&) override {}
  void preview(std::string) override {}
  bool wants_preview() override { return false; }
  bool cancelled() const override { return stop; }
  void on_cancel(std::function<void()>) override {}
};

struct WordCount : ::testing::Test {
  std::filesystem::path folder;
  void SetUp() override {
    char made[] = "/tmp/troupe-words-XXXXXX";
    folder = ::mkdtemp(made);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  stage_request request(const std::string& text) const {
    std::ofstream(folder / "text") << text;
    stage_request out;
    out.kind = "words.count";
    out.folder = folder;
    out.inputs.push_back({"text", folder / "text", "text/plain", {}});
    return out;
  }
};

TEST_F(WordCount, CountsWords) {
  quiet_context context;
  auto outcome = word_count_engine{}.run(request("the sea keeps\nthe stars "), context);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->files[0].metadata["words"], 5);
}

TEST_F(WordCount, StopsWhenAsked) {
  quiet_context context;
  context.stop = true;
  auto outcome = word_count_engine{}.run(request(std::string(100'000, 'x')), context);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().kind, fault::cancelled);
}

TEST_F(WordCount, IsShownInTheDocsAsItIs) {
  auto read = [](const std::string& path) {
    std::ifstream in(path);
    return std::string{std::istreambuf_iterator<char>(in), {}};
  };
  auto source = read(TROUPE_SOURCE "/tests/unit/gpu/example/word_count_engine.hpp");
  ASSERT_FALSE(source.empty());
  EXPECT_NE(read(TROUPE_SOURCE "/docs/adding-an-engine.md").find(source), std::string::npos)
      << "docs/adding-an-engine.md no longer shows word_count_engine.hpp";
}

} // namespace
} // namespace troupe::engines

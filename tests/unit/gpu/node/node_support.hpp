#pragma once

// A studio in one process: a head's link with blobs in memory, an agent with an engine that does what its parameters
// say.

#include "common/random.hpp"
#include "gpu/node/agent.hpp"
#include "tests/unit/gpu/link/link_support.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

namespace troupe::node::support {

using link::support::head;
using link::support::wait_until;

/// A folder that is gone with the test.
struct scratch_folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() / ("troupe-node-" + random_hex(6));
  scratch_folder() { std::filesystem::create_directories(path); }
  ~scratch_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// What the engine and the test share: a gate that "hold" waits at, and counts.
struct stage_watch {
  std::atomic<int> runs{0}, now{0}, cancels{0};
  std::atomic<bool> gate{false};
};

/// test.write: writes the text of all inputs and "text" to a file. test.hold: works until the gate opens or it is
/// cancelled. test.deaf: until the gate opens, whatever is asked. test.chatter: reports 1,000 times. test.fail,
/// test.throw, test.lie.
class test_engine final : public engines::engine {
public:
  explicit test_engine(std::shared_ptr<stage_watch> watch) : watch_(std::move(watch)) {}
  engines::description describe() const override {
    engines::description out{"test", "1", {}, true, "", ""};
    for (auto kind : {"write", "hold", "deaf", "chatter", "fail", "throw", "lie", "big"})
      out.operations.push_back({std::string("test.") + kind, 0, false});
    return out;
  }
  engines::stage_outcome run(const engines::stage_request& request, engines::stage_context& context) override {
    ++watch_->runs;
    ++watch_->now;
    auto out = work(request, context);
    --watch_->now;
    return out;
  }

private:
  static engines::stage_output one_file(const engines::stage_request& request, const std::string& content) {
    auto path = request.folder / "out.txt";
    std::ofstream(path, std::ios::binary) << content;
    return {{{"data", path, "text/plain", {{"length", content.size()}}}}, "test/1"};
  }
  engines::stage_outcome work(const engines::stage_request& request, engines::stage_context& context) {
    const auto& kind = request.kind;
    if (kind == "test.write") {
      std::string content;
      for (const auto& input : request.inputs)
        content += read_file(input.path);
      return one_file(request, content + request.params.value("text", ""));
    }
    if (kind == "test.big")
      return one_file(request, std::string(request.params.value("bytes", std::size_t{0}), 'b'));
    if (kind == "test.hold" || kind == "test.deaf") {
      context.on_cancel([this] { ++watch_->cancels; });
      wait_until([&] { return watch_->gate || (kind == "test.hold" && context.cancelled()); }, 20'000);
      if (context.cancelled())
        return engines::stage_failure{engines::fault::cancelled, "cancelled"};
      return engines::stage_output{{}, "test/1"};
    }
    if (kind == "test.chatter") {
      for (int i = 0; i < 1000; ++i) {
        context.progress(i / 1000.0, "step " + std::to_string(i));
        context.preview("jpeg");
      }
      return engines::stage_output{{}, "test/1"};
    }
    if (kind == "test.throw")
      throw std::runtime_error("secret /path");
    if (kind == "test.lie")
      return engines::stage_output{{{"data", request.folder / "nothing", "text/plain", {}}}, "test/1"};
    return engines::stage_failure{engines::fault::bad_input, "the text is no good"};
  }

  std::shared_ptr<stage_watch> watch_;
};

/// An agent on a thread of its own.
class running_agent {
public:
  running_agent(const std::string& endpoint, const std::string& head_key, const link::key_pair& keys,
                const std::filesystem::path& folder, std::shared_ptr<stage_watch> watch,
                const std::function<void(agent_options&)>& adjust = {}) {
    agent_options options;
    options.name = "n1";
    options.head_endpoints = {endpoint};
    options.head_public_key = head_key;
    options.keys = keys;
    options.folder = folder;
    options.slots = 2;
    options.cuda_driver.clear();
    options.engines.push_back(std::make_unique<test_engine>(std::move(watch)));
    if (adjust)
      adjust(options);
    agent_ = agent::open(std::move(options)).value();
    thread_ = std::thread([this] {
      reason_ = agent_->run();
      ended_ = true;
    });
  }
  ~running_agent() {
    agent_->stop();
    thread_.join();
  }
  bool ended() const { return ended_; }
  stop_reason reason() const { return reason_; }

private:
  std::unique_ptr<agent> agent_;
  std::atomic<stop_reason> reason_{stop_reason::asked};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

inline wire::assign stage(std::uint32_t index, const std::string& kind, json params = json::object(),
                          std::vector<wire::artifact> inputs = {}, std::uint64_t attempt = 1) {
  return {{"job1", index, attempt}, "cpu0", kind, std::move(params), std::move(inputs), 0};
}

inline wire::artifact input_of(const std::string& content) {
  return {"data", sha256_hex(content), content.size(), "text/plain", json::object()};
}

} // namespace troupe::node::support

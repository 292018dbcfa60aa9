#pragma once

// What an engine is: code on a node that turns one stage's inputs into its outputs. The node's agent owns engines,
// gives each run its own folder and a context to report through; an engine knows nothing of the wire, the head or
// money.

#include "common/json.hpp"
#include "common/result.hpp"

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace troupe::engines {

/// One operation of an engine, named engine.operation, e.g. "scene.video", "ffmpeg.concat".
struct operation {
  std::string kind;
  std::uint32_t vram_mib = 0; // device memory one run takes; 0: none
  bool preview = false;       // an embedded stand-in for a named model: results say so
};

/// Who an engine is and whether it can work on this machine now.
struct description {
  std::string name;    // "scene"
  std::string version; // changes when its output for the same input does
  std::vector<operation> operations;
  bool available = true;
  std::string unavailable_reason; // for the operator: what is missing and how to get it
  std::string needs;              // for the operator: libraries, weights, device
};

/// A file that an earlier stage made, now on this node.
struct input_file {
  std::string port; // "video", "audio", "videos", …
  std::filesystem::path path;
  std::string content_type; // "video/mp4", …
  json metadata;            // what the stage that made it said of it
};

struct stage_request {
  std::string kind;               // one of the engine's operations
  json params;                    // validated by the head against the stage kind; engines check again what could hurt
  std::vector<input_file> inputs; // in port order; a list port keeps its order
  std::filesystem::path folder;   // empty and the run's own; outputs are written here
  unsigned threads = 1;           // how many threads a run may use
};

struct output_file {
  std::string port;
  std::filesystem::path path;
  std::string content_type;
  json metadata; // duration_s, width, height, frames, frame_rate, sample_rate, … as the media has them
};

struct stage_output {
  std::vector<output_file> files;
  std::string engine; // "scene/1"
};

/// Why a stage failed, and so what the scheduler does about it.
enum class fault {
  bad_input,     // the same input would fail anywhere: never retried
  out_of_memory, // a larger device may do
  device,        // this device is unwell: try another
  unknown,       // retried with backoff, bounded
  cancelled,     // asked for
};

struct stage_failure {
  stage_failure() = default;
  stage_failure(fault kind_, std::string message_) : kind(kind_), message(std::move(message_)) {}

  fault kind = fault::unknown;
  std::string message; // for the job's owner: no paths, no internals
};

using stage_outcome = boost::system::result<stage_output, stage_failure>;

[[noreturn]] inline void throw_exception_from_error(const stage_failure& why, const boost::source_location&) {
  throw std::runtime_error(why.message);
}

/// How a running stage talks back. Thread-safe. Engines call `cancelled()` at least every 200 ms of work and return
/// fault::cancelled when it is true; a call that blocks longer registers `on_cancel` to be broken off.
class stage_context {
public:
  virtual ~stage_context() = default;
  /// fraction in 0 … 1, never falling; `step` is a short word or two for a person ("frame 12/41").
  virtual void progress(double fraction, const std::string& step) = 0;
  /// A small JPEG (at most 64 KiB, 320 pixels wide). The agent drops what comes too often.
  virtual void preview(std::string jpeg) = 0;
  /// True when a preview would be kept, so that an engine need not make one in vain.
  virtual bool wants_preview() = 0;
  virtual bool cancelled() const = 0;
  /// Registers what breaks off a blocking call; called at once if already cancelled. Null takes it back.
  virtual void on_cancel(std::function<void()> stop) = 0;
};

/// Stateless between runs but for what it caches; run() may be called from several threads at once.
class engine {
public:
  virtual ~engine() = default;
  virtual description describe() const = 0;
  virtual stage_outcome run(const stage_request& request, stage_context& context) = 0;
};

using engine_ptr = std::unique_ptr<engine>;

} // namespace troupe::engines

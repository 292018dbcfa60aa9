#pragma once

// ONNX Runtime, opened at run time: a machine without it still builds, starts and says what is missing. No exception of
// the library passes this border.

#include "common/result.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace troupe::onnx {

/// Where scripts/deps installed the library and the models: TROUPE_PREFIX, else troupe/prefix in the user's cache
/// folder.
std::filesystem::path install_prefix();

/// Numbers with a shape, as models take and give them. Moves, never copies.
class tensor {
public:
  using shape_type = std::vector<std::int64_t>;

  static tensor floats(std::vector<float> values, shape_type shape);
  static tensor integers(std::vector<std::int64_t> values, shape_type shape);
  static tensor boolean(bool value);

  tensor(tensor&&) noexcept;
  tensor& operator=(tensor&&) noexcept;
  ~tensor();

  shape_type shape() const;
  /// The values of a tensor of floats; empty for one of another type.
  std::span<const float> as_floats() const;

private:
  friend class session;
  struct state;
  explicit tensor(std::unique_ptr<state> inside);
  std::unique_ptr<state> inside_;
};

class runtime;

/// Breaks off the runs it was given to, from any thread. Once stopped it stays so.
class breaker {
public:
  /// Needs the library open, which a runtime proves.
  explicit breaker(const runtime& opened);
  ~breaker();
  breaker(const breaker&) = delete;
  breaker& operator=(const breaker&) = delete;

  void stop();
  bool stopped() const;

private:
  friend class session;
  struct state;
  std::unique_ptr<state> inside_;
};

/// A model in memory. run() may be called from several threads at once.
class session {
public:
  /// A tensor by the name the model calls it; the tensor outlives the run.
  struct input {
    const char* name;
    const tensor* value;
  };

  ~session();
  const std::vector<std::string>& inputs() const;
  const std::vector<std::string>& outputs() const;

  /// The outputs asked for, in that order. Errors: `cancelled` (the breaker was stopped), `out_of_memory`, `model` (the
  /// model and what it was given do not fit; the text is the library's).
  result<std::vector<tensor>> run(std::span<const input> given, std::span<const char* const> wanted,
                                  const breaker& stop) const;

private:
  friend class runtime;
  struct state;
  explicit session(std::unique_ptr<state> inside);
  std::unique_ptr<state> inside_;
};

/// The library and the models of one prefix. A process opens the library once: the first prefix that has it serves all.
class runtime {
public:
  /// Errors: `unavailable` (no library there, or not one that speaks our version of its API).
  static result<std::shared_ptr<runtime>> load(const std::filesystem::path& prefix);

  /// A model of models/`file`, kept once opened; a run of it uses `threads` threads. Errors: `unavailable`.
  result<std::shared_ptr<const session>> model(const std::string& file, unsigned threads);

private:
  explicit runtime(std::filesystem::path prefix);

  const std::filesystem::path prefix_;
  std::mutex mutex_;
  std::map<std::pair<std::string, unsigned>, std::shared_ptr<const session>> models_;
};

/// Why `files` of models/ or the library cannot be used under `prefix`; empty when all are there. Opens nothing.
std::string missing(const std::filesystem::path& prefix, std::span<const std::string> files);

} // namespace troupe::onnx

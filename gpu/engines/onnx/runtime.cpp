#define ORT_API_MANUAL_INIT // the library is opened by hand, so its API cannot be bound before main()
#include "gpu/engines/onnx/runtime.hpp"

#include "common/check.hpp"
#include "common/log.hpp"

#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <dlfcn.h>
#include <new>

namespace troupe::onnx {

namespace fs = std::filesystem;

namespace {

constexpr const char* how_to_get = "run scripts/deps";

fs::path library_of(const fs::path& prefix) { return prefix / "onnxruntime" / "lib" / "libonnxruntime.so"; }
fs::path model_of(const fs::path& prefix, const std::string& file) { return prefix / "models" / file; }

void to_our_log(void*, OrtLoggingLevel, const char*, const char*, const char*, const char* message) {
  log::debug("onnxruntime: {}", message); // what matters comes back as an error
}

/// The library's environment: made once and never destroyed, as its threads may outlive main()'s statics.
Ort::Env& environment() {
  static auto* const env = new Ort::Env(ORT_LOGGING_LEVEL_ERROR, "troupe", to_our_log, nullptr);
  return *env;
}

result<void> open_library(const fs::path& file) {
  static std::mutex mutex;
  static bool open = false;
  std::lock_guard lock(mutex);
  if (open)
    return {};
  void* const handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return fail("unavailable", std::string("ONNX Runtime cannot be opened (") + dlerror() + "): " + how_to_get);
  const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
  const OrtApi* const api = base ? base()->GetApi(ORT_API_VERSION) : nullptr;
  if (!api) {
    dlclose(handle);
    return fail("unavailable", std::string("ONNX Runtime is older than the API we speak: ") + how_to_get);
  }
  Ort::InitApi(api);
  try {
    environment();
  } catch (const Ort::Exception& e) {
    return fail("unavailable", std::string("ONNX Runtime does not start: ") + e.what());
  }
  open = true;
  return {};
}

const Ort::MemoryInfo& cpu() {
  static const auto* const info = new Ort::MemoryInfo(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault));
  return *info;
}

std::size_t elements(const tensor::shape_type& shape) {
  std::size_t count = 1;
  for (const auto side : shape)
    count *= static_cast<std::size_t>(side);
  return count;
}

std::vector<std::string> names(const Ort::Session& model, bool input) {
  Ort::AllocatorWithDefaultOptions allocator;
  std::vector<std::string> out;
  const auto count = input ? model.GetInputCount() : model.GetOutputCount();
  for (std::size_t i = 0; i < count; ++i)
    out.emplace_back(
        (input ? model.GetInputNameAllocated(i, allocator) : model.GetOutputNameAllocated(i, allocator)).get());
  return out;
}

} // namespace

fs::path install_prefix() {
  const auto set = [](const char* name) -> const char* {
    const char* const value = std::getenv(name);
    return value && *value ? value : nullptr;
  };
  if (const char* const prefix = set("TROUPE_PREFIX"))
    return prefix;
  if (const char* const cache = set("XDG_CACHE_HOME"))
    return fs::path(cache) / "troupe" / "prefix";
  const char* const home = set("HOME");
  return fs::path(home ? home : "/root") / ".cache" / "troupe" / "prefix";
}

std::string missing(const fs::path& prefix, std::span<const std::string> files) {
  std::error_code ignored;
  if (!fs::exists(library_of(prefix), ignored))
    return std::string("ONNX Runtime is not installed: ") + how_to_get;
  for (const auto& file : files)
    if (!fs::exists(model_of(prefix, file), ignored))
      return "the model " + file + " is not installed: " + how_to_get;
  return {};
}

// ---- tensor

struct tensor::state {
  std::vector<float> floats;
  std::vector<std::int64_t> integers;
  bool boolean = false;
  Ort::Value value{nullptr};
};

tensor::tensor(std::unique_ptr<state> inside) : inside_(std::move(inside)) {}
tensor::tensor(tensor&&) noexcept = default;
tensor& tensor::operator=(tensor&&) noexcept = default;
tensor::~tensor() = default;

tensor tensor::floats(std::vector<float> values, shape_type shape) {
  TROUPE_CHECK(values.size() == elements(shape));
  auto inside = std::make_unique<state>();
  values.reserve(1); // an empty tensor needs an address too
  inside->floats = std::move(values);
  inside->value =
      Ort::Value::CreateTensor<float>(cpu(), inside->floats.data(), inside->floats.size(), shape.data(), shape.size());
  return tensor(std::move(inside));
}

tensor tensor::integers(std::vector<std::int64_t> values, shape_type shape) {
  TROUPE_CHECK(values.size() == elements(shape));
  auto inside = std::make_unique<state>();
  inside->integers = std::move(values);
  inside->value = Ort::Value::CreateTensor<std::int64_t>(cpu(), inside->integers.data(), inside->integers.size(),
                                                         shape.data(), shape.size());
  return tensor(std::move(inside));
}

tensor tensor::boolean(bool value) {
  const std::int64_t one = 1;
  auto inside = std::make_unique<state>();
  inside->boolean = value;
  inside->value = Ort::Value::CreateTensor<bool>(cpu(), &inside->boolean, 1, &one, 1);
  return tensor(std::move(inside));
}

tensor::shape_type tensor::shape() const { return inside_->value.GetTensorTypeAndShapeInfo().GetShape(); }

std::span<const float> tensor::as_floats() const {
  const auto info = inside_->value.GetTensorTypeAndShapeInfo();
  if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
    return {};
  return {inside_->value.GetTensorData<float>(), info.GetElementCount()};
}

// ---- breaker

struct breaker::state {
  Ort::RunOptions options;
  std::atomic<bool> stopped{false};
};

breaker::breaker(const runtime&) : inside_(std::make_unique<state>()) {}
breaker::~breaker() = default;

void breaker::stop() {
  inside_->stopped = true;
  inside_->options.SetTerminate();
}

bool breaker::stopped() const { return inside_->stopped; }

// ---- session

struct session::state {
  Ort::Session model{nullptr};
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

session::session(std::unique_ptr<state> inside) : inside_(std::move(inside)) {}
session::~session() = default;
const std::vector<std::string>& session::inputs() const { return inside_->inputs; }
const std::vector<std::string>& session::outputs() const { return inside_->outputs; }

result<std::vector<tensor>> session::run(std::span<const input> given, std::span<const char* const> wanted,
                                         const breaker& stop) const {
  if (stop.stopped())
    return fail("cancelled", "broken off");
  std::vector<const char*> input_names;
  std::vector<const OrtValue*> values;
  for (const auto& each : given) {
    input_names.push_back(each.name);
    values.push_back(each.value->inside_->value);
  }
  std::vector<OrtValue*> answers(wanted.size(), nullptr);
  OrtStatus* const status = Ort::GetApi().Run(inside_->model, stop.inside_->options, input_names.data(), values.data(),
                                              values.size(), wanted.data(), wanted.size(), answers.data());
  std::vector<tensor> out;
  for (OrtValue* const answer : answers) {
    auto inside = std::make_unique<tensor::state>();
    inside->value = Ort::Value(answer);
    out.push_back(tensor(std::move(inside)));
  }
  if (!status)
    return out;
  const Ort::Status why(status);
  if (stop.stopped())
    return fail("cancelled", "broken off");
  const std::string text = why.GetErrorMessage();
  const bool memory =
      text.find("bad_alloc") != std::string::npos || text.find("Failed to allocate") != std::string::npos;
  return fail(memory ? "out_of_memory" : "model", text);
}

// ---- runtime

runtime::runtime(fs::path prefix) : prefix_(std::move(prefix)) {}

result<std::shared_ptr<runtime>> runtime::load(const fs::path& prefix) {
  if (auto why = missing(prefix, {}); !why.empty())
    return fail("unavailable", std::move(why));
  if (auto opened = open_library(library_of(prefix)); !opened)
    return opened.error();
  return std::shared_ptr<runtime>(new runtime(prefix));
}

result<std::shared_ptr<const session>> runtime::model(const std::string& file, unsigned threads) {
  std::lock_guard lock(mutex_);
  auto& kept = models_[{file, threads}];
  if (kept)
    return kept;
  if (auto why = missing(prefix_, std::span(&file, 1)); !why.empty())
    return fail("unavailable", std::move(why));
  try {
    Ort::SessionOptions options;
    options.SetIntraOpNumThreads(static_cast<int>(std::max(1U, threads)));
    options.SetInterOpNumThreads(1);
    options.AddConfigEntry("session.intra_op.allow_spinning", "0"); // waiting threads would take the encoder's time
    auto inside = std::make_unique<session::state>();
    inside->model = Ort::Session(environment(), model_of(prefix_, file).c_str(), options);
    inside->inputs = names(inside->model, true);
    inside->outputs = names(inside->model, false);
    kept = std::shared_ptr<const session>(new session(std::move(inside)));
    return kept;
  } catch (const std::exception& e) {
    return fail("unavailable", "the model " + file + " cannot be opened (" + e.what() + "): " + how_to_get);
  }
}

} // namespace troupe::onnx

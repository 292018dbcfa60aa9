#include "gpu/node/stage_run.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"
#include "common/sha256.hpp"

#include <new>
#include <vector>

namespace troupe::node {

namespace fs = std::filesystem;

namespace {

// A fault as the wire names it, with its message; how every step here fails.
struct stage_error {
  std::string fault, message, artifact;
};
template <class T>
using step_result = boost::system::result<T, stage_error>;

struct stage_inputs {
  std::vector<artifact_cache::pin> pins;
  std::vector<engines::input_file> files;
};

std::string fault_name(engines::fault kind) {
  switch (kind) {
    case engines::fault::bad_input: return "bad_input";
    case engines::fault::out_of_memory: return "out_of_memory";
    case engines::fault::device: return "device";
    case engines::fault::cancelled: return "cancelled";
    case engines::fault::unknown: break;
  }
  return "unknown";
}

// What a failed transfer means for the stage: a full disk here is the device's fault, a silent head is nobody's.
stage_error transfer_error(const failure& why, const std::string& sha256, bool input) {
  if (why.code == "missing")
    return {"missing_input", why.message, sha256};
  if (why.code == "corrupt")
    return {"corrupt_input", why.message, sha256};
  return {input && (why.code == "full" || why.code == "io") ? "device" : "unknown", why.message, {}};
}

step_result<stage_inputs> gather(attempt& what, const run_place& place) {
  stage_inputs out;
  for (const auto& input : what.what.inputs) {
    auto file = place.transfers.fetch(input, [&] { return what.cancelled(); });
    if (!file)
      return transfer_error(file.error(), input.sha256, true);
    out.files.push_back({input.port, file->path(), input.content_type, input.metadata});
    out.pins.push_back(std::move(*file));
  }
  return out;
}

step_result<engines::stage_output> run_engine(attempt& what, const run_place& place, const stage_inputs& inputs) {
  engines::stage_request request{what.what.kind, what.what.params, inputs.files, place.folder, place.threads};
  const auto& ref = what.what.ref;
  what.begin_run();
  engines::stage_outcome outcome = engines::stage_failure{engines::fault::unknown, "the engine failed unexpectedly"};
  try {
    outcome = place.engine.run(request, what);
  } catch (const std::bad_alloc&) {
    outcome = engines::stage_failure{engines::fault::out_of_memory, "the engine ran out of memory"};
  } catch (const std::exception& e) {
    log::error("the engine of {} threw at job {} stage {}: {}", what.what.kind, ref.job, ref.stage, e.what());
  } catch (...) {
    log::error("the engine of {} threw at job {} stage {}", what.what.kind, ref.job, ref.stage);
  }
  what.end_run();
  what.on_cancel(nullptr);
  if (!outcome && outcome.error().kind == engines::fault::cancelled && !what.cancelled())
    return stage_error{"unknown", "the engine stopped without being asked to", {}};
  if (!outcome)
    return stage_error{fault_name(outcome.error().kind), outcome.error().message, {}};
  return std::move(*outcome);
}

bool inside(const fs::path& folder, const fs::path& file) {
  auto relative = file.lexically_normal().lexically_relative(folder.lexically_normal());
  return !relative.empty() && *relative.begin() != "..";
}

// Into the cache by moving; what lies elsewhere (an input handed through) is copied, as it is not ours to move.
result<artifact_cache::pin> keep(const fs::path& file, const std::string& sha256, const run_place& place) {
  if (inside(place.folder, file))
    return place.cache.adopt(file, sha256);
  std::error_code error;
  auto copy = place.folder / "output.copy";
  fs::copy_file(file, copy, fs::copy_options::overwrite_existing, error);
  if (error)
    return fail(error == std::errc::no_space_on_device ? "full" : "io", "cannot copy an output");
  return place.cache.adopt(copy, sha256);
}

step_result<wire::artifact> deliver(attempt& what, const run_place& place, const engines::output_file& file) {
  auto lost = [&](const std::string& why) {
    log::error("job {} stage {}: the output {} of {} {}", what.what.ref.job, what.what.ref.stage, file.port,
               what.what.kind, why);
    return stage_error{"unknown", "the engine left no readable file for its output " + file.port, {}};
  };
  std::error_code error;
  if (fs::symlink_status(file.path, error).type() != fs::file_type::regular)
    return lost("is no file at " + file.path.string());
  auto hash = sha256_of_file(file.path);
  auto bytes = fs::file_size(file.path, error);
  if (!hash || error)
    return lost("cannot be read at " + file.path.string());
  auto kept = place.cache.find(*hash);
  if (!kept) {
    auto moved = keep(file.path, *hash, place);
    if (!moved)
      return stage_error{
          "device", moved.error().code == "full" ? "the node's disk is full" : "the node's disk fails", {}};
    kept.emplace(std::move(*moved));
  }
  if (auto there = place.transfers.put(*hash, kept->path(), [&] { return what.cancelled(); }); !there)
    return transfer_error(there.error(), *hash, false);
  return wire::artifact{file.port, *hash, bytes, file.content_type, file.metadata};
}

step_result<wire::finished> attempt_stage(attempt& what, const run_place& place) {
  auto began_at = steady_ms();
  auto inputs = gather(what, place);
  if (!inputs)
    return inputs.error();
  auto transfer_ms = steady_ms() - began_at;
  if (what.cancelled())
    return stage_error{"cancelled", "cancelled before it began", {}};
  auto made = run_engine(what, place, *inputs);
  if (!made)
    return made.error();
  wire::finished out{what.what.ref, what.what.device, made->engine, place.preview, what.run_ms(), {}, transfer_ms};
  for (const auto& file : made->files) {
    auto there = deliver(what, place, file);
    if (!there)
      return there.error();
    out.outputs.push_back(std::move(*there));
  }
  return out;
}

} // namespace

wire::failed failed_report(const attempt& what, std::string fault, std::string message, std::string artifact) {
  return {what.what.ref, what.what.device, std::move(fault), std::move(message), std::move(artifact), what.run_ms()};
}

std::optional<report> run_stage(attempt& what, const run_place& place) {
  step_result<wire::finished> outcome = stage_error{"unknown", "the node failed unexpectedly", {}};
  try {
    outcome = attempt_stage(what, place);
  } catch (const std::bad_alloc&) {
    outcome = stage_error{"out_of_memory", "the node ran out of memory", {}};
  } catch (const std::exception& e) {
    log::error("job {} stage {}: {}", what.what.ref.job, what.what.ref.stage, e.what());
  }
  switch (what.why()) {
    case break_off::abandoned: return std::nullopt;
    case break_off::cancelled: return failed_report(what, "cancelled", "cancelled");
    case break_off::timed_out:
      return failed_report(what, "timeout", "took longer than " + std::to_string(what.what.timeout_ms) + " ms");
    case break_off::none: break;
  }
  if (outcome)
    return std::move(*outcome);
  auto why = outcome.error();
  return failed_report(what, why.fault, why.message, why.artifact);
}

} // namespace troupe::node

#pragma once

// A row of the table open_jobs: whose job it is, and while no stage has begun, what of it is to be queued. So a start
// queues jobs that wait without making their actors.

#include "actors/scheduler/scheduler_events.hpp"
#include "common/json.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::jobs {

struct open_job {
  std::string account;
  std::vector<scheduling::stage_request> waiting; // empty: the job itself knows
};

inline std::string pack_open_job(const std::string& account,
                                 const std::vector<scheduling::stage_request>& waiting = {}) {
  if (waiting.empty())
    return pack(account);
  json stages = json::array();
  for (const auto& s : waiting)
    stages.push_back(
        {s.ref.stage, s.kind, s.model, s.vram_mib, static_cast<unsigned>(s.priority), s.may_run_twice, s.estimate_ms});
  return pack({{"account", account}, {"weight", waiting.front().weight}, {"stages", std::move(stages)}});
}

/// Nothing when the row is not one.
inline std::optional<open_job> unpack_open_job(std::string_view job, std::string_view row) {
  auto value = unpack(row);
  if (!value)
    return std::nullopt;
  open_job out;
  if (value->is_string()) {
    out.account = value->get<std::string>();
    return out;
  }
  if (!value->is_object())
    return std::nullopt;
  try {
    out.account = value->at("account").get<std::string>();
    for (const auto& stage : value->at("stages")) {
      scheduling::stage_request request;
      request.ref = {job_id{std::string{job}}, stage.at(0).get<std::uint32_t>()};
      request.account = account_id{out.account};
      request.weight = value->at("weight").get<std::uint32_t>();
      request.kind = stage.at(1).get<std::string>();
      request.model = stage.at(2).get<std::string>();
      request.vram_mib = stage.at(3).get<std::uint32_t>();
      auto priority = stage.at(4).get<unsigned>();
      if (priority >= scheduling::class_count)
        return std::nullopt;
      request.priority = static_cast<scheduling::priority_class>(priority);
      request.may_run_twice = stage.at(5).get<bool>();
      if (stage.size() > 6) // rows from before there were estimates have none
        request.estimate_ms = stage.at(6).get<std::uint32_t>();
      out.waiting.push_back(std::move(request));
    }
  } catch (const json::exception&) {
    return std::nullopt;
  }
  return out;
}

} // namespace troupe::jobs

#pragma once

// A node: a model of gpu/node (agent, executor, unacknowledged results) and gpu/link/node_link that keeps their rules
// without their threads and speaks the production wire. Engines are drawn: how long a stage takes, and how it ends.

#include "gpu/wire/messages.hpp"
#include "tests/simulation/network.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace troupe::simulation {

/// Files on the head: what a stage made, by content.
struct blob_shelf {
  enum class state : std::uint8_t { good, corrupt };
  std::map<std::string, state> files;
};

struct device_model {
  std::string name, type = "cpu";
  std::uint32_t slots = 1;
  std::vector<std::string> kinds;
  // how it behaves, until it is changed
  std::int64_t slower = 1;                                            // times
  std::int64_t faults = 0, out_of_memory = 0, hangs = 0, unknown = 0; // permille of attempts
};

class node_model final : public line_end {
public:
  node_model(std::string name, std::vector<device_model> devices, timeline& time, network& lines, blob_shelf& blobs,
             story& told, dice luck);

  const std::string& name() const { return name_; }
  std::string key() const { return "key-of-" + name_ + "-" + std::to_string(keys_); }
  std::vector<device_model>& devices() { return devices_; }

  /// The process: begins, is killed (files stay), says goodbye and ends.
  void start();
  void kill();
  void leave();
  bool is_up() const { return up_; }
  /// Stopped and continued, as by SIGSTOP: time passes it by.
  void freeze() { frozen_ = true; }
  void thaw();
  bool is_frozen() const { return frozen_; }
  /// A new key, given by the operator.
  void rekey() { ++keys_; }
  /// Nothing runs and nothing is unacknowledged.
  bool is_idle() const { return held_.empty() && results_.empty(); }
  bool is_welcome() const { return now_ == phase::welcomed; }

  void hear(std::uint64_t dialled, const std::string& frame) override;
  void dropped(std::uint64_t dialled) override;

  std::uint64_t ran = 0; // attempts that ended here

private:
  enum class phase : std::uint8_t { waiting, dialling, greeted, welcomed };
  enum class break_off : std::uint8_t { none, cancelled, timed_out, abandoned };
  using report = std::variant<wire::finished, wire::failed>;
  struct attempt {
    wire::assign what;
    bool running = false;
    break_off why = break_off::none;
    micros began_at = 0;
    std::uint64_t token = 0; // of the event that ends it
  };

  /// `what` later, if the same process still lives; a frozen one does it when it thaws.
  void later(micros delay, std::function<void()> what);
  void dial();
  void greet();
  void tick();
  void hang_up(micros wait);
  void say(const wire::from_node& message);
  void take(const wire::to_node& message);
  void on(const wire::assign& m);
  void on(const wire::cancel& m);
  void fill_slots(const std::string& device);
  void begin(attempt& a);
  void end_run(const wire::attempt_ref& ref, std::uint64_t token, std::string fault, std::string artifact);
  void deliver_outputs(const wire::attempt_ref& ref, std::uint64_t token);
  void break_off_one(const wire::attempt_ref& ref, break_off why);
  void finish(const wire::attempt_ref& ref, std::optional<report> outcome);
  wire::failed failure(const attempt& a, const std::string& fault, const std::string& message) const;
  device_model* device(const std::string& name);

  std::string name_;
  std::vector<device_model> devices_;
  timeline& time_;
  network& lines_;
  blob_shelf& blobs_;
  story& story_;
  dice luck_;
  int keys_ = 0;

  bool up_ = false, frozen_ = false;
  std::uint64_t process_ = 0, tokens_ = 0;
  std::vector<std::function<void()>> missed_; // while frozen
  phase now_ = phase::waiting;
  std::uint64_t dialled_ = 0;
  micros dialled_at_ = 0, heard_at_ = 0, beat_at_ = 0, not_before_ = 0, refused_wait_ = 0;
  wire::welcome terms_;
  std::map<wire::attempt_ref, attempt> held_;
  std::map<wire::attempt_ref, report> results_;
  std::map<wire::attempt_ref, wire::finished> saved_; // on its disk
};

} // namespace troupe::simulation

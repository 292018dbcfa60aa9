#pragma once

// The studio's authors: they keep a folder of workflow definitions, write new versions, with a mistake at times, and
// have the head load them. What a workflow costs and how many stages it has they work out with a pen of their own.

#include "tests/simulation/dice.hpp"
#include "workflows/definition_store.hpp"
#include "workflows/plan.hpp"

#include <filesystem>
#include <string>
#include <variant>
#include <vector>

namespace troupe::simulation {

/// What a client asks a workflow for.
struct task {
  std::string workflow;
  std::vector<std::int64_t> items; // one instance of each repeated stage for each
  std::int64_t ms = 0;
  std::int64_t seed = 0;
};

struct order {
  workflow::plan_ptr plan;
  std::int64_t price = 0; // micro-credits, by the authors' pen
  std::size_t stages = 0;
};

class authors {
public:
  struct habits {
    std::int64_t work_ms = 1000, spoilt = 0, urgencies = 0, speculative = 0; // as a scenario says
  };
  authors(const habits& what, dice luck);
  ~authors();
  authors(const authors&) = delete;
  authors& operator=(const authors&) = delete;

  /// Where the authors of the simulation in this process have their folder; who ends it by force removes it.
  static std::filesystem::path folder_of(int process);

  /// A head begins, or is told to load anew: with `store` as it was. What it got wrong; empty: nothing.
  std::string begin();
  /// Some documents are written anew. With a mistake in one, which a head must refuse, all of it goes back.
  std::string rewrite(dice luck, bool head_is_up);

  task draw(dice& luck) const;
  /// What the head makes of it now; a word when it refuses it, rightly. Otherwise `wrong` says what it got wrong.
  std::variant<order, std::string> order_of(const task& what, std::string& wrong) const;

private:
  struct stage {
    std::int64_t credits = 0;
    bool repeated = false;
  };
  struct document {
    std::string name, text;
    std::uint32_t version = 0;
    std::size_t items_max = 1;
    std::vector<stage> stages;
  };
  document draw_document(const std::string& name, std::uint32_t version, dice luck) const;
  void write(const document& what) const;

  const habits habits_;
  const std::filesystem::path folder_;
  std::vector<document> documents_;
  workflow::definition_store store_;
};

} // namespace troupe::simulation

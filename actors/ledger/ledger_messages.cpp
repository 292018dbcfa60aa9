#include "actors/ledger/ledger_messages.hpp"

namespace troupe::storage {

void to_json(json& out, const row& x) {
  out = {{"in", static_cast<int>(x.in)}, {"key", x.key}, {"only_if_absent", x.only_if_absent}};
  if (x.value)
    out["value"] = *x.value;
}

void from_json(const json& in, row& x) {
  x.in = static_cast<table>(in.at("in").get<int>());
  x.key = in.at("key").get<std::string>();
  x.only_if_absent = in.value("only_if_absent", false);
  if (auto value = in.find("value"); value != in.end())
    x.value = value->get<std::string>();
}

} // namespace troupe::storage

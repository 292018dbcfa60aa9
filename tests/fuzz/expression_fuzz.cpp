// An expression of a workflow: refused, or it has a type where its references lead somewhere, and a value that is
// finite, the same each time.
#include "common/check.hpp"
#include "workflows/expression.hpp"

#include <cmath>

using namespace troupe;
using namespace troupe::workflow;

namespace {

std::pair<std::string, value_rule> rule(const char* name, value_type type) {
  value_rule out;
  out.type = type;
  return {name, out};
}

const std::vector<std::pair<std::string, value_rule>>& rules() {
  static const auto all = [] {
    std::vector<std::pair<std::string, value_rule>> out{
        rule("prompt", value_type::string), rule("frames", value_type::integer),    rule("scale", value_type::number),
        rule("loop", value_type::boolean),  rule("model", value_type::video_model), rule("shots", value_type::list),
        rule("mode", value_type::choice)};
    out[5].second.items.push_back(rule("", value_type::string).second);
    out[6].second.choices = {"fast", "slow"};
    return out;
  }();
  return all;
}

const json values = {{"prompt", "a sea"},  {"frames", 81},        {"scale", 0.25}, {"loop", true},
                     {"model", "wan-t2v"}, {"shots", {"a", "b"}}, {"mode", "fast"}};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = parse_json({reinterpret_cast<const char*>(data), size});
  if (!text)
    return 0;
  auto read = expression::parse(*text);
  if (!read) {
    TROUPE_CHECK(read.error().code == "invalid_expression" && !read.error().message.empty());
    return 0;
  }
  const auto& fields = rules();
  type_scope types{&fields, &fields[5].second.items[0], &fields};
  auto type = read->type(types);
  (void)read->may_be_absent(types);
  (void)read->literal();
  if (!type)
    return 0;
  const json item = "a";
  scope in{&values, &item, &values, 1, 2, "made by troupe"};
  auto value = read->evaluate(in);
  auto again = read->evaluate(in);
  TROUPE_CHECK(value.has_value() == again.has_value());
  if (!value)
    return 0;
  TROUPE_CHECK(*value == *again && !value->dump().empty());
  TROUPE_CHECK(!value->is_number_float() || std::isfinite(value->get<double>()));
  if (*type == value_type::integer && !value->is_null())
    TROUPE_CHECK(value->is_number());
  return 0;
}

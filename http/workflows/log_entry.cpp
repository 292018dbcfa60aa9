#include "http/workflows/log_entry.hpp"

#include "common/json.hpp"

#include <algorithm>

namespace troupe::http::workflows {

namespace {

void append_text(std::string& out, const std::string& text) {
  auto plain = [](unsigned char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; };
  if (std::all_of(text.begin(), text.end(), plain))
    out.append(1, '"').append(text).append(1, '"');
  else
    out += json(text).dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Hears the values of a record in order, and writes those within `data` as text. The map itself is level 1.
class transcriber {
public:
  explicit transcriber(log_entry& out) : out_(out) {}

  bool null() { return write("null"); }
  bool boolean(bool value) { return write(value ? "true" : "false"); }
  bool number_integer(json::number_integer_t value) { return write(std::to_string(value)); }
  bool number_unsigned(json::number_unsigned_t value) { return write(std::to_string(value)); }
  bool number_float(json::number_float_t value, const std::string&) { return write(json(value).dump()); }
  bool binary(json::binary_t&) { return write("null"); }
  bool string(std::string& value) {
    if (level_ == 1 && field_ == "event")
      out_.event = value;
    else if (level_ == 1 && field_ == "job")
      out_.job = value;
    else if (within_data())
      append_text(separated(), value);
    return true;
  }
  bool key(std::string& name) {
    if (level_ == 1)
      field_ = name;
    else if (within_data()) {
      append_text(separated(), name);
      out_.data += ':';
      first_ = true; // no comma before its value
    }
    return true;
  }
  bool start_object(std::size_t) { return open('{'); }
  bool start_array(std::size_t) { return open('['); }
  bool end_object() { return close('}'); }
  bool end_array() { return close(']'); }
  bool parse_error(std::size_t, const std::string&, const json::exception&) { return false; }

private:
  bool within_data() const { return field_ == "data" && level_ >= 1; }
  std::string& separated() {
    if (!first_)
      out_.data += ',';
    first_ = false;
    return out_.data;
  }
  bool write(std::string_view text) {
    if (within_data())
      separated() += text;
    return true;
  }
  bool open(char bracket) {
    if (within_data()) {
      separated() += bracket;
      first_ = true;
    }
    ++level_;
    return level_ > 1 || bracket == '{';
  }
  bool close(char bracket) {
    --level_;
    if (within_data()) {
      out_.data += bracket;
      first_ = false;
    }
    return true;
  }

  log_entry& out_;
  std::string field_;
  int level_ = 0;
  bool first_ = true;
};

} // namespace

std::optional<log_entry> read_log_entry(std::string_view record) {
  constexpr char version = 1;
  if (record.empty() || record.front() != version)
    return std::nullopt;
  record.remove_prefix(1);
  log_entry out;
  transcriber hears(out);
  if (!json::sax_parse(record.begin(), record.end(), &hears, json::input_format_t::msgpack))
    return std::nullopt;
  if (out.data.empty())
    out.data = "{}";
  if (out.data.back() != '}')
    return std::nullopt;
  out.data.pop_back();
  out.data += out.data.size() > 1 ? ",\"job_id\":" : "\"job_id\":";
  append_text(out.data, out.job);
  out.data += '}';
  return out;
}

} // namespace troupe::http::workflows

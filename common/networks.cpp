#include "common/networks.hpp"

#include <algorithm>
#include <charconv>

namespace troupe {

namespace ip = boost::asio::ip;

namespace {

std::vector<unsigned char> bytes_of(const ip::address& who) {
  if (who.is_v6() && !who.to_v6().is_v4_mapped()) {
    auto all = who.to_v6().to_bytes();
    return {all.begin(), all.end()};
  }
  auto all = (who.is_v4() ? who.to_v4() : ip::make_address_v4(ip::v4_mapped, who.to_v6())).to_bytes();
  return {all.begin(), all.end()};
}

std::string_view trimmed(std::string_view text) {
  auto from = text.find_first_not_of(" \t");
  return from == std::string_view::npos ? "" : text.substr(from, text.find_last_not_of(" \t") - from + 1);
}

} // namespace

result<networks> networks::parse(const std::vector<std::string>& texts) {
  networks out;
  for (const auto& text : texts) {
    auto wrong = [&] { return fail("malformed", "'" + text + "' is no address or network, as 10.0.0.0/8 is"); };
    auto slash = text.find('/');
    boost::system::error_code error;
    auto address = ip::make_address(text.substr(0, slash), error);
    if (error)
      return wrong();
    range r{bytes_of(address), 0};
    auto whole = static_cast<unsigned>(8 * r.prefix.size());
    r.bits = whole;
    if (slash != std::string::npos) {
      const auto* end = text.data() + text.size();
      auto [stopped, problem] = std::from_chars(text.data() + slash + 1, end, r.bits);
      if (problem != std::errc{} || stopped != end || r.bits > whole)
        return wrong();
    }
    out.ranges_.push_back(std::move(r));
  }
  return out;
}

bool networks::contains(const ip::address& who) const {
  auto bytes = bytes_of(who);
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const range& r) {
    if (r.prefix.size() != bytes.size())
      return false;
    auto full = r.bits / 8, rest = r.bits % 8;
    if (!std::equal(bytes.begin(), bytes.begin() + full, r.prefix.begin()))
      return false;
    return rest == 0 || ((bytes[full] ^ r.prefix[full]) >> (8 - rest)) == 0;
  });
}

ip::address client_behind(const networks& trusted, const ip::address& peer, std::string_view forwarded_for) {
  auto client = peer;
  while (!forwarded_for.empty() && trusted.contains(client)) {
    auto comma = forwarded_for.rfind(',');
    auto word = trimmed(forwarded_for.substr(comma == std::string_view::npos ? 0 : comma + 1));
    boost::system::error_code error;
    auto next = ip::make_address(std::string{word.substr(0, 64)}, error);
    if (error)
      break;
    client = next;
    forwarded_for = comma == std::string_view::npos ? "" : forwarded_for.substr(0, comma);
  }
  return client;
}

std::string address_group(std::string_view address) {
  boost::system::error_code error;
  auto parsed = ip::make_address(std::string{address}, error);
  if (error || !parsed.is_v6() || parsed.to_v6().is_v4_mapped())
    return std::string{address};
  auto bytes = parsed.to_v6().to_bytes();
  std::fill(bytes.begin() + 8, bytes.end(), std::uint8_t{0});
  return ip::address_v6(bytes).to_string() + "/64";
}

} // namespace troupe

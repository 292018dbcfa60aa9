#pragma once

#include "common/result.hpp"

#include <boost/asio/ip/address.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// A set of IP networks.
class networks {
public:
  /// Each an address ("::1") or a network in CIDR notation ("10.0.0.0/8"). Errors: `malformed`, naming the text.
  static result<networks> parse(const std::vector<std::string>& texts);

  /// An IPv4 address mapped into IPv6 counts as IPv4.
  bool contains(const boost::asio::ip::address& who) const;
  bool empty() const { return ranges_.empty(); }

private:
  struct range {
    std::vector<unsigned char> prefix; // 4 or 16 bytes
    unsigned bits = 0;
  };
  std::vector<range> ranges_;
};

/// The client behind a chain of proxies (X-Forwarded-For, MDN): from the right, the first address that is not one of
/// `trusted`. `peer` is who connected; a list is believed only if that is trusted itself, and up to its first word that
/// is no address.
boost::asio::ip::address client_behind(const networks& trusted, const boost::asio::ip::address& peer,
                                       std::string_view forwarded_for);

/// What limits per address count: the address, or the /64 of an IPv6 one, as who has one address of it has them all.
std::string address_group(std::string_view address);

} // namespace troupe

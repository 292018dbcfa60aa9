#include "common/networks.hpp"

#include <gtest/gtest.h>

namespace troupe {
namespace {

using boost::asio::ip::make_address;

networks of(const std::vector<std::string>& texts) { return networks::parse(texts).value(); }

TEST(Networks, HoldTheAddressesOfTheirPrefix) {
  auto inner = of({"10.0.0.0/8", "192.168.4.0/22", "::1", "fd00::/8"});
  for (const auto* in : {"10.1.2.3", "192.168.7.255", "::1", "fdab::1", "::ffff:10.0.0.1"})
    EXPECT_TRUE(inner.contains(make_address(in))) << in;
  for (const auto* out : {"11.0.0.1", "192.168.8.0", "::2", "fe80::1", "::ffff:11.0.0.1"})
    EXPECT_FALSE(inner.contains(make_address(out))) << out;
  EXPECT_TRUE(of({"0.0.0.0/0"}).contains(make_address("8.8.8.8")));
  EXPECT_FALSE(of({"0.0.0.0/0"}).contains(make_address("::1")));
  EXPECT_FALSE(of({}).contains(make_address("127.0.0.1")));
}

TEST(Networks, RefuseWhatIsNone) {
  for (const auto* text :
       {"", "10.0.0.0/33", "::/129", "10.0.0/8", "example.org", "10.0.0.0/", "10.0.0.0/-1", "1.2.3.4/8x"})
    EXPECT_FALSE(networks::parse({text})) << text;
}

std::string client(const std::vector<std::string>& trusted, const char* peer, const char* list) {
  return client_behind(of(trusted), make_address(peer), list).to_string();
}

TEST(ClientBehind, BelievesOnlyProxiesItTrusts) {
  EXPECT_EQ(client({"10.0.0.0/8"}, "10.0.0.1", "203.0.113.7"), "203.0.113.7");
  EXPECT_EQ(client({"10.0.0.0/8"}, "203.0.113.9", "127.0.0.1"), "203.0.113.9") << "a stranger's list";
  EXPECT_EQ(client({}, "10.0.0.1", "203.0.113.7"), "10.0.0.1");
  EXPECT_EQ(client({"10.0.0.0/8"}, "10.0.0.1", "1.2.3.4, 203.0.113.7 , 10.0.0.2"), "203.0.113.7") << "two proxies";
  EXPECT_EQ(client({"10.0.0.0/8"}, "10.0.0.1", "10.0.0.5"), "10.0.0.5") << "a client inside";
  EXPECT_EQ(client({"10.0.0.0/8"}, "10.0.0.1", ""), "10.0.0.1");
  EXPECT_EQ(client({"10.0.0.0/8"}, "10.0.0.1", "203.0.113.7, nonsense"), "10.0.0.1");
  EXPECT_EQ(client({"::1"}, "::1", ",,,"), "::1");
}

} // namespace
} // namespace troupe

#include "common/configuration.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

namespace troupe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string message(const result<configuration>& got) { return got ? "(accepted)" : got.error().message; }

std::string shipped() {
  std::ifstream in(TROUPE_SOURCE_DIR "/cluster.conf");
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST(cluster_conf, as_shipped_says_every_key_with_its_default) {
  EXPECT_EQ(shipped(), default_configuration_file()) << "write default_configuration_file() to cluster.conf";
  auto read = read_configuration(shipped(), "cluster.conf");
  ASSERT_TRUE(read) << message(read);
  configuration defaults;
  for (const auto& key : configuration_keys()) {
    auto a = key.slot(*read), b = key.slot(defaults);
    auto equal = std::visit([&](auto* x) { return *x == *std::get<decltype(x)>(b); }, a);
    EXPECT_TRUE(equal) << key.path;
    std::string path = key.path;
    EXPECT_THAT(shipped(), HasSubstr("\n" + path.substr(path.find('.') + 1) + " = "));
  }
}

TEST(cluster_conf, defaults_lie_within_their_own_ranges) {
  EXPECT_TRUE(read_configuration(default_configuration_file(), "defaults"));
}

TEST(cluster_conf, no_two_keys_share_a_path_a_variable_or_a_slot) {
  std::set<std::string> paths, variables;
  std::set<void*> slots;
  configuration c;
  for (const auto& key : configuration_keys()) {
    EXPECT_TRUE(paths.insert(key.path).second) << key.path;
    EXPECT_TRUE(variables.insert(environment_name(key.path)).second) << key.path;
    EXPECT_TRUE(slots.insert(std::visit([](auto* x) -> void* { return x; }, key.slot(c))).second) << key.path;
  }
}

TEST(configuration, takes_the_command_line_before_the_environment_before_the_file) {
  auto file = "[limits]\nper_key_minute = 1\nper_address_10min = 2\nspend_per_user_minute = 3\n";
  auto got = read_configuration(file, "f",
                                {{"TROUPE_LIMITS__PER_KEY_MINUTE", "10"}, {"TROUPE_LIMITS__PER_ADDRESS_10MIN", "20"}},
                                {{"limits.per_key_minute", "100"}});
  ASSERT_TRUE(got) << message(got);
  EXPECT_EQ(got->limits.per_key_minute, 100);
  EXPECT_EQ(got->limits.per_address_10min, 20);
  EXPECT_EQ(got->limits.spend_per_user_minute, 3);
  EXPECT_EQ(got->limits.login_per_address_5min, 10);
}

TEST(configuration, reads_each_type) {
  auto got = read_configuration(
      "node.local = false\nhttp.listen = '0.0.0.0:80'\n[cluster]\nlisten = ['tcp://0.0.0.0:7707']", "f",
      {{"TROUPE_HTTP__TRUSTED_PROXIES", "10.0.0.0/8, ::1"}, {"TROUPE_ENGINES__STAND_INS_ALLOWED", "0"}});
  ASSERT_TRUE(got) << message(got);
  EXPECT_FALSE(got->node.local);
  EXPECT_FALSE(got->engines.stand_ins_allowed);
  EXPECT_EQ(got->http.listen, "0.0.0.0:80");
  EXPECT_THAT(got->cluster.listen, ElementsAre("tcp://0.0.0.0:7707"));
  EXPECT_THAT(got->http.trusted_proxies, ElementsAre("10.0.0.0/8", "::1"));
}

struct bad_file {
  std::string text;
  std::string says;
};

class bad_files : public ::testing::TestWithParam<bad_file> {};

TEST_P(bad_files, are_refused_with_line_and_column) {
  auto got = read_configuration(GetParam().text, "cluster.conf");
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, "configuration");
  EXPECT_THAT(got.error().message, StartsWith(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    configuration, bad_files,
    ::testing::Values(
        bad_file{"[http]\nlistn = 'x'",
                 "cluster.conf:2:1: unknown key `http.listn`; the nearest known one is `http.listen`"},
        bad_file{"\n[htpp]\nthreads = 2",
                 "cluster.conf:2:2: unknown key `htpp`; the nearest known one is `http.threads`"},
        bad_file{"http = 3", "cluster.conf:1:8: `http` is a section and takes no value itself"},
        bad_file{"[node]\nlocal = 'yes'", "cluster.conf:2:9: node.local must be true or false"},
        bad_file{"[node]\ntimeout_ms = 5.5",
                 "cluster.conf:2:14: node.timeout_ms must be an integer from 500 to 600000"},
        bad_file{"[node]\ntimeout_ms = -1",
                 "cluster.conf:2:14: node.timeout_ms must be an integer from 500 to 600000, not -1"},
        bad_file{"[http]\nlisten = 8080", "cluster.conf:2:10: http.listen must be a text in quotes"},
        bad_file{"[http]\nlisten = 'localhost'", "cluster.conf:2:10: http.listen must be ADDRESS:PORT"},
        bad_file{"[http]\nlisten = ':80'", "cluster.conf:2:10: http.listen must be ADDRESS:PORT"},
        bad_file{"[http]\nlisten = 'a:70000'", "cluster.conf:2:10: http.listen must end in a port"},
        bad_file{"[log]\nlevel = 'loud'", "cluster.conf:2:9: log.level must be one of trace, debug, info"},
        bad_file{"[cluster]\nlisten = 'tcp://x:1'", "cluster.conf:2:10: cluster.listen must be a list of texts"},
        bad_file{"[cluster]\nlisten = ['x:1']", "cluster.conf:2:10: cluster.listen `x:1` must be tcp://"},
        bad_file{"[cluster]\nlisten = [1]", "cluster.conf:2:10: cluster.listen must be a list of texts"},
        bad_file{"[http\nlisten = 1", "cluster.conf:1:"}, bad_file{"[http]\n://x", "cluster.conf:2:1: "},
        bad_file{"[http]\nlist\xc3\xa9n = 1", "cluster.conf:2:"},
        bad_file{std::string("[[\0\0]]", 6), "cluster.conf:1:"},
        bad_file{"[payments]\nstripe_prices = ['pro=price_1', 'starter=price_2', 'creator=price_1']",
                 "configuration: payments.stripe_prices names price_1 twice"},
        bad_file{"[scheduler]\ninteractive_share_percent = 60\nstandard_share_percent = 40",
                 "configuration: scheduler.interactive_share_percent, standard_share_percent and "
                 "preemptible_share_percent must not be above 100 together, and are 105"},
        bad_file{"[devices]\ndisabled = ['cuda0, cuda1']",
                 "cluster.conf:2:12: devices.disabled `cuda0, cuda1` is no name"},
        bad_file{"[devices]\nslots = ['cuda0']",
                 "cluster.conf:2:9: devices.slots `cuda0` must be DEVICE=NUMBER, from 1 to 1024, e.g. cuda0=2"},
        bad_file{"[devices]\nslots = ['cuda0=0']", "cluster.conf:2:9: devices.slots `cuda0=0` must be DEVICE=NUMBER"},
        bad_file{"[devices]\nslots = ['cuda0=1025']", "cluster.conf:2:9: devices.slots `cuda0=1025` must be"},
        bad_file{"[devices]\nslots = ['cuda0=2x']", "cluster.conf:2:9: devices.slots `cuda0=2x` must be"},
        bad_file{"[devices]\nslots = ['=2']", "cluster.conf:2:9: devices.slots `=2` must be"},
        bad_file{"[devices]\nslots = ['']", "cluster.conf:2:9: devices.slots `` must be"},
        bad_file{"[devices]\nvram_reserved_mib = ['cuda=-1']",
                 "cluster.conf:2:21: devices.vram_reserved_mib `cuda=-1` must be DEVICE=NUMBER, from 1 to 16777216"},
        bad_file{"[devices]\nslots = ['cuda=2', 'cuda=3']", "configuration: devices.slots names cuda twice"},
        bad_file{"[engines]\ndisabled = 'speech'", "cluster.conf:2:12: engines.disabled must be a list of texts"},
        bad_file{"[scheduler]\nfailures_to_quarantine = 0",
                 "cluster.conf:2:26: scheduler.failures_to_quarantine must be an integer from 1 to 1000, not 0"},
        bad_file{"[node]\ntimeout_ms = 60000\nlease_ms = 60000\nheartbeat_ms = 20001",
                 "cluster.conf:4:16: node.heartbeat_ms must be an integer from 50 to 20000, not 20001"},
        bad_file{"[node]\nheartbeat_ms = 4000",
                 "configuration: node.timeout_ms must be at least twice node.heartbeat_ms (4000)"}));

TEST(configuration, takes_several_prices_of_a_tier) {
  EXPECT_TRUE(read_configuration("[payments]\nstripe_prices = ['pro=price_1', 'pro=price_2']", "f"));
}

TEST(configuration, names_the_nearest_variable) {
  auto got = read_configuration("", "", {{"TROUPE_HTTP__LISTENS", "x"}});
  EXPECT_EQ(message(got),
            "environment: unknown variable TROUPE_HTTP__LISTENS; the nearest known one is TROUPE_HTTP__LISTEN");
  EXPECT_THAT(message(read_configuration("", "", {{"TROUPE_NODE__SLOTS", "many"}})),
              StartsWith("environment: TROUPE_NODE__SLOTS must be an integer from 0 to 1024"));
  EXPECT_THAT(message(read_configuration("", "", {{"TROUPE_NODE__SLOTS", "99999999999999999999"}})),
              HasSubstr("must be an integer"));
  EXPECT_THAT(message(read_configuration("", "", {}, {{"node.slot", "1"}})), HasSubstr("`node.slots`"));
}

TEST(configuration, leaves_the_variables_of_builds_and_tests_alone) {
  EXPECT_TRUE(read_configuration("", "",
                                 {{"TROUPE_PREFIX", "/p"},
                                  {"TROUPE_TSAN", "1"},
                                  {"TROUPE_CUDA", "OFF"},
                                  {"TROUPE_ADMIN_PASSWORD", "secret"},
                                  {"TROUPE_SEED", "7"},
                                  {"HOME", "/root"}}));
}

TEST(configuration, says_when_the_file_cannot_be_read) {
  auto got = load_configuration(std::filesystem::path{"/nowhere/cluster.conf"});
  EXPECT_THAT(message(got), StartsWith("/nowhere/cluster.conf: cannot be read"));
  EXPECT_FALSE(load_configuration(std::filesystem::path{"/"}));
  EXPECT_TRUE(load_configuration(std::nullopt));
}

} // namespace
} // namespace troupe

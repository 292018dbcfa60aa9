// The one binary: reads the command line and hands over. Each subcommand has a file of its own.

#include "app/bench.hpp"
#include "app/operator.hpp"
#include "app/options.hpp"
#include "app/portrait.hpp"
#include "app/verify_ledger.hpp"
#include "common/exit_codes.hpp"
#include "gpu/engines/speech/speech_engine.hpp"

#include <CLI/CLI.hpp>

#include <filesystem>

namespace {

using namespace troupe::app;

// An option that is another name of a key.
void add_key(CLI::App& to, serve_options& options, const char* name, const char* key, const char* help) {
  to.add_option_function<std::string>(
      name, [&options, key](const std::string& v) { options.overrides[key] = v; }, help);
}

void add_config(CLI::App& to, serve_options& options) {
  to.add_option("--config", options.config, "cluster.conf (TOML)")->check(CLI::ExistingFile);
  to.add_option_function<std::vector<std::string>>(
      "--set",
      [&options](const std::vector<std::string>& all) {
        for (const auto& one : all) {
          auto at = one.find('=');
          if (at == std::string::npos)
            throw CLI::ValidationError("--set", "must be key=value, as in --set http.threads=4");
          options.overrides[one.substr(0, at)] = one.substr(at + 1);
        }
      },
      "any key of cluster.conf: key=value");
}

} // namespace

namespace {

void add_bench_data(CLI::App& bench, std::string& data) {
  bench.add_option("--data", data, "data directory to use and leave behind; default: a new one, removed");
}

} // namespace

int main(int argc, char** argv) {
  troupe::engines::speak_if_asked(argc, argv);
  troupe::app::portray_if_asked(argc, argv);
  CLI::App cli{"Troupe: a self-hosted studio for AI media"};
  cli.require_subcommand(1);
  cli.set_version_flag("--version", std::string{"troupe "} + TROUPE_VERSION);
  int status = troupe::exit_ok;

  serve_options serving;
  std::error_code unknown;
  serving.program = std::filesystem::read_symlink("/proc/self/exe", unknown).string();
  auto* serve_command = cli.add_subcommand("serve", "Run the head: HTTP API, actors, store");
  add_config(*serve_command, serving);
  add_key(*serve_command, serving, "--data", "data.directory", "data directory");
  add_key(*serve_command, serving, "--listen", "http.listen", "address:port");
  serve_command->callback([&] { status = serve(serving); });

  node_options node;
  auto* node_command = cli.add_subcommand("node", "Run a machine's agent: probes devices, runs engines");
  auto* by_token = node_command->add_option("--join", node.join_file, "file with the token of `troupe admin node add`")
                       ->check(CLI::ExistingFile);
  node_command->add_option("--head", node.heads,
                           "the head's endpoint, e.g. tcp://10.0.0.1:7707; instead of the token's");
  node_command->add_option("--head-key", node.head_key, "the head's public CURVE key (Z85)")->excludes(by_token);
  node_command->add_option("--key", node.key_file, "file with this node's key pair")->excludes(by_token);
  node_command->add_option("--folder", node.folder, "cache and work folder")->required();
  node_command->add_option("--name", node.name, "the name the head knows it by");
  add_config(*node_command, node.where);
  add_key(*node_command, node.where, "--slots", "node.slots",
          "stages at a time on the CPU; 0: as many as hardware threads");
  add_key(*node_command, node.where, "--cache-mib", "node.cache_mib", "artifact cache, MiB");
  add_key(*node_command, node.where, "--log-level", "log.level", "trace, debug, info, warn, error, off");
  node_command->add_option("--exit-when-orphaned-ms", node.exit_when_orphaned_ms,
                           "end when no head was heard for so long; 0: never");
  node_command->add_option("--wait-for-folder", node.wait_for_folder,
                           "wait while another node works in the folder, as long as this process, the parent, lives");
  node_command->callback([&] { status = run_node(node); });

  auto* admin_command = cli.add_subcommand("admin", "The operator's commands")->require_subcommand(1);
  admin_create_options creating;
  auto* create_command =
      admin_command->add_subcommand("create", "Create an admin, offline; the password comes on standard input");
  add_config(*create_command, creating.where);
  add_key(*create_command, creating.where, "--data", "data.directory", "data directory");
  create_command->add_option("--username", creating.username, "its user name")->required();
  bool from_stdin = false;
  create_command->add_flag("--password-stdin", from_stdin, "read the password from standard input (the only way)");
  create_command->callback([&] { status = create_admin(creating); });

  operator_options operating;
  auto asks_head = [&operating](CLI::App* command) {
    command->add_option("--url", operating.url, "the head's HTTP address")
        ->envname("TROUPE_URL")
        ->capture_default_str();
    command->add_option("--key-file", operating.key_file, "file with an admin's API key; else TROUPE_API_KEY");
    command->add_flag("--json", operating.as_json, "print what the head answered");
    return command;
  };
  auto with_name = [&](CLI::App* command, const char* what) {
    command->add_option("name", operating.name, what)->required();
    return asks_head(command);
  };
  auto with_wait = [&](CLI::App* command) {
    command->add_flag("--wait", operating.wait, "until nothing runs there");
    command->add_option("--wait-max-s", operating.wait_max_s, "for so many seconds")->capture_default_str();
    return command;
  };
  auto with_heads = [&](CLI::App* command) {
    command->add_option("--head", operating.heads, "what it dials; default: cluster.advertise");
    return command;
  };
  auto* nodes = admin_command->add_subcommand("node", "Machines of the cluster")->require_subcommand(1);
  with_heads(with_name(nodes->add_subcommand("add", "Let a node join; prints its token"), "its name"))->callback([&] {
    status = add_node(operating);
  });
  with_heads(with_name(nodes->add_subcommand("rotate", "Another key for a node; prints its token"), "the node"))
      ->callback([&] { status = rotate_node(operating); });
  asks_head(nodes->add_subcommand("list", "All that may join, and how they are"))->callback([&] {
    status = list_nodes(operating);
  });
  with_wait(with_name(nodes->add_subcommand("drain", "What runs ends, nothing new begins"), "the node"))->callback([&] {
    status = set_node(operating, "draining");
  });
  with_name(nodes->add_subcommand("enable", "It gets work again"), "the node")->callback([&] {
    status = set_node(operating, "enabled");
  });
  with_name(nodes->add_subcommand("remove", "Cut it off for good"), "the node")->callback([&] {
    status = remove_node(operating);
  });
  auto* devices = admin_command->add_subcommand("device", "Devices of the nodes")->require_subcommand(1);
  asks_head(devices->add_subcommand("list", "All, with what runs"))->callback([&] {
    status = list_devices(operating);
  });
  with_wait(with_name(devices->add_subcommand("drain", "What runs ends, nothing new begins"), "node/device"))
      ->callback([&] { status = set_device(operating, "draining"); });
  with_name(devices->add_subcommand("enable", "It gets work again; also ends a quarantine"), "node/device")
      ->callback([&] { status = set_device(operating, "enabled"); });
  with_wait(with_name(devices->add_subcommand("quarantine", "It is not trusted: it gets no work"), "node/device"))
      ->callback([&] { status = set_device(operating, "quarantined"); });

  auto* ledger_command = admin_command->add_subcommand("ledger", "The books")->require_subcommand(1);
  std::string books_of = "data";
  auto* verify_command = ledger_command->add_subcommand(
      "verify", "Work out every balance again from the journal; also while a head runs. Writes nothing");
  verify_command->add_option("--data", books_of, "data directory")->capture_default_str();
  verify_command->callback([&] { status = verify_ledger(books_of); });

  bench_flows_options bench;
  auto* bench_command = cli.add_subcommand("bench", "Load, in the box")->require_subcommand(1);
  auto* flows_command =
      bench_command->add_subcommand("flows", "Four-stage jobs of the null engine through the whole system");
  bench.program = serving.program;
  flows_command->add_option("--jobs", bench.jobs, "how many jobs")->check(CLI::Range(1, 10'000'000));
  flows_command->add_option("--clients", bench.clients, "how many submit at a time")->check(CLI::Range(1, 1000));
  flows_command->add_option("--unloaded", bench.unloaded, "how many one after the other first, for latency")
      ->check(CLI::Range(0, 1'000'000));
  flows_command->add_option("--submits", bench.submits, "how many are submitted last, while every slot is busy")
      ->check(CLI::Range(0, 900'000));
  flows_command->add_option("--submitters", bench.submitters, "how many submit those at a time")
      ->check(CLI::Range(1, 1000));
  add_bench_data(*flows_command, bench.data);
  flows_command->callback([&] { status = bench_flows(bench); });

  bench_ledger_options books;
  books.program = serving.program;
  auto* books_command = bench_command->add_subcommand(
      "ledger", "Durable holds and captures a second; start and memory with many accounts on disk");
  books_command->add_option("--seconds", books.seconds, "of each load")->check(CLI::Range(1, 600));
  books_command->add_option("--accounts", books.accounts, "on disk")->check(CLI::Range(1'000, 10'000'000));
  books_command->add_option("--active", books.active, "of those, in memory")->check(CLI::Range(1, 1'000'000));
  add_bench_data(*books_command, books.data);
  books_command->add_option("--part", books.part,
                            "only this: many, hot, fill, open; open needs what fill wrote to --data");
  books_command->callback([&] { status = bench_ledger(books); });

  bench_recovery_options recovery;
  recovery.program = serving.program;
  auto* recovery_command =
      bench_command->add_subcommand("recovery", "A head killed with many jobs: how soon it serves again");
  recovery_command->add_option("--jobs", recovery.jobs, "that wait")->check(CLI::Range(100, 10'000'000));
  recovery_command->add_option("--kills", recovery.kills, "one after the other")->check(CLI::Range(1, 100));
  recovery_command->add_option("--stage-ms", recovery.stage_ms, "how long a stage runs")
      ->check(CLI::Range(5'000, 60'000));
  add_bench_data(*recovery_command, recovery.data);
  recovery_command->callback([&] { status = bench_recovery(recovery); });

  bench_nodes_options crowd;
  crowd.program = serving.program;
  auto* crowd_command =
      bench_command->add_subcommand("nodes", "Many simulated nodes on one head, over real sockets: what the API feels");
  crowd_command->add_option("--nodes", crowd.nodes, "how many")->check(CLI::Range(1, 20'000));
  crowd_command->add_option("--devices", crowd.devices, "of each")->check(CLI::Range(1, 256));
  crowd_command->add_option("--rate", crowd.rate, "flows of four stages a second")->check(CLI::Range(1, 100'000));
  crowd_command->add_option("--seconds", crowd.seconds, "of load")->check(CLI::Range(1, 3'600));
  add_bench_data(*crowd_command, crowd.data);
  crowd_command->callback([&] { status = bench_nodes(crowd); });

  try {
    cli.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return cli.exit(e) == 0 ? troupe::exit_ok : troupe::exit_usage;
  }
  return status;
}

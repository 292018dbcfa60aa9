// storage_crash_writer DIR SEED: opens the database and the blobs in DIR and writes until it is killed, saying on its
// output what was acknowledged. storage_crash_writer DIR hold: opens, says "ready" and waits.

#include "common/random.hpp"
#include "storage/blobs.hpp"
#include "storage/database.hpp"

#include <array>
#include <atomic>
#include <cstdio>
#include <random>
#include <thread>
#include <unistd.h>

using namespace troupe;
using namespace troupe::storage;

namespace {

// One call of write() a line, so that lines of two threads do not mix.
void say(const std::string& line) {
  auto text = line + "\n";
  if (::write(1, text.data(), text.size()) < 0)
    std::_Exit(1);
}

void write_blobs(blob_store& blobs, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  for (;;) {
    auto writer = blobs.create();
    if (!writer)
      return;
    for (auto pieces = random() % 5 + 1; pieces > 0; --pieces)
      if (!(*writer)->write(random_hex(random() % 20'000 + 1)))
        return;
    auto name = (*writer)->commit();
    if (name)
      say("blob " + *name);
  }
}

batch next_batch(const std::string& actor, std::uint64_t seq, std::mt19937_64& random) {
  auto n = std::to_string(seq);
  batch out;
  out.appends.push_back({"a/" + actor, seq, {n + " " + std::string(random() % 3000, 'e')}});
  out.feeds.push_back({{actor}, seq, {n}});
  out.rows.push_back({table::jobs, key_of(actor, seq), n, true});
  out.rows.push_back({table::accounts, actor, n, false});
  if (random() % 10 == 0)
    out.snapshots.push_back({"a/" + actor, seq, "state " + n});
  return out;
}

int write_until_killed(database& db, std::uint64_t seed) {
  std::mt19937_64 random{seed};
  std::array<std::uint64_t, 5> last{};
  for (std::size_t i = 0; i < last.size(); ++i)
    last.at(i) = db.journal().replay("a/" + std::to_string(i))->last_seq;
  std::atomic<int> outstanding = 0;
  for (;;) {
    while (outstanding > 64)
      std::this_thread::yield();
    auto which = random() % last.size();
    auto actor = std::to_string(which);
    auto seq = ++last.at(which);
    ++outstanding;
    db.journal().commit(next_batch(actor, seq, random), [&, actor, seq](commit_status status) {
      --outstanding;
      say((status == commit_status::ok ? "batch " : "refused ") + actor + " " + std::to_string(seq));
    });
    if (random() % 50 == 0)
      say("number " + std::to_string(db.next_number("numbers")));
  }
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 3)
    return 2;
  std::string directory = argv[1], what = argv[2];
  database_options options;
  options.directory = directory;
  options.cache_mib = 4;
  auto db = database::open(options);
  if (!db) {
    say("cannot open: " + db.error().message);
    return 1;
  }
  auto blobs = blob_store::open(directory + "/blobs");
  if (!blobs)
    return 1;
  say("ready");
  if (what == "hold") {
    ::pause();
    return 0;
  }
  auto seed = std::stoull(what);
  std::thread beside{[&] { write_blobs(**blobs, seed); }};
  return write_until_killed(**db, seed);
}

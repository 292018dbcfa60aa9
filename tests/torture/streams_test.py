"""Event streams, cut at random bytes and resumed by Last-Event-ID while the accounts' jobs go on: each client is told each event
once, in order, with the same words.

TROUPE_CUTS is how many cuts (300), TROUPE_SEED replays their places. `scripts/torture streams` runs it at length."""
import json
import os
import pathlib
import random
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from load import Listener, Payer, jobs_of, prove, wait_for_the_end, whole_log  # noqa: E402
from studio import PATIENCE, Head, wait_until  # noqa: E402

CUTS = int(os.environ.get("TROUPE_CUTS", "300"))
SEED = int(os.environ.get("TROUPE_SEED", random.SystemRandom().randrange(1_000_000)))
ACCOUNTS, LISTENERS = 2, 4  # listeners of each account
OF_JOBS = 10  # cuts of a hundred that are of single jobs' streams


class Streams(unittest.TestCase):
    def setUp(self):
        print(f"\n{CUTS} cuts, TROUPE_SEED={SEED}", flush=True)
        self.head = Head({"node.heartbeat_ms": 100}).start()
        self.addCleanup(self.head.destroy)
        self.head.wait_for_engines()

    def test_streams_cut_at_any_byte_lose_and_double_nothing(self):
        users = [self.head.user(f"listener{n}", grant=1_000_000) for n in range(ACCOUNTS)]
        payers = [Payer(user, user.name, ms=0, pause=0.02) for user in users]
        account_cuts = CUTS * (100 - OF_JOBS) // 100
        listeners = [Listener(user, "/api/events", seed=SEED + n) for user in users for n in range(LISTENERS)]
        told = 0
        deadline = time.monotonic() + max(60, CUTS / 10) * PATIENCE

        def enough():
            nonlocal told
            cuts = sum(listener.cuts for listener in listeners)
            if cuts >= told + 1000:
                told = cuts - cuts % 1000
                print(f"{told} cuts, {sum(len(p.jobs) for p in payers)} jobs", flush=True)
            # The log must not run away from who reads it in pieces.
            behind = max(len(p.jobs) for p in payers) > 20 + cuts // 8
            for payer in payers:
                payer.pause = 0.5 if behind else 0.02
            return cuts >= account_cuts or any(listener.problem for listener in listeners)

        wait_until(enough, (deadline - time.monotonic()) / PATIENCE, f"{account_cuts} cuts")
        for payer in payers:
            payer.stop.set()
        of_jobs = self.cut_streams_of_jobs(users[0], CUTS - account_cuts)
        _, _, cuts = prove(self, self.head, users, payers, listeners)
        print(f"{cuts + of_jobs} cuts in all", flush=True)
        self.assertGreaterEqual(cuts + of_jobs, CUTS)

    def test_a_jobs_stream_ends_with_it_and_an_accounts_never(self):
        """On one connection each, while jobs end: who resumes would not notice that a stream ends too early."""
        user = self.head.user("patient", grant=1_000_000)
        submit = lambda: user.post("/api/workflows/bench-chain/runs", {"inputs": {"ms": 200}})["job_id"]  # noqa: E731
        jobs, ended = [submit()], []
        of_job = list(user.stream(f"/api/jobs/{jobs[0]}/events", after=0))
        self.assertEqual(of_job[-1][1], "done")
        self.assertEqual(of_job, user.all_events(jobs[0]))
        for _, name, data in user.stream("/api/events", after=0, timeout=20):
            if name == "done":
                ended.append(data["job_id"])
                if len(ended) == 3:
                    break
                jobs.append(submit())
        self.assertEqual(ended, jobs)

    def cut_streams_of_jobs(self, user, wanted):
        """The streams of single jobs, which end with the job's `done`."""
        wait_for_the_end(user)
        jobs = jobs_of(user)
        events = whole_log(self, user, jobs)
        cuts = 0
        for n, job in enumerate(sorted(jobs)):
            if cuts >= wanted:
                break
            own = [event for event in events if json.loads(event[2])["job_id"] == job]
            listener = Listener(user, f"/api/jobs/{job}/events", seed=SEED - n, sizes=(1, 1500))
            listener.assert_told_all(self, own)
            cuts += listener.cuts
        return cuts


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""kill -9 of the head at random moments while several accounts pay for work: what was acknowledged is not lost, what was sent
again under the same Idempotency-Key is done once, nothing stays held, nothing is charged twice, and the books verify.

TROUPE_LOAD_KILLS is how many kills (10; 200 take some minutes), TROUPE_SEED replays the moments."""
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "support"), str(pathlib.Path(__file__).resolve().parent)]
from crash_test import what_it_waits_for  # noqa: E402
from studio import BINARY, Head, assert_money_is_right, clean_environment, wait_until  # noqa: E402

KILLS = int(os.environ.get("TROUPE_LOAD_KILLS", "10"))
SEED = int(os.environ.get("TROUPE_SEED", random.SystemRandom().randrange(1_000_000)))
ACCOUNTS, CLIENTS = 3, 2
RUN = "/api/workflows/bench-chain/runs"


class Payer(threading.Thread):
    """Submits one paid job after the other, each under a key of its own, and sends it again until it is acknowledged."""

    def __init__(self, user, name):
        super().__init__(daemon=True)
        self.user = user
        self.name = name
        self.jobs = {}  # key -> job
        self.wrong = None
        self.stop = threading.Event()
        self.start()

    def run(self):
        n = 0
        while not self.stop.is_set():
            key = f"{self.name}-{n}"
            try:
                answer = self.user.send("POST", RUN, {"inputs": {"ms": 2}}, {"Idempotency-Key": key})
            except OSError:  # the head is gone
                time.sleep(0.02)
                continue
            except Exception:  # cut off in the middle of an answer
                continue
            if answer.status == 202:
                self.jobs[key] = answer.json["job_id"]
                n += 1
                time.sleep(0.01)
            elif answer.status not in (429, 503):
                self.wrong = answer
                return


class PaidLoad(unittest.TestCase):
    def test_kills_under_a_paid_load_lose_and_double_nothing(self):
        print(f"\n{KILLS} kills, TROUPE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        head = Head({"node.slots": 2, "node.heartbeat_ms": 100}).start()
        self.addCleanup(head.destroy)
        head.wait_for_engines()
        users = [head.user(f"payer{n}", grant=1_000_000) for n in range(ACCOUNTS)]
        payers = [Payer(user, f"{user.name}-{c}") for user in users for c in range(CLIENTS)]
        for n in range(KILLS):
            time.sleep(chance.uniform(0.05, 0.5))
            head.kill9()
            head.start()
            for payer in payers:
                self.assertIsNone(payer.wrong, f"after {n + 1} kills")
        for payer in payers:
            payer.stop.set()
        for payer in payers:
            payer.join(60)
        jobs = 0
        for user in users:
            promised = [job for payer in payers if payer.user is user for job in payer.jobs.values()]
            self.assertEqual(len(promised), len(set(promised)), "two keys got one job")
            self.wait_for_the_end(head, user)
            there = self.jobs_of(user)
            self.assertEqual(set(promised) - there, set(), "acknowledged jobs are gone")
            self.assertLessEqual(len(there) - len(promised), CLIENTS, "jobs that no key asked for")
            views = {job: user.wait_for_job(job, 60) for job in there}
            wallet = assert_money_is_right(self, user, views)
            self.assertEqual(len(wallet.captures), 4 * len(there))
            jobs += len(there)
        print(f"{jobs} jobs of {ACCOUNTS} accounts, {4 * jobs} charges", flush=True)
        self.assertEqual(head.stop(), 0)
        verified = subprocess.run([BINARY, "admin", "ledger", "verify", "--data", str(head.data)], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, timeout=120, env=clean_environment(), check=False)
        print(verified.stdout, flush=True)
        self.assertEqual(verified.returncode, 0)

    @staticmethod
    def wait_for_the_end(head, user):
        try:
            wait_until(lambda: user.get("/api/queue")["active_jobs"] == [], 120, f"the jobs of {user.name} end")
        except AssertionError:
            head.keep = True
            active = user.get("/api/queue")["active_jobs"]
            print(f"{len(active)} jobs: {active[:3]}\n{what_it_waits_for(head.admin(), active[0]['job_id'])}\n{head.log_tail(60)}", flush=True)
            raise

    @staticmethod
    def jobs_of(user):
        total = user.get("/api/generations?limit=1")["total"]
        return {row["job_id"] for offset in range(0, total, 200)
                for row in user.get(f"/api/generations?limit=200&offset={offset}")["generations"]}


if __name__ == "__main__":
    unittest.main(verbosity=2)

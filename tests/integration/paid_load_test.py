"""kill -9 of the head, of the node, or of both, at random moments while several accounts pay for work and listen to event
streams that they keep cutting: what was acknowledged is not lost, what was sent again under the same Idempotency-Key is done
once, nothing stays held, nothing is charged twice, each event is told once, and the books verify.

TROUPE_LOAD_KILLS is how many kills (10), TROUPE_SEED replays the moments. `scripts/torture kills` runs it at length."""
import os
import pathlib
import random
import sys
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "support"), str(pathlib.Path(__file__).resolve().parent)]
from crash_test import what_it_waits_for  # noqa: E402
from load import Listener, Payer, prove  # noqa: E402
from studio import Head, wait_until  # noqa: E402

KILLS = int(os.environ.get("TROUPE_LOAD_KILLS", "10"))
SEED = int(os.environ.get("TROUPE_SEED", random.SystemRandom().randrange(1_000_000)))
ACCOUNTS, CLIENTS = 3, 2


class PaidLoad(unittest.TestCase):
    def test_kills_under_a_paid_load_lose_and_double_nothing(self):
        print(f"\n{KILLS} kills, TROUPE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        head = Head({"node.slots": 2, "node.heartbeat_ms": 100}).start()
        self.addCleanup(head.destroy)
        head.wait_for_engines()
        users = [head.user(f"payer{n}", grant=1_000_000) for n in range(ACCOUNTS)]
        payers = [Payer(user, f"{user.name}-{c}") for user in users for c in range(CLIENTS)]
        listeners = [Listener(user, "/api/events", seed=SEED + n) for n, user in enumerate(users)]
        killed = {"head": 0, "node": 0, "both": 0}
        begin = time.monotonic()
        acknowledged = lambda: sum(len(payer.jobs) for payer in payers)  # noqa: E731
        for n in range(KILLS):
            before = acknowledged()
            if chance.random() < 0.8:  # the others come while it is still taking up what the last kill left
                wait_until(lambda: acknowledged() > before, 60, "it works again")
            time.sleep(chance.uniform(0, 0.4))
            victim = chance.choice(["head", "head", "node", "both"])
            killed[victim] += 1
            if victim != "head":
                head.kill_node9()
            if victim != "node":
                head.kill9()
                head.start()
            for who in payers + listeners:
                self.assertIsNone(who.wrong if who in payers else who.problem, f"after {n + 1} kills")
            if (n + 1) % 50 == 0:
                print(f"{n + 1} kills, {acknowledged()} jobs acknowledged, {time.monotonic() - begin:.0f} s", flush=True)
        print(f"killed: {killed}", flush=True)
        prove(self, head, users, payers, listeners, stranded=lambda user: self.tell_of(head, user))

    @staticmethod
    def tell_of(head, user):
        active = user.get("/api/queue")["active_jobs"]
        if active:
            print(f"{len(active)} jobs: {active[:3]}\n{what_it_waits_for(head.admin(), active[0]['job_id'])}\n{head.log_tail(60)}", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)

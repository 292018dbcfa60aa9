"""A head and a node in network namespaces of their own, joined over TCP with a token, and a wire between them that is cut, loses
30 % of all packets, takes 200 ms, or carries one way only, under a paid load (needs root): stages move to where they can run, what
comes too late changes nothing, and after each fault the node works again.

TROUPE_SECONDS is how long each fault lasts (3), TROUPE_ROUNDS how often all of them come (1), TROUPE_SEED replays what is lost.
Exit status 77: it cannot be tried here."""
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import shutil
import time
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "support"), str(pathlib.Path(__file__).resolve().parent)]
import wire  # noqa: E402
from load import Listener, Payer, prove  # noqa: E402
from studio import BINARY, PATIENCE, Head, clean_environment, wait_until  # noqa: E402

SECONDS = float(os.environ.get("TROUPE_SECONDS", "3"))
ROUNDS = int(os.environ.get("TROUPE_ROUNDS", "1"))
SEED = int(os.environ.get("TROUPE_SEED", random.SystemRandom().randrange(1_000_000)))
FAULTS = [  # what happens to what the head sends, and to what the node sends
    ("cut", wire.CUT, wire.CUT),
    ("30 % loss", wire.Shape(loss=0.3), wire.Shape(loss=0.3)),
    ("200 ms delay", wire.Shape(delay_ms=200), wire.Shape(delay_ms=200)),
    ("the head is not heard", wire.CUT, wire.HEALTHY),
    ("the node is not heard", wire.HEALTHY, wire.CUT),
    ("30 % loss and 200 ms delay", wire.Shape(loss=0.3, delay_ms=200), wire.Shape(loss=0.3, delay_ms=200)),
]


class Network(unittest.TestCase):
    def setUp(self):
        print(f"\n{len(FAULTS)} faults of {SECONDS:.0f} s, {ROUNDS} times, TROUPE_SEED={SEED}", flush=True)
        self.far = wire.Namespace()
        self.addCleanup(self.far.close)
        self.wire = wire.lay(self.far, SEED)
        self.addCleanup(self.wire.close)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-far-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        # The local node is slow, so that there is always work for the far one; and it is where stages go that the far one lost.
        self.head = Head({"cluster.listen": f"tcp://{wire.OURS}:7707", "node.slots": 1, "node.heartbeat_ms": 100, "node.timeout_ms": 1000, "node.lease_ms": 2000})
        self.addCleanup(self.head.destroy)
        self.head.start().wait_for_engines()
        self.admin = self.head.admin()
        self.join()

    def join(self):
        key = self.admin.post("/api/keys", {"name": "operator"})["key"]
        environment = clean_environment(TROUPE_API_KEY=key, TROUPE_URL=f"http://127.0.0.1:{self.head.port}")
        token = self.folder / "far.token"
        token.touch(0o600)
        token.write_text(subprocess.run([BINARY, "admin", "node", "add", "far"], capture_output=True, text=True, timeout=60 * PATIENCE, check=True, env=environment).stdout)
        node = subprocess.Popen(self.far.command([BINARY, "node", "--join", str(token), "--folder", str(self.folder / "node"), "--slots", "2"]),
                                stderr=self.head.log, env=clean_environment())

        def end():
            node.kill()
            node.wait()
        self.addCleanup(end)
        wait_until(lambda: self.status() == "connected", 30, "the far node has joined")

    def status(self):
        return next((n["status"] for n in self.admin.get("/api/admin/nodes")["nodes"] if n["name"] == "far"), None)

    def works(self):
        """True while stages run on the far node."""
        devices = self.admin.get("/api/admin/devices")["devices"]
        return any(d["id"] == "far/cpu0" and d.get("slots_used", 0) > 0 for d in devices)

    def test_whatever_the_wire_does_nothing_is_lost_or_done_twice(self):
        users = [self.head.user(f"payer{n}", grant=1_000_000) for n in range(2)]
        payers = [Payer(user, f"{user.name}-{n}", ms=40, pause=0.1) for user in users for n in range(2)]
        listeners = [Listener(user, "/api/events", seed=SEED + n) for n, user in enumerate(users)]
        chance = random.Random(SEED)
        for _ in range(ROUNDS):
            for name, to_node, to_head in chance.sample(FAULTS, len(FAULTS)):
                wait_until(self.works, 30, "the far node works")
                jobs = sum(len(p.jobs) for p in payers)
                self.wire.shape(to_node, to_head)
                seen = set()
                until = time.monotonic() + SECONDS
                while time.monotonic() < until:
                    seen.add(self.status())
                    time.sleep(0.05)
                if wire.CUT in (to_node, to_head) and SECONDS > 2:
                    self.assertIn("lost", seen, f"{name}: nobody noticed")
                self.wire.shape(wire.HEALTHY, wire.HEALTHY)
                healed = time.monotonic()
                wait_until(lambda: self.status() == "connected" and self.works(), 60, f"after {name} the far node works again")
                print(f"{name}: {'/'.join(sorted(filter(None, seen)))}; works again {time.monotonic() - healed:.2f} s after it had passed; "
                      f"{sum(len(p.jobs) for p in payers) - jobs} jobs were taken meanwhile", flush=True)
        prove(self, self.head, users, payers, listeners)


if __name__ == "__main__":
    wire.enter_own_namespace()
    unittest.main(verbosity=2)

"""The disk fills up under a paid load (a small tmpfs as the data directory; needs root): what cannot be written is refused with
503 while reading goes on, nothing that was acknowledged is lost, and when there is space again the head goes on by itself.
Twice: with the head's reserve gone, and with not one byte left; and the head is killed while the disk is full.

TROUPE_SEED replays the moments. Exit status 77: it cannot be tried here."""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from load import RUN, Listener, Payer, prove  # noqa: E402
from studio import CREDIT, Head, Wallet, wait_until  # noqa: E402

SEED = int(os.environ.get("TROUPE_SEED", random.SystemRandom().randrange(1_000_000)))
DISK_MIB, RESERVE_MIB = 320, 64  # the reserve: storage/database.hpp


class Ballast:
    """A file that takes the disk's space, but for `left` MiB."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "ballast"

    def free_mib(self):
        at = os.statvfs(self.folder)
        return at.f_bavail * at.f_frsize / (1 << 20)

    def fill(self, left):
        """In small pieces, so that the load is at work at every fill level."""
        piece = bytes(1 << 20)
        with open(self.file, "ab", buffering=0) as out:
            while self.free_mib() > left:
                try:
                    out.write(piece[:max(1, min(len(piece), int((self.free_mib() - left) * (1 << 20))))])
                except OSError:  # full to the last byte
                    return
                time.sleep(0.002)

    def remove(self):
        self.file.unlink(missing_ok=True)


class FullDisk(unittest.TestCase):
    def setUp(self):
        print(f"\nTROUPE_SEED={SEED}", flush=True)
        self.chance = random.Random(SEED)
        self.head = Head({"node.heartbeat_ms": 100}, workflows=self.definitions())
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=700", "troupe-torture", str(self.head.data)], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.head.data)], check=False)
        self.addCleanup(self.head.destroy)
        self.ballast = Ballast(self.head.data)
        self.head.start().wait_for_engines()

    def definitions(self):
        """The flow of the load, and one that leaves a file to be read."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-torture-"))
        self.addCleanup(shutil.rmtree, folder)
        shutil.copy(pathlib.Path(__file__).resolve().parents[2] / "workflows/definitions/bench-chain.json", folder)
        (folder / "one-file.json").write_text(json.dumps({
            "name": "one-file", "version": 1, "title": "A file", "description": "A file of noise.", "inputs": {},
            "stages": [{"id": "work", "kind": "null.work", "params": {"bytes": 4096}, "price": {"rule": "flat", "credits": 1}}],
            "result": {"data": {"from": "work.data", "filename": "file_{job}.bin"}}}))
        return str(folder)

    def test_a_full_disk_refuses_loses_nothing_and_heals_by_itself(self):
        users = [self.head.user(f"payer{n}", grant=1_000_000) for n in range(2)]
        payers = [Payer(user, f"{user.name}-{n}") for user in users for n in range(2)]
        listeners = [Listener(user, "/api/events", seed=SEED + n) for n, user in enumerate(users)]
        self.reader = self.head.user("reader", grant=100)
        self.made = self.reader.wait_for_job(self.reader.run("one-file", {})["job_id"])
        for name, left, kill in (("the reserve is gone", RESERVE_MIB - 2, False), ("not a byte is left", 0, False), ("not a byte is left, and a kill", 0, True)):
            self.wait_for_progress(payers, f"before: {name}")
            self.ballast.fill(left)
            begin = time.monotonic()
            refused = wait_until(lambda: self.refusal_of(users[0]), 30, "a request is refused for the disk")
            self.assertEqual(refused.status, 503, refused)
            self.assertEqual(refused.headers.get("retry-after"), "1", "when to come again is told")
            until = time.monotonic() + self.chance.uniform(0.5, 1.5)
            while time.monotonic() < until:
                self.read_all()
            if kill:
                self.head.kill9()
            self.ballast.remove()
            freed = time.monotonic()
            if kill:
                self.head.start()
            self.wait_for_progress(payers, f"after: {name}")
            print(f"{name}: refused for {freed - begin:.1f} s, work again {time.monotonic() - freed:.2f} s after there was space", flush=True)
        refusals = sum(payer.refused.get(503, 0) for payer in payers)
        self.assertGreater(refusals, 0)
        print(f"{refusals} requests were refused with 503", flush=True)
        prove(self, self.head, users, payers, listeners)

    def read_all(self):
        """Who only reads notices nothing."""
        self.assertEqual(self.reader.get("/api/credits")["credit_balance"], self.before())
        self.assertEqual(self.reader.job(self.made["job_id"])["status"], "succeeded")
        self.assertEqual(self.reader.get("/api/generations")["total"], 1)
        file = self.reader.send("GET", self.made["artifacts"][0]["url"])
        self.assertEqual(file.status, 200, file)
        self.assertEqual(self.reader.all_events(self.made["job_id"])[-1][1], "done")

    def before(self):
        """The reader's balance, as the history has it."""
        return int(Wallet(self.reader.history()).granted - Wallet(self.reader.history()).spent) // CREDIT

    @staticmethod
    def refusal_of(user):
        """The answer when it is none that work was taken."""
        answer = user.send("POST", RUN, {"inputs": {"ms": 0}}, {"Idempotency-Key": f"probe-{time.monotonic_ns()}"})
        return None if answer.status == 202 else answer

    def wait_for_progress(self, payers, what):
        before = [len(payer.jobs) for payer in payers]
        wait_until(lambda: all(len(payer.jobs) >= n + 3 for payer, n in zip(payers, before)), 60, what)


if __name__ == "__main__":
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print("disk: skipped: it needs root and the right to mount a tmpfs")
        sys.exit(77)
    unittest.main(verbosity=2)

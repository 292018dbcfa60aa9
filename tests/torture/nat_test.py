"""A node behind a router that masquerades and lets nothing in (needs root): it dials out, and that is enough for stages, files in
both directions, progress and cancels; also after the router has forgotten its connections or has got another address. Exit
status 77: it cannot be tried here."""
import os
import pathlib
import socket
import subprocess
import sys
import unittest

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "support"), str(pathlib.Path(__file__).resolve().parent)]
import nat  # noqa: E402
import wire  # noqa: E402
from machines import Machines  # noqa: E402
from studio import BINARY, clean_environment, wait_until  # noqa: E402

PORT = 7707


class Nat(Machines):
    SETTINGS = {"cluster.listen": f"tcp://{nat.HEAD}:{PORT}", "node.timeout_ms": 1500, "node.lease_ms": 20_000}

    def setUp(self):
        self.far = wire.Namespace()
        self.addCleanup(self.far.close)
        self.router = nat.Router(self.far)
        self.addCleanup(self.router.close)
        super().setUp()
        token = self.folder / "token"
        token.touch(0o600)
        token.write_text(self.admin.post("/api/admin/nodes", {"name": "far", "heads": [f"tcp://{nat.HEAD}:{PORT}"]})["token"])
        node = subprocess.Popen(self.far.command([BINARY, "node", "--join", str(token), "--folder", str(self.folder / "far"), "--slots", "2"]),
                                stderr=self.head.log, env=clean_environment())

        def end():
            node.kill()
            node.wait()
        self.addCleanup(end)
        self.wait_for("far", "connected")

    def seen_from(self):
        """Where the head sees its peers come from."""
        rows = [row.split() for row in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return {socket.inet_ntoa(bytes.fromhex(row[2].split(":")[0])[::-1]) for row in rows if row[1].endswith(f":{PORT:04X}") and row[3] == "01"}

    def test_a_node_that_only_dials_out_does_all_that_a_node_does(self):
        self.assertEqual(self.seen_from(), {nat.OUTSIDE})
        views = self.check([self.submit(seed=n) for n in range(4)])
        self.assertEqual({stage["device"] for view in views.values() for stage in view["stages"]}, {"far/cpu0"})
        job = self.submit(ms=20_000)
        wait_until(lambda: self.stage(job, 0).get("progress", 0) > 0, 20, "it tells how far it is")
        self.user.post(f"/api/jobs/{job}/cancel")
        self.check([job], status="cancelled")

    def test_nothing_gets_in_that_nobody_asked_for(self):
        for port in (22, 7707, 40_001):
            with self.assertRaises(OSError):
                socket.create_connection((nat.OUTSIDE, port), timeout=0.5)
        with self.assertRaises(OSError):  # there is no way to its own address
            socket.create_connection((nat.INSIDE, 7707), timeout=0.5)
        self.assertGreaterEqual(self.router.turned_away, 3)
        self.check([self.submit()])

    def test_a_node_dials_anew_when_the_router_has_forgotten_its_line(self):
        for address in (nat.OUTSIDE, "10.77.0.3"):
            jobs = [self.submit(ms=3000, seed=n) for n in range(2)]
            wait_until(lambda: all(self.stage(job, 0).get("progress", 0) > 0 for job in jobs), 20, "both run")
            self.router.forget(address)
            views = self.check(jobs)
            self.assertTrue(all(stage["device"] == "far/cpu0" for view in views.values() for stage in view["stages"]))
            wait_until(lambda: address in self.seen_from(), 20, f"it comes from {address}")


if __name__ == "__main__":
    if not os.path.exists("/dev/net/tun"):
        print("nat: skipped: there is no /dev/net/tun")
        sys.exit(77)
    wire.enter_own_namespace()
    unittest.main(verbosity=2)

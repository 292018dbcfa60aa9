"""Real nodes whose time of day is hours ahead of the head's or behind it, or is set while they work: leases, time-outs, heartbeats
and results are as on any node."""
import calendar
import os
import pathlib
import re
import struct
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import Machines  # noqa: E402
from studio import BINARY, PATIENCE, wait_until  # noqa: E402

# Built beside the program.
SHIM = os.environ.get("TROUPE_WALL_CLOCK", str(pathlib.Path(BINARY).parent / "tests/faults/libshifted_wall_clock.so"))
HOUR = 3600
TIMEOUT_S, LEASE_S = 1.5, 3.0


class Clock(Machines):
    SETTINGS = {"node.timeout_ms": int(1000 * TIMEOUT_S), "node.lease_ms": int(1000 * LEASE_S)}

    def set_clock(self, name, seconds):
        with open(self.folder / f"{name}.shift", "r+b" if (self.folder / f"{name}.shift").exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))

    def wrong(self, name, seconds, proxy=None):
        """A node whose clock is so many seconds ahead; its own log must show that."""
        self.set_clock(name, seconds)
        asan = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        self.real(name, proxy, environment={"LD_PRELOAD": SHIM, "WALL_CLOCK_SHIFT": str(self.folder / f"{name}.shift"), "ASAN_OPTIONS": asan})
        wait_until(lambda: self.log_is_off(seconds), 10, f"the node's log is {seconds} s off")

    def log_is_off(self, seconds):
        now = time.time()
        for stamp in re.findall(r"^(\S{19})\.\d+Z . node: ", self.head.log_text(), re.MULTILINE):
            written = time.strptime(stamp, "%Y-%m-%dT%H:%M:%S")
            if abs(calendar.timegm(written) - now - seconds) < HOUR / 2:
                return True
        return False

    def assert_as_on_any_node(self, views, ms):
        for view in views.values():
            for stage in view["stages"]:
                self.assertEqual(stage["attempts"], 1, stage)
                self.assertGreaterEqual(stage["run_ms"], ms)
                self.assertLess(stage["run_ms"], ms + 5000 * PATIENCE)
        self.assertNotIn(" is lost: ", self.head.log_text())
        self.assertNotIn("longer than the lease", self.head.log_text())

    def test_nodes_whose_clocks_are_hours_off_work_as_any(self):
        """Stages run for longer than the time-out and the lease: a clock that counted would have ended both."""
        self.wrong("ahead", 7 * HOUR)
        self.wrong("behind", -7 * HOUR)
        ms = int(1000 * (LEASE_S + 1))
        views = self.check([self.submit(ms=ms, seed=n) for n in range(4)])
        self.assert_as_on_any_node(views, ms)

    def test_a_clock_that_is_set_while_stages_run_changes_nothing(self):
        self.wrong("jumps", 7 * HOUR)
        jobs = [self.submit(ms=3000, seed=n) for n in range(2)]
        wait_until(lambda: all(self.stage(job, 0).get("progress", 0) > 0 for job in jobs), 20, "both run")
        self.set_clock("jumps", -7 * HOUR)
        views = self.check(jobs)
        self.assert_as_on_any_node(views, 3000)

    def test_a_lease_ends_when_it_should_on_a_wrong_clock(self):
        for name, seconds in (("ahead", 7 * HOUR), ("behind", -7 * HOUR)):
            with self.subTest(name):
                line = self.proxy()
                self.wrong(name, seconds, line)
                job = self.submit(ms=20_000)
                wait_until(lambda: self.stage(job, 0).get("progress", 0) > 0, 20, "it runs")  # the order has arrived
                before = self.head.log_text().count("longer than the lease")
                line.hold("up", "down")
                held = time.monotonic()
                wait_until(lambda: self.head.log_text().count("longer than the lease") > before, 20, "the node lets go")
                self.assertGreater(time.monotonic() - held, LEASE_S - 0.5, "too early")
                self.user.post(f"/api/jobs/{job}/cancel")
                line.heal()
                self.check([job], status="cancelled")
                self.set_state(name, "draining")


if __name__ == "__main__":
    unittest.main(verbosity=2)

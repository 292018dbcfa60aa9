"""A real node whose line to the head is at fault: cut and healed, silent in one direction, slow. Whatever the line does, all jobs
end, each stage is charged once, nothing stays held, and no event is told twice."""
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import Machines  # noqa: E402
from studio import PATIENCE, wait_until  # noqa: E402

TIMEOUT_S = 1.5


class Link(Machines):
    SETTINGS = {"node.timeout_ms": int(1000 * TIMEOUT_S), "node.lease_ms": 4000}

    def setUp(self):
        super().setUp()
        self.line = self.proxy()
        self.far = self.real("far", self.line)
        self.head.wait_for_engines()

    def running_on(self, device):
        return (self.device(device) or {}).get("slots_used", 0)

    def some(self, ms=500, count=4):
        jobs = [self.submit(ms, seed=n) for n in range(count)]
        wait_until(lambda: self.running_on("far/cpu0") >= min(count, 2), 20, "the far node works on all that it has slots for")
        time.sleep(0.3)  # the orders have arrived: one that is on its way would be lost with the line, and rightly be given again
        return jobs

    def attempts(self, views):
        return sum(stage["attempts"] for view in views.values() for stage in view["stages"])

    def assert_nothing_ran_again(self, views):
        if self.attempts(views) != 2 * len(views):
            told = [data for job in views for _, name, data in self.user.all_events(job) if name == "stage"]
            self.fail("what ran was run again:\n" + "\n".join(map(str, told)) + "\n" + self.head.log_tail(20))

    def test_a_line_that_is_cut_for_a_moment_costs_no_attempt(self):
        jobs = self.some(ms=5000, count=2)  # no order is on its way while the line is cut: it would be lost with it
        for _ in range(3):
            self.line.cut()
            time.sleep(0.2)
            self.line.heal()
            self.wait_for("far", "connected")
        views = self.check(jobs)
        self.assert_nothing_ran_again(views)

    def test_a_line_that_is_cut_in_a_large_upload_costs_what_was_on_its_way(self):
        size = 16 << 20
        self.line.bytes_a_second = 4 << 20
        job = self.submit(bytes=size)
        wait_until(lambda: self.line.passed["up"] > size // 2, 30, "half of the file is there")
        self.line.cut()
        before = self.line.passed["up"]
        self.assertLess(before, size * 3 // 4, "the cut came too late to tell anything")
        self.line.heal()
        self.check([job])
        self.assertLess(self.line.passed["up"] - before, size * 3 // 4, "the upload began anew")

    def test_a_line_that_is_cut_for_long_moves_the_stages(self):
        jobs = self.some()
        self.line.cut()
        self.real("near")
        self.wait_for("far", "lost")
        views = self.check(jobs)
        self.assertGreater(self.attempts(views), 2 * len(jobs))
        self.line.heal()
        self.wait_for("far", "connected")
        self.check(jobs + [self.submit(seed=9)])

    def test_a_line_that_heals_brings_back_what_was_done_meanwhile(self):
        """Nobody else can take the stage: the far node ends it, cut off, and its result counts when it is back."""
        job = self.submit(ms=1000)
        wait_until(lambda: self.running_on("far/cpu0") == 1, 20, "it runs")
        self.line.cut()
        self.wait_for("far", "lost")
        self.line.heal()
        self.wait_for("far", "connected")
        self.assert_nothing_ran_again(self.check([job]))

    def test_a_node_that_is_not_heard_but_hears(self):
        """Frames from the node are held for longer than the time-out, and then come all at once, late."""
        jobs = self.some()
        self.real("near")
        self.line.hold("up")
        self.wait_for("far", "lost")
        self.check(jobs)
        self.line.heal()
        self.wait_for("far", "connected")
        self.check(jobs + [self.submit(seed=9)])

    def test_a_node_that_is_heard_but_does_not_hear(self):
        jobs = self.some()
        self.real("near")
        self.line.hold("down")
        time.sleep(2 * TIMEOUT_S)  # it notices that the head is silent, dials, and is not answered
        self.line.heal()
        self.check(jobs)
        self.wait_for("far", "connected")
        self.check(jobs + [self.submit(seed=9)])

    def test_a_node_that_hears_nothing_for_its_lease_stops_what_it_runs(self):
        job = self.submit(ms=20_000)
        wait_until(lambda: self.stage(job, 0).get("progress"), 20, "the node says that it runs: the order has arrived")
        self.line.hold("up", "down")
        wait_until(lambda: "longer than the lease" in self.head.log_text(), 15, "the node lets go")
        self.user.post(f"/api/jobs/{job}/cancel")
        self.line.heal()
        self.check([job], status="cancelled")

    def test_a_slow_line_carries_everything(self):
        self.line.delay_s, self.line.bytes_a_second = 0.05, 150_000
        jobs = [self.submit(seed=n) for n in range(4)]
        views = self.check(jobs, 120)
        self.assert_nothing_ran_again(views)
        self.assertEqual(self.node("far")["status"], "connected")

    def test_faults_of_all_kinds_one_after_the_other_under_load(self):
        self.real("near")
        jobs = []
        for fault in (self.line.cut, lambda: self.line.hold("up"), lambda: self.line.hold("down"), lambda: self.line.hold("up", "down"), self.line.cut):
            jobs += [self.submit(ms=150, seed=len(jobs) + n) for n in range(6)]
            time.sleep(0.2)
            fault()
            jobs += [self.submit(ms=150, seed=len(jobs) + n) for n in range(6)]
            time.sleep(1.2 * TIMEOUT_S)
            self.line.heal()
            self.wait_for("far", "connected")
        self.check(jobs, 120)

    def test_the_head_dies_while_the_line_is_cut(self):
        jobs = self.some(ms=2500, count=2)
        self.line.cut()
        self.head.kill9()
        time.sleep(0.5)
        self.line.heal()
        self.head.start()
        self.admin = self.head.admin()
        views = self.check(jobs)
        self.assert_nothing_ran_again(views)


class Silence(Machines):
    """With the settings as they are shipped: a node that dies is noticed, and its stages run elsewhere, within 5 s of its silence."""
    SETTINGS = {"node.heartbeat_ms": 1000, "node.timeout_ms": 4000}

    def test_a_dead_nodes_stages_run_elsewhere_within_five_seconds_of_its_silence(self):
        doomed = self.real("doomed")
        self.head.wait_for_engines()
        jobs = [self.submit(ms=8000, seed=n) for n in range(2)]
        wait_until(lambda: (self.device("doomed/cpu0") or {}).get("slots_used") == 2, 20, "both run")
        self.real("other")
        doomed.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        doomed.wait()
        elsewhere = wait_until(lambda: (self.device("other/cpu0") or {}).get("slots_used") == 2 and time.monotonic(), 20, "they run elsewhere")
        print(f"\nstages of a node that was killed run elsewhere after {elsewhere - killed:.2f} s", flush=True)
        self.assertLess(elsewhere - killed, 5.0 * max(1.0, PATIENCE / 2))
        self.check(jobs)


    def test_a_head_that_stood_still_takes_no_node_for_lost(self):
        self.real("far")
        self.head.wait_for_engines()
        jobs = [self.submit(ms=12_000, seed=n) for n in range(2)]
        wait_until(lambda: all(self.stage(job, 0).get("progress") for job in jobs), 20, "the node says that both run: an order on its way would be lost with the line")
        self.head.process.send_signal(signal.SIGSTOP)
        time.sleep(6)  # as a machine does that is moved to another host
        self.head.process.send_signal(signal.SIGCONT)
        self.assertEqual({stage["attempts"] for view in self.check(jobs).values() for stage in view["stages"]}, {1}, "nothing ran again")
        self.assertIn("stood still for", self.head.log_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""A node that lies about its state, repeats itself and mixes up the order: whatever it says, all jobs end, each stage is charged
once, nothing stays held, no event is told twice, and no other node is kept from its work."""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import FakeNode, Machines, ref_of  # noqa: E402
from studio import wait_until  # noqa: E402

EPOCH = 1 << 32  # attempts of one life of the head
HUGE = (1 << 53) - 1
OTHER_WORK = {"kinds": ["upscale.video"]}  # a device that cannot be given a stage of the jobs here by chance


class LyingNode(Machines):
    # -- repeated and reordered

    def test_everything_said_twice_counts_once(self):
        liar = self.fake("twice")
        liar.wait_welcome()
        job = self.submit()
        for stage in (0, 1):
            work = liar.wait_assigned(job, stage)
            report = liar.finished(work, [liar.bring(b"said twice %d" % stage)])
            progress = {"t": "progress", "ref": ref_of(work), "fraction": 0.5, "step": "half"}
            for message in (progress, progress, report, report, progress, report):
                liar.send(message)
            liar.wait_acknowledged(work, 3)
        self.check([job])

    def test_a_result_that_was_acknowledged_long_ago_changes_nothing(self):
        liar = self.fake("replay")
        liar.wait_welcome()
        reports = []

        def work(assigned):
            reports.append(liar.finished(assigned, [liar.bring(b"replayed %d" % assigned["ref"]["stage"])]))
            liar.send(reports[-1])
        liar.work = work
        first = self.submit()
        self.check([first])
        for report in reports[::-1] * 3:
            liar.send(report)
        liar.unacknowledged = list(reports)
        liar.dial()
        second = self.submit()
        self.check([first, second])

    def test_the_end_before_the_beginning(self):
        """Progress after the end, a failure after the success, the next stage's messages before its assignment."""
        liar = self.fake("reorder")
        liar.wait_welcome()
        job = self.submit()
        work = liar.wait_assigned(job, 0)
        report = liar.finished(work, [liar.bring(b"out of order")])
        liar.send(liar.finished(dict(work, ref=dict(work["ref"], stage=1)), report["outputs"]))
        liar.send(liar.failed(dict(work, ref=dict(work["ref"], stage=1))))
        liar.send(report)
        liar.send({"t": "progress", "ref": ref_of(work), "fraction": 0.1, "step": "late"})
        liar.send(liar.failed(work))
        second = liar.wait_assigned(job, 1)
        liar.send(liar.finished(second, [liar.bring(b"the second file")]))
        views = self.check([job])
        self.assertEqual([s["attempts"] for s in views[job]["stages"]], [1, 1])

    def test_a_report_of_an_earlier_attempt_is_dropped(self):
        liar = self.fake("old")
        liar.wait_welcome()
        job = self.submit()
        old = liar.wait_assigned(job, 0)
        liar.send(liar.failed(old, "unknown", "first try"))
        new = wait_until(lambda: next((a for a in list(liar.assigned) if a["ref"]["attempt"] > old["ref"]["attempt"]), None), 30, "the second attempt")
        stale = liar.bring(b"of the first attempt")
        liar.send(liar.finished(old, [stale]))
        liar.wait_acknowledged(old, 2)
        self.assertEqual(self.stage(job, 0)["status"], "running", "the old attempt's result was taken")
        good = liar.bring(b"of the second attempt")
        liar.send(liar.finished(new, [good]))
        liar.work = liar.honest
        second = liar.wait_assigned(job, 1)
        self.assertEqual(second["inputs"][0]["sha256"], good["sha256"])
        liar.honest(second)
        self.check([job])

    def test_hello_again_and_again_on_one_line(self):
        liar = self.honest("hello")
        jobs = [self.submit(seed=n) for n in range(4)]
        for _ in range(10):
            liar.say_hello()
        self.check(jobs)
        self.assertTrue(any("a second time" in said for said in liar.refusals), liar.refusals)

    # -- claims

    def test_a_node_cannot_end_what_another_one_runs(self):
        """It says that it has finished, then that it has failed, the very attempt that a good node works on."""
        good = self.fake("good")
        good.wait_welcome()
        job = self.submit()
        work = good.wait_assigned(job, 0)
        liar = self.fake("liar")
        liar.wait_welcome()
        fake = liar.bring(b"not what was asked for")
        for report in (liar.finished(work, [fake]), liar.failed(work, "bad_input", "a lie"), liar.failed(work, "device", "a lie")):
            liar.send(report)
            liar.wait_acknowledged(work)
        liar.send({"t": "progress", "ref": ref_of(work), "fraction": 0.99, "step": "a lie"})
        liar.send({"t": "preview", "ref": ref_of(work), "jpeg": b"\xff\xd8 a lie \xff\xd9"})
        liar.send({"t": "heartbeat", "at": 0})
        time.sleep(0.3)  # that nothing comes of it cannot be waited for
        stage = self.stage(job, 0)
        self.assertEqual((stage["status"], stage["device"]), ("running", "good/cpu0"))
        self.assertNotIn("step", stage)
        good.honest(work)
        liar.close()
        good.work = good.honest
        for late in list(good.assigned)[1:]:
            good.honest(late)
        views = self.check([job])
        self.assertEqual(views[job]["stages"][0]["device"], "good/cpu0")
        told = [name for _, name, data in self.user.all_events(job) if name in ("progress", "preview")]
        self.assertEqual(told, [], "lies were told to the job's owner")

    def test_a_node_cannot_claim_what_another_one_runs(self):
        good = self.fake("good")
        good.wait_welcome()
        job = self.submit()
        work = good.wait_assigned(job, 0)
        liar = self.fake("liar", running=[(ref_of(work), "cpu0")])
        liar.wait_welcome()
        wait_until(lambda: ref_of(work) in liar.cancelled, 20, "the liar is told to stop")
        self.assertEqual(self.stage(job, 0)["device"], "good/cpu0")
        good.work = good.honest
        good.honest(work)
        liar.work = liar.honest
        for late in list(liar.assigned):
            liar.honest(late)
        views = self.check([job])
        self.assertEqual(views[job]["stages"][0]["attempts"], 1)

    def test_a_node_cannot_claim_after_a_restart_what_another_one_runs(self):
        """The head has just been started and waits for the node that had the stage: a liar comes first."""
        good = self.fake("good")
        good.wait_welcome()
        job = self.submit()
        work = good.wait_assigned(job, 0)
        wait_until(lambda: self.stage(job, 0)["status"] == "running", 20, "it is written")
        liar_token = self.token("liar")
        good.close()
        self.head.restart()
        liar = FakeNode(liar_token, running=[(ref_of(work), "cpu0")])
        self.addCleanup(liar.close)
        liar.wait_welcome()
        liar.send(liar.finished(work, [liar.bring(b"a lie")]))
        liar.wait_acknowledged(work)
        self.assertEqual(self.stage(job, 0)["status"], "running")
        back = FakeNode(good.token, running=[(ref_of(work), "cpu0")])
        self.addCleanup(back.close)
        back.wait_welcome()
        back.work, liar.work = back.honest, liar.honest
        for late in list(liar.assigned):
            liar.honest(late)
        back.honest(work)
        views = self.check([job])
        self.assertEqual((views[job]["stages"][0]["attempts"], views[job]["stages"][0]["device"]), (1, "good/cpu0"))

    def claim(self, attempt, stage=0):
        """A liar says in its hello that it runs, with this number, a stage that waits; it does nothing when told to stop. The
        stage runs on a good node all the same."""
        self.honest("good")
        self.set_state("good", "draining")
        job = self.submit()
        liar = self.fake("liar", devices=[OTHER_WORK], running=[({"job": job, "stage": stage, "attempt": attempt}, "cpu0")])
        liar.wait_welcome()
        wait_until(lambda: liar.cancelled, 20, "the liar is told to stop")
        self.set_state("good", "enabled")
        views = self.check([job])
        self.assertEqual(views[job]["stages"][0]["device"], "good/cpu0")

    def test_a_claim_to_a_stage_that_waits_does_not_keep_it_from_running(self):
        self.claim(1)

    def test_a_claim_with_a_number_of_this_head(self):
        self.claim(EPOCH + 7)

    def test_a_claim_with_a_number_of_a_head_to_come(self):
        self.claim(900 * EPOCH)

    def test_a_claim_with_the_highest_number_poisons_nothing(self):
        self.claim(HUGE)
        self.check([self.submit(seed=n) for n in range(2)])

    def test_a_claim_to_a_stage_that_is_not_ready_or_not_there(self):
        self.claim(EPOCH + 9, stage=1)
        self.check([self.submit(seed=3)])

    def test_a_claim_to_a_stage_of_no_job(self):
        liar = self.fake("liar", running=[({"job": "01nosuchjob", "stage": n, "attempt": n}, "cpu0") for n in range(50)])
        liar.wait_welcome()
        wait_until(lambda: len(liar.cancelled) == 50, 20, "it is told to stop")
        for n in range(50):
            liar.send(liar.failed({"ref": {"job": "01nosuchjob", "stage": n, "attempt": n}, "device": "cpu0"}, "cancelled", ""))
        liar.work = liar.honest
        self.check([self.submit()])

    def test_a_result_with_an_invented_number_is_not_taken(self):
        self.honest("good")
        self.set_state("good", "draining")
        job = self.submit()
        liar = self.fake("liar", devices=[OTHER_WORK])
        liar.wait_welcome()
        fake = liar.bring(b"nobody asked for this")
        for attempt in (EPOCH + 1, 2 * EPOCH - 1, 700 * EPOCH, HUGE):
            report = liar.finished({"ref": {"job": job, "stage": 0, "attempt": attempt}, "device": "cpu0"}, [fake])
            liar.send(report)
            liar.wait_acknowledged(report)
            liar.send(liar.failed({"ref": {"job": job, "stage": 0, "attempt": attempt}, "device": "cpu0"}, "bad_input", "a lie"))
        liar.send({"t": "heartbeat", "at": 0})
        self.assertEqual(self.stage(job, 0)["status"], "ready")
        self.set_state("good", "enabled")
        views = self.check([job])
        self.assertEqual((views[job]["stages"][0]["device"], views[job]["stages"][0]["attempts"]), ("good/cpu0", 1))

    def at_work(self):
        """A liar that was given the first stage of a job."""
        liar = self.fake("liar")
        liar.wait_welcome()
        job = self.submit()
        return liar, job, liar.wait_assigned(job, 0)

    # -- results

    def lie_of_a_file(self, output):
        """Reports `output(liar)` again and again: its owner is not charged for it, and another node makes it."""
        liar, job, work = self.at_work()
        good = self.fake("good")  # had it come later, the stage would have gone back to the only node there was
        good.wait_welcome()
        good.work = lambda a: None
        liar.work = lambda a: liar.send(liar.finished(a, [output(liar)]))
        liar.work(work)
        liar.wait_acknowledged(work)
        again = good.wait_assigned(job, 0)
        self.assertNotEqual(self.stage(job, 0)["status"], "succeeded")
        self.assertEqual(self.user.get("/api/credits")["held_micro_credits"], 5_000_000, "nothing was charged")
        good.work = good.honest
        good.honest(again)
        self.check([job])

    def test_done_without_the_file_is_not_done(self):
        self.lie_of_a_file(lambda liar: liar.output(b"never brought"))

    def test_a_file_of_another_length_is_not_the_file(self):
        self.lie_of_a_file(lambda liar: dict(liar.bring(b"twelve bytes"), bytes=7))

    def test_done_without_any_output_fails_the_attempt_and_not_the_books(self):
        liar, job, work = self.at_work()
        liar.work = liar.honest
        liar.send(liar.finished(work))
        liar.wait_acknowledged(work)
        self.check([job])

    def test_a_run_time_of_weeks_sets_nobody_back(self):
        """The account's turn in the queue is charged by time; a node's word on it is not believed beyond what passed."""
        liar = self.fake("slow")
        liar.wait_welcome()
        liar.work = lambda a: liar.send(liar.finished(a, [liar.bring(b"quick")], run_ms=4_000_000_000))
        job = self.submit()
        views = self.check([job])
        for stage in views[job]["stages"]:
            self.assertLess(stage["run_ms"], 60_000)

    # -- devices

    def test_a_result_from_a_device_that_is_gone_is_taken(self):
        """The device broke after its work was done: the hello lists it no more, and the result is told from before."""
        node = self.fake("broken", devices=["cuda0", OTHER_WORK])
        node.wait_welcome()
        job = self.submit()
        work = node.wait_assigned(job, 0)
        self.assertEqual(work["device"], "cuda0")
        node.unacknowledged = [node.finished(work, [node.bring(b"before it broke")])]
        node.devices = node.devices[1:]
        node.dial()
        node.wait_welcome()
        node.wait_acknowledged(work)
        self.honest("good")
        views = self.check([job])
        self.assertEqual(views[job]["stages"][0]["attempts"], 1)

    def test_what_runs_on_a_device_that_is_gone_runs_elsewhere(self):
        node = self.fake("broken", devices=["cuda0", OTHER_WORK])
        node.wait_welcome()
        job = self.submit()
        work = node.wait_assigned(job, 0)
        node.running = [(ref_of(work), "cuda0")]  # it still says so
        node.devices = node.devices[1:]
        node.dial()
        node.wait_welcome()
        self.honest("good")
        views = self.check([job])
        self.assertEqual(views[job]["stages"][0]["device"], "good/cpu0")

    def test_a_report_under_the_name_of_another_device_frees_the_right_slot(self):
        node = self.fake("mixed", devices=("cpu0", "cpu1"))
        node.wait_welcome()
        job = self.submit()
        other = {"cpu0": "cpu1", "cpu1": "cpu0"}
        node.work = lambda a: node.send(node.finished(a, [node.bring(b"mixed up")], device=other[a["device"]]))
        for early in list(node.assigned):
            node.work(early)
        self.check([job])

    def test_more_devices_than_a_machine_has_are_refused_with_a_word(self):
        liar = self.fake("many", devices=[f"gpu{n}" for n in range(2000)])
        wait_until(lambda: any("devices" in reason for reason in liar.refusals), 20, "the refusal says why")
        wait_until(lambda: "devices" in self.node("many").get("last_problem", ""), 20, "the operator is told")
        self.honest("good")
        self.check([self.submit()])

    def test_kinds_of_work_that_a_node_makes_up_take_no_place_of_real_ones(self):
        liar = self.fake("inventive", devices=[{"kinds": [f"made.up{n}" for n in range(10_000)]}])
        liar.wait_welcome()
        self.honest("good")
        self.check([self.submit()])

    def test_a_node_that_takes_work_and_does_nothing_is_noticed_when_it_falls_silent(self):
        liar = self.fake("lazy")
        liar.wait_welcome()
        job = self.submit()
        liar.wait_assigned(job, 0)
        liar.silent, liar.dials = True, False
        self.honest("good")
        views = self.check([job])
        self.assertEqual(views[job]["stages"][0]["device"], "good/cpu0")

    # -- numbers and frames

    def test_numbers_that_cannot_be_are_refused_with_a_clear_word(self):
        liar = self.fake("numbers")
        liar.wait_welcome()
        job = self.submit()
        work = liar.wait_assigned(job, 0)
        good = liar.finished(work)
        broken = [dict(good, run_ms=-1), dict(good, run_ms=1 << 40), dict(good, ref=dict(good["ref"], attempt=-1)), dict(good, ref=dict(good["ref"], attempt=1 << 63)),
                  dict(good, ref=dict(good["ref"], stage=1 << 32)), dict(good, ref=dict(good["ref"], stage=1.5)), dict(good, outputs=[dict(liar.output(b""), bytes=-5)]),
                  {"t": "progress", "ref": good["ref"], "fraction": float("nan"), "step": ""}, {"t": "progress", "ref": good["ref"], "fraction": -1e300, "step": ""},
                  {"t": "heartbeat", "at": -1}, {"t": "heartbeat", "at": 1 << 60}, {"t": "fetch", "sha256": "a" * 64, "offset": -1, "credit": 1},
                  {"t": "fetch", "sha256": "a" * 64, "offset": 0, "credit": 10_000}, dict(liar.hello(), version=-3)]
        for number, frame in enumerate(broken):
            liar.running = [(ref_of(work), "cpu0")]
            liar.wait_welcome()
            liar.send(frame)
            wait_until(lambda: len(liar.refusals) > number, 20, f"{frame} is refused")
            self.assertRegex(liar.refusals[number], r'the field "(run_ms|attempt|stage|bytes|fraction|at|offset|credit|version)" of a frame', f"{frame}")
        liar.wait_welcome()
        liar.running = []
        liar.honest(work)
        liar.work = liar.honest
        for late in list(liar.assigned)[1:]:
            liar.honest(late)
        self.check([job])

    def test_a_clock_that_is_a_day_off_changes_nothing(self):
        day = 86_400_000
        early, late = self.honest("early"), self.honest("late")
        early.heartbeat_at = lambda: int(time.time() * 1000) - day
        late.heartbeat_at = lambda: int(time.time() * 1000) + day
        jobs = [self.submit(seed=n) for n in range(6)]
        views = self.check(jobs)
        time.sleep(2)  # longer than the time-out: a clock that counted would have lost one by now
        self.assertEqual([self.node(name)["status"] for name in ("early", "late")], ["connected", "connected"])
        for view in views.values():
            for stage in view["stages"]:
                self.assertEqual(stage["attempts"], 1)
                self.assertLess(stage["run_ms"], 60_000)
        early.heartbeat_at = late.heartbeat_at = lambda: 0
        self.check(jobs + [self.submit(seed=9)])


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Nodes that were lost and come back. Until somebody has begun a stage anew, what they finished of it counts and what they still run
goes on; from then on both are dropped."""
import pathlib
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import Machines, ref_of  # noqa: E402
from studio import wait_until  # noqa: E402


class Return(Machines):
    def lose(self, node):
        """It falls silent until come_back()."""
        node.silent, node.dials = True, False
        self.wait_for(node.token["name"], "lost")

    def come_back(self, node, running=(), finished=(), failed=()):
        node.running, node.unacknowledged, node.failures = [(ref_of(work), work["device"]) for work in running], list(finished), list(failed)
        node.silent, node.dials = False, True
        node.dial()
        node.wait_welcome()

    def at_work(self, name="far"):
        """A node that works on the first stage of a job, and does nothing by itself."""
        node = self.fake(name)
        node.wait_welcome()
        job = self.submit()
        return node, job, node.wait_assigned(job, 0)

    def finish(self, node, job, stage):
        node.honest(node.wait_assigned(job, stage))

    def attempts(self, job):
        return [stage["attempts"] for stage in self.user.job(job)["stages"]]

    def test_what_a_lost_node_finished_counts(self):
        far, job, work = self.at_work()
        done = far.finished(work, [far.bring(b"made in time")])
        self.lose(far)
        self.assertEqual(self.stage(job, 0)["status"], "ready", "anybody who is free may have it")
        self.come_back(far, finished=[done])
        far.wait_acknowledged(work)
        self.finish(far, job, 1)
        self.check([job])
        self.assertEqual(self.attempts(job), [1, 1])
        self.assertEqual([a["ref"]["stage"] for a in far.assigned], [0, 1], "nothing was given out twice")

    def test_what_a_lost_node_still_runs_goes_on(self):
        far, job, work = self.at_work()
        self.lose(far)
        self.come_back(far, running=[work])
        wait_until(lambda: self.stage(job, 0)["status"] == "running", 20, "it is taken back")
        far.send({"t": "progress", "ref": ref_of(work), "fraction": 0.5, "step": "still at it"})
        wait_until(lambda: self.stage(job, 0).get("step") == "still at it", 20, "it is heard as before")
        far.honest(work)
        self.finish(far, job, 1)
        self.check([job])
        self.assertEqual(self.attempts(job), [1, 1])
        self.assertEqual(far.cancelled, [])

    def test_the_head_was_started_again_meanwhile(self):
        far, job, work = self.at_work()
        self.lose(far)
        self.head.kill9()
        self.head.start()
        self.admin = self.head.admin()
        self.come_back(far, running=[work])
        wait_until(lambda: self.stage(job, 0)["status"] == "running", 20, "it is taken back")
        far.honest(work)
        self.finish(far, job, 1)
        self.check([job])
        self.assertEqual(self.attempts(job), [1, 1])

    def test_that_it_failed_meanwhile_is_nothing_new(self):
        far, job, work = self.at_work()
        self.lose(far)
        self.come_back(far, failed=[far.failed(work, "bad_input", "would have ended the job")])
        far.wait_acknowledged(work)
        again = wait_until(lambda: next((a for a in list(far.assigned) if ref_of(a) != ref_of(work)), None), 20, "it runs again")
        far.honest(again)
        self.finish(far, job, 1)
        self.check([job])
        self.assertEqual(self.attempts(job), [2, 1])

    def test_once_another_has_begun_it_both_are_dropped(self):
        far, job, work = self.at_work()
        late = far.finished(work, [far.bring(b"made too late")])
        self.lose(far)
        near = self.fake("near")
        again = near.wait_assigned(job, 0)
        self.come_back(far, running=[work])
        wait_until(lambda: ref_of(work) in far.cancelled, 20, "it is told to stop")
        far.send(late)
        far.wait_acknowledged(work)
        self.assertEqual((self.stage(job, 0)["status"], self.stage(job, 0)["device"]), ("running", "near/cpu0"))
        far.work, near.work = far.honest, near.honest
        near.honest(again)
        self.check([job])
        self.assertEqual(self.attempts(job), [2, 1])

    def test_nobody_wants_it_any_more(self):
        far, job, work = self.at_work()
        self.lose(far)
        self.user.post(f"/api/jobs/{job}/cancel")
        self.come_back(far, running=[work])
        wait_until(lambda: ref_of(work) in far.cancelled, 20, "it is told to stop")
        far.send(far.failed(work, "cancelled"))
        self.check([job], status="cancelled")

    def test_a_node_that_stood_still_goes_on_where_it_was(self):
        """For longer than the head waits, and less than its lease: with the engine and all."""
        far = self.real("far")
        self.head.wait_for_engines()
        job = self.submit(ms=4000)
        wait_until(lambda: self.stage(job, 0).get("progress"), 20, "the node says that it runs")
        far.send_signal(signal.SIGSTOP)
        self.wait_for("far", "lost")
        far.send_signal(signal.SIGCONT)
        self.check([job])
        self.assertEqual(self.attempts(job), [1, 1])


if __name__ == "__main__":
    unittest.main(verbosity=2)

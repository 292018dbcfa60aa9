"""A real node whose head repeats frames, says them in another order than it should, or speaks another version: each attempt runs
once and is told of, files arrive whole, and what the node does not know is in its log."""
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from fake_head import CHUNK, FakeHead  # noqa: E402


class HeadFrames(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="troupe-head-frames-")
        self.addCleanup(shutil.rmtree, folder, True)
        self.head = FakeHead(folder)
        self.addCleanup(self.head.close)

    def join(self):
        self.head.start_node()
        self.head.hear_until(lambda: self.head.of("hello"), "the node says hello")

    def ran(self):
        """How many stages have begun: none says so by itself, but each tells how far it is."""
        return {(m["ref"]["stage"], m["ref"]["attempt"]) for m in self.head.of("progress")}

    def works(self, stage=99):
        """The node takes an order; what it was told before has been seen to by then."""
        self.head.send(self.head.assign(stage))
        self.head.hear_end(stage)

    # -- repeated

    def test_an_order_that_comes_again_while_it_runs_runs_once(self):
        self.join()
        order = self.head.assign(0, ms=1000, made=1000)
        self.head.send(order, order)
        self.head.hear_until(lambda: self.ran(), "it runs")
        self.head.send(order, order)
        self.head.hear_end(0)
        self.works()
        self.assertEqual(len(self.head.of("finished", 0)), 1)

    def test_an_order_that_comes_again_after_its_end_is_answered_with_that_end(self):
        self.join()
        self.head.answers["finished"] = lambda _: None  # its acknowledgement is on its way
        self.head.send(self.head.assign(0, ms=300, made=1000))
        first = self.head.hear_end(0)
        told = len(self.head.of("progress"))
        self.head.send(*[self.head.assign(0, ms=300, made=1000)] * 3)
        self.head.hear_until(lambda: len(self.head.of("finished", 0)) == 4, "it is told again")
        self.assertTrue(all(again == first for again in self.head.of("finished", 0)))
        self.assertEqual(len(self.head.of("progress")), told, "it ran again")
        self.head.send(*[{"t": "acknowledge", "ref": first["ref"]}] * 3)
        self.works()

    def test_a_cancel_that_comes_three_times_ends_the_attempt_once(self):
        self.join()
        order = self.head.assign(0, ms=20_000)
        self.head.send(order)
        self.head.hear_until(lambda: self.ran(), "it runs")
        self.head.answers["failed"] = lambda _: None
        self.head.send(*[{"t": "cancel", "ref": order["ref"]}] * 3)
        self.assertEqual(self.head.hear_end(0, "failed")["fault"], "cancelled")
        self.works()
        self.assertEqual(len(self.head.of("failed", 0)), 1)

    def test_a_welcome_that_comes_again_is_no_new_line(self):
        self.join()
        self.head.send(self.head.assign(0, ms=1000), self.head.welcome, self.head.welcome)
        self.head.hear_end(0)
        self.assertEqual(len(self.head.of("hello")), 1)

    # -- in another order

    def test_an_older_attempt_that_comes_after_a_newer_one_does_not_run(self):
        self.join()
        self.head.send(self.head.assign(0, attempt=7, ms=500), self.head.assign(0, attempt=6, ms=500))
        self.head.hear_end(0, attempt=7)
        self.works()
        self.assertEqual(self.head.of("finished", 0, 6), [])
        self.assertNotIn((0, 6), self.ran())

    def test_a_newer_attempt_breaks_the_older_one_off(self):
        self.join()
        self.head.send(self.head.assign(0, attempt=6, ms=20_000))
        self.head.hear_until(lambda: self.ran(), "it runs")
        self.head.send(self.head.assign(0, attempt=7, ms=0))
        self.head.hear_end(0, attempt=7)
        self.assertEqual(self.head.hear_end(0, "failed", 6)["fault"], "cancelled")

    def test_a_cancel_before_its_order_is_answered_and_the_order_too(self):
        self.join()
        order = self.head.assign(0, ms=100)
        self.head.send({"t": "cancel", "ref": order["ref"]}, order)
        self.assertEqual(self.head.hear_end(0, "failed")["fault"], "cancelled")
        self.head.hear_end(0)  # the head has fenced it: the node need not know

    def test_an_acknowledgement_before_the_end_forgets_nothing(self):
        self.join()
        self.head.answers["finished"] = lambda _: None
        order = self.head.assign(0, ms=500)
        self.head.send({"t": "acknowledge", "ref": order["ref"]}, order, {"t": "acknowledge", "ref": order["ref"]})
        end = self.head.hear_end(0)
        self.head.send({"t": "refused", "reason": "the head is a new process"})
        again = self.head.hear_until(lambda: self.head.of("hello")[1:], "the node dials anew")[-1]
        self.assertEqual([r["ref"] for r in again["unacknowledged"]], [end["ref"]])

    def test_a_piece_of_a_file_that_comes_too_early_or_twice_is_passed_over(self):
        """Stage 0 gets a file of three pieces; it would fail with corrupt_input where the wrong bytes were taken."""
        content = b"".join(bytes([n]) * CHUNK for n in range(3))[:-7]

        def scramble(message):
            first, *others = self.head.chunks(message)
            self.head.send(*reversed(others), first, first, *others, *others)
        self.head.answers["fetch"] = scramble
        self.join()
        self.head.send(self.head.assign(0, inputs=[self.head.artifact(content)]))
        self.head.hear_end(0)
        cached = [f for f in (self.head.folder / "node" / "cache").rglob("*") if f.is_file() and f.read_bytes() == content]
        self.assertEqual(len(cached), 1)
        self.assertEqual(len(self.head.of("fetch")), 1)

    def test_answers_to_an_upload_that_come_twice_bring_one_file(self):
        for kind in ("put", "put_chunk"):
            once = self.head.answers[kind]
            self.head.answers[kind] = lambda message, once=once: (once(message), once(message))
        self.join()
        self.head.send(self.head.assign(0, made=3 * CHUNK))
        end = self.head.hear_end(0)
        self.assertEqual([len(self.head.files[o["sha256"]]) for o in end["outputs"]], [3 * CHUNK])

    # -- of another version

    def test_a_message_that_the_node_does_not_know_is_in_its_log_and_it_works_on(self):
        self.join()
        self.head.send(self.head.assign(0, ms=500), {"t": "telemetry", "often": True})
        self.head.hear_end(0)
        self.assertIn('the head said something that this node does not know: a frame of the unknown type "telemetry"', self.head.log_text())
        self.assertEqual(len(self.head.of("hello")), 1, "the line stands")

    def test_a_field_that_the_node_does_not_know_is_in_its_log_once(self):
        self.join()
        for stage in range(3):
            self.head.send(dict(self.head.assign(stage), colour="green"))
        for stage in range(3):
            self.head.hear_end(stage)
        self.assertEqual(self.head.log_text().count('the head says the field "colour", which this node does not know; it is ignored'), 1)

    def test_a_head_that_wants_a_version_that_the_node_does_not_speak_is_told_of_and_asked_again(self):
        self.head.welcome["version"] = 2
        self.join()
        self.head.hear_until(lambda: "the head wants version 2 of the node protocol, this node speaks version 1" in self.head.log_text(), "the log says so")
        self.head.welcome["version"] = 1
        self.head.hear_until(lambda: len(self.head.of("hello")) > 1, "it asks again", 30)
        self.works()

    def test_the_reason_of_a_refusal_is_in_the_nodes_log(self):
        reason = "this head speaks versions 2 to 3 of the node protocol, the node version 1; bring both to the same release"
        self.head.answers["hello"] = lambda _: self.head.send({"t": "refused", "reason": reason})
        self.join()
        self.head.hear_until(lambda: reason in self.head.log_text(), "the log says so")
        self.head.hear_until(lambda: len(self.head.of("hello")) > 2, "it asks again and again")
        self.assertEqual(self.head.log_text().count(reason), 1, "and says so once")


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""A node that asks for more than it reads, and one that says more than the head can hear: the head's memory stays bounded, its API
answers, and other nodes work meanwhile."""
import pathlib
import sys
import threading
import time
import unittest

import msgpack
import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import CHUNK, FakeNode, Machines, ref_of  # noqa: E402
from studio import PATIENCE, wait_until  # noqa: E402

MIB = 1 << 20


class Flood(Machines):
    def memory(self, what):
        """VmRSS (now) or VmHWM (the most since `forget_peak`) of the head, in bytes."""
        status = pathlib.Path(f"/proc/{self.head.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(what)) * 1024

    def forget_peak(self):
        pathlib.Path(f"/proc/{self.head.process.pid}/clear_refs").write_text("5")
        self.before = self.memory("VmRSS")

    def growth_when_settled(self):
        """How much the head has grown at most, when it has grown no more for a while."""
        seen, since = self.memory("VmHWM"), time.monotonic()

        def settled():
            nonlocal seen, since
            now = self.memory("VmHWM")
            if now > seen + MIB:
                seen, since = now, time.monotonic()
            return time.monotonic() - since > 1.5
        wait_until(settled, 60, "the head grows no more")
        return self.memory("VmHWM") - self.before

    def flood(self, message_of, seconds=5):
        """A node with work says `message_of(node, work)` as fast as it can; what is asked of the head meanwhile is answered.
        Returns the node and its job."""
        self.honest("good", devices=[{"kinds": ["upscale.video"]}])
        liar = self.fake("loud")
        liar.wait_welcome()
        job = self.submit()
        work = liar.wait_assigned(job, 0)
        liar.running = [(ref_of(work), "cpu0")]
        frame, over, sent = msgpack.packb(message_of(liar, work)), threading.Event(), 0

        def shout():
            nonlocal sent
            while not over.is_set():
                with liar.lock:
                    try:
                        for _ in range(5000):
                            liar.socket.send(frame, zmq.DONTWAIT)
                            sent += 1
                    except zmq.Again:
                        pass
                time.sleep(0.0005)
        self.forget_peak()
        thread = threading.Thread(target=shout)
        thread.start()
        slowest, end = 0.0, time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            self.assertEqual(self.node("good")["status"], "connected")
            self.user.job(job)
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.05)
        over.set()
        thread.join()
        grown = self.growth_when_settled()
        print(f"\n{sent} messages, {sent * len(frame) / MIB:.0f} MiB: the head has grown by {grown / MIB:.0f} MiB; the API took {1000 * slowest:.0f} ms at most", flush=True)
        self.assertLess(grown, 160 * MIB)
        self.assertLess(slowest, 2 * PATIENCE)
        return liar, job, work

    def works_again(self, liar, job, work):
        liar.dial()
        liar.wait_welcome()
        liar.work = liar.honest
        for late in list(liar.assigned):
            liar.honest(late)
        self.check([job], 120)

    def test_results_that_come_faster_than_they_are_written(self):
        self.works_again(*self.flood(lambda liar, work: dict(liar.finished(work), ref=dict(ref_of(work), attempt=(1 << 53) - 1))))

    def test_results_that_take_long_to_read(self):
        self.works_again(*self.flood(lambda liar, work: liar.finished(work, [liar.output(b"never brought")] * 8000)))

    def test_lines_that_break_while_what_they_brought_waits(self):
        """Where libzmq 4.3.4 sends heartbeats by itself, it ends its process for one of them (its issue 4364)."""
        liar = self.fake("loud")
        liar.wait_welcome()
        work = liar.wait_assigned(self.submit(), 0)
        frame = msgpack.packb(liar.finished(work, [liar.output(b"never brought")] * 8000))
        for _ in range(24):
            with liar.lock:
                for _ in range(300):
                    liar.socket.send(frame)
            heard = len(liar.heard)
            wait_until(lambda heard=heard: len(liar.heard) > heard, 20, "the head reads")
            liar.dial()
            liar.wait_welcome()
            self.assertIsNone(self.head.process.poll(), "the head has died")

    def test_previews_that_come_faster_than_they_are_told(self):
        liar, *job = self.flood(lambda liar, work: {"t": "preview", "ref": ref_of(work), "jpeg": b"x" * (256 << 10)})
        self.assertEqual(liar.refusals, [], "what may be lost is no reason to cut a node off")
        self.works_again(liar, *job)

    def test_a_node_that_asks_for_files_and_does_not_read_takes_little_of_the_heads_memory(self):
        self.honest("good")
        deaf = self.fake("deaf", devices=[{"kinds": ["upscale.video"]}])
        deaf.wait_welcome()
        file = deaf.bring(b"x" * (16 * CHUNK))
        lines = []
        self.forget_peak()
        for connection in range(3):  # each takes the place of the one before, which goes on holding what it was sent
            line = FakeNode(deaf.token, devices=[{"kinds": ["upscale.video"]}]) if connection else deaf
            if connection:
                self.addCleanup(line.close)
            line.unread_max, line.dials = 1, False
            line.dial()
            line.wait_welcome()
            line.reads = False
            lines.append(line)
            for _ in range(200):
                line.send({"t": "fetch", "sha256": file["sha256"], "offset": 0, "credit": 64})
            self.check([self.submit(bytes=4 * MIB)])
            grown = self.growth_when_settled()
            print(f"\n{connection + 1} connections that read nothing: the head has grown by {grown / MIB:.0f} MiB", flush=True)
            self.assertLess(grown, 96 * MIB)
        for line in lines:  # as those of a machine that is gone
            line.silent = True
        line = FakeNode(deaf.token, devices=[{"kinds": ["upscale.video"]}])
        self.addCleanup(line.close)
        line.wait_welcome()
        line.send({"t": "fetch", "sha256": file["sha256"], "offset": 0, "credit": 16})
        began = time.monotonic()
        wait_until(lambda: sum(m["t"] == "chunk" for m in list(line.heard)) == 16, 30, "what the others hold is given back when they are cut")
        print(f"a connection that reads had its file after {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""A node that asks for more than it reads, and one that says more than the head can hear: the head's memory stays bounded, its API
answers, and other nodes work meanwhile."""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import CHUNK, FakeNode, Machines  # noqa: E402
from studio import wait_until  # noqa: E402

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

    def test_a_node_that_asks_for_files_and_does_not_read_takes_little_of_the_heads_memory(self):
        self.honest("good")
        deaf = self.fake("deaf", devices=[{"kinds": ["upscale.video"]}])
        deaf.wait_welcome()
        file = deaf.bring(b"x" * (16 * CHUNK))
        self.forget_peak()
        for connection in range(3):  # each takes the place of the one before, which goes on holding what it was sent
            line = FakeNode(deaf.token, devices=[{"kinds": ["upscale.video"]}]) if connection else deaf
            if connection:
                self.addCleanup(line.close)
            line.unread_max, line.dials = 1, False
            line.dial()
            line.wait_welcome()
            line.reads = False
            for _ in range(200):
                line.send({"t": "fetch", "sha256": file["sha256"], "offset": 0, "credit": 64})
            self.check([self.submit(bytes=4 * MIB)])
            grown = self.growth_when_settled()
            print(f"\n{connection + 1} connections that read nothing: the head has grown by {grown / MIB:.0f} MiB", flush=True)
            self.assertLess(grown, 96 * MIB)
        line = FakeNode(deaf.token, devices=[{"kinds": ["upscale.video"]}])
        self.addCleanup(line.close)
        line.wait_welcome()
        line.send({"t": "fetch", "sha256": file["sha256"], "offset": 0, "credit": 16})
        began = time.monotonic()
        wait_until(lambda: sum(m["t"] == "chunk" for m in list(line.heard)) == 16, 30, "what the others hold is given back when they are cut")
        print(f"a connection that reads had its file after {time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)

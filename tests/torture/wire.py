"""A network of two namespaces — ours, in which the head and the test live, and one for a node — and the wire between them, which
can be cut, lose, delay, or let through one way only. Needs root.

Where the kernel has netem the wire is a veth pair with `tc qdisc … netem`; where it has not, two tap devices and a thread that
carries their Ethernet frames."""
import collections
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import threading
import time

OURS, THEIRS = "10.77.0.1", "10.77.0.2"


def ip(*words, pid=None, check=True):
    command = (["nsenter", "-t", str(pid), "-n"] if pid else []) + list(words)
    return subprocess.run(command, check=check, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def enter_own_namespace():
    """Starts this program again in a network namespace of its own. Ends with 77, and why, where that cannot be."""
    if os.environ.get("TROUPE_OWN_NETWORK") == "1":
        ip("ip", "link", "set", "lo", "up")
        return
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "ip", "link"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print("network: skipped: it needs root, iproute2 and the right to make network namespaces")
        sys.exit(77)
    os.environ["TROUPE_OWN_NETWORK"] = "1"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


def has_netem():
    there = ip("tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms", check=False).returncode == 0
    if there:
        ip("tc", "qdisc", "del", "dev", "lo", "root")
    return there


class Shape:
    """Of one direction: the share of frames that is lost, and how long the others take."""

    def __init__(self, loss=0.0, delay_ms=0):
        self.loss = loss
        self.delay_ms = delay_ms


HEALTHY, CUT = Shape(), Shape(loss=1.0)


class Namespace:
    """A network namespace that lives as long as a process that does nothing."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        ours = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{self.process.pid}/ns/net") == ours:
            time.sleep(0.01)
        self.pid = self.process.pid
        ip("ip", "link", "set", "lo", "up", pid=self.pid)

    def command(self, words):
        return ["nsenter", "-t", str(self.pid), "-n", *words]

    def close(self):
        self.process.kill()
        self.process.wait()


class Netem:
    """A veth pair that the kernel's netem mistreats: what one end sends is shaped there."""

    def __init__(self, far):
        self.far = far
        ip("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
        ip("ip", "link", "set", "wire1", "netns", str(far.pid))
        address(far)

    def shape(self, to_node, to_head):
        for device, pid, shape in (("wire0", None, to_node), ("wire1", self.far.pid, to_head)):
            ip("tc", "qdisc", "replace", "dev", device, "root", "netem", "limit", "10000", "delay", f"{shape.delay_ms}ms", "loss", f"{shape.loss * 100}%", pid=pid)

    def close(self):
        ip("ip", "link", "del", "wire0", check=False)


class Taps:
    """Two tap devices, one in each namespace. A thread carries frames from one to the other, or does not."""

    def __init__(self, far, seed):
        self.chance = random.Random(seed)
        self.ends = [self.tap("wire0"), self.tap("wire1")]
        ip("ip", "link", "set", "wire1", "netns", str(far.pid))
        address(far)
        self.shapes = {self.ends[0]: HEALTHY, self.ends[1]: HEALTHY}
        self.counts = collections.Counter()
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    @staticmethod
    def tap(name):
        tun_set_iff, tap_without_header = 0x400454CA, 0x1002
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(end, tun_set_iff, struct.pack("16sH22x", name.encode(), tap_without_header))
        return end

    def shape(self, to_node, to_head):
        self.shapes = {self.ends[0]: to_node, self.ends[1]: to_head}

    def carry(self):
        waiting = []  # (when, number, where, frame)
        number = 0
        while not self.stop.is_set():
            patience = min(0.1, max(0.0, waiting[0][0] - time.monotonic())) if waiting else 0.1
            for end in select.select(self.ends, [], [], patience)[0]:
                try:
                    frame = os.read(end, 65536)
                except OSError:
                    continue
                shape = self.shapes[end]
                if self.chance.random() < shape.loss:
                    self.counts["lost"] += 1
                    continue
                number += 1
                where = self.ends[1] if end == self.ends[0] else self.ends[0]
                heapq.heappush(waiting, (time.monotonic() + shape.delay_ms / 1000, number, where, frame))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, where, frame = heapq.heappop(waiting)
                try:
                    os.write(where, frame)
                    self.counts["carried"] += 1
                except OSError:
                    self.counts["lost"] += 1

    def close(self):
        self.stop.set()
        self.thread.join()
        for end in self.ends:
            os.close(end)


def address(far):
    for device, where, pid in (("wire0", OURS, None), ("wire1", THEIRS, far.pid)):
        ip("ip", "address", "add", f"{where}/24", "dev", device, pid=pid)
        ip("ip", "link", "set", device, "up", pid=pid)


def lay(far, seed):
    """The wire to that namespace."""
    if has_netem():
        print("the wire is a veth pair with netem", flush=True)
        return Netem(far)
    print("this kernel has no netem (CONFIG_NET_SCH_NETEM): the wire is two tap devices and a thread of this test", flush=True)
    return Taps(far, seed)

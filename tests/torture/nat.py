"""A router between our network namespace, in which the head and the test live, and a node's: it masquerades what comes from the
node's side under an address of its own, and lets nothing in that nobody asked for. Needs root and /dev/net/tun; no firewall of the
kernel's is used, as not each kernel has one."""
import fcntl
import os
import select
import struct
import threading

import wire

HEAD, OUTSIDE, INSIDE = "10.77.0.1", "10.77.0.2", "10.88.0.2"
TCP = 6


def packed(address):
    return bytes(int(part) for part in address.split("."))


def checksum(data):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[:len(data) // 2 * 2])) + (data[-1] << 8 if len(data) % 2 else 0)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Packet:
    """One IPv4 packet with TCP in it; `None` of anything else."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.tcp = (data[0] & 15) * 4

    @classmethod
    def of(cls, data):
        return cls(data) if len(data) >= 40 and data[0] >> 4 == 4 and data[9] == TCP else None

    def end(self, which):
        """Address and port of its source (0) or destination (1)."""
        return bytes(self.data[12 + 4 * which:16 + 4 * which]), struct.unpack_from("!H", self.data, self.tcp + 2 * which)[0]

    def set_end(self, which, address, port):
        self.data[12 + 4 * which:16 + 4 * which] = address
        struct.pack_into("!H", self.data, self.tcp + 2 * which, port)
        struct.pack_into("!H", self.data, 10, 0)
        struct.pack_into("!H", self.data, 10, checksum(bytes(self.data[:self.tcp])))
        struct.pack_into("!H", self.data, self.tcp + 16, 0)
        segment = bytes(self.data[self.tcp:])
        struct.pack_into("!H", self.data, self.tcp + 16, checksum(bytes(self.data[12:20]) + struct.pack("!BBH", 0, TCP, len(segment)) + segment))
        return self


class Router:
    def __init__(self, far):
        self.ours, self.theirs = self.tun("out0"), self.tun("in0")
        wire.ip("ip", "link", "set", "in0", "netns", str(far.pid))
        for device, address, pid in (("out0", HEAD, None), ("in0", INSIDE, far.pid)):
            wire.ip("ip", "address", "add", f"{address}/24", "dev", device, pid=pid)
            wire.ip("ip", "link", "set", device, "up", pid=pid)
        wire.ip("ip", "route", "add", "default", "dev", "in0", pid=far.pid)
        self.address, self.next_port = packed(OUTSIDE), 40_000
        self.lock = threading.Lock()  # of the tables and the address
        self.outer, self.inner = {}, {}  # (inside, its peer) → port outside; (address and port outside, peer) → inside
        self.carried = self.turned_away = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self.route, daemon=True)
        self.thread.start()

    @staticmethod
    def tun(name):
        tun_set_iff, tun_without_header = 0x400454CA, 0x1001
        end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(end, tun_set_iff, struct.pack("16sH22x", name.encode(), tun_without_header))
        return end

    def forget(self, address=OUTSIDE):
        """As a router that was started again: it knows no connection, and has this address."""
        with self.lock:
            self.outer, self.inner, self.address = {}, {}, packed(address)

    def go_out(self, packet):
        key = packet.end(0), packet.end(1)
        if key not in self.outer:
            self.next_port += 1
            self.outer[key] = self.next_port
            self.inner[(self.address, self.next_port), packet.end(1)] = packet.end(0)
        return packet.set_end(0, self.address, self.outer[key])

    def come_in(self, packet):
        inside = self.inner.get((packet.end(1), packet.end(0)))
        if inside is None:
            self.turned_away += 1
            return None
        return packet.set_end(1, *inside)

    def route(self):
        while not self.stop.is_set():
            for end in select.select([self.ours, self.theirs], [], [], 0.1)[0]:
                try:
                    self.carry(end)
                except OSError:  # a device takes nothing at the moment: the packet is lost, as packets are
                    continue

    def carry(self, end):
        packet = Packet.of(os.read(end, 65536))
        if packet is not None:
            with self.lock:
                packet = self.go_out(packet) if end == self.theirs else self.come_in(packet)
        if packet is not None:
            os.write(self.ours if end == self.theirs else self.theirs, bytes(packet.data))
            self.carried += 1

    def close(self):
        self.stop.set()
        self.thread.join()
        os.close(self.ours)
        os.close(self.theirs)

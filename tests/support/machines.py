"""Nodes for tests of the cluster: real ones, with a line that can be put at fault, and one that says over the real protocol
whatever a test wants it to say (docs/node-protocol.md)."""
import hashlib
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import uuid

import msgpack
import zmq

from studio import BINARY, PATIENCE, Head, assert_money_is_right, clean_environment, wait_until

CHUNK = 512 << 10
KIND = "null.work"
# Two stages, each with a file: the second works on the first one's.
CHAIN = {
    "name": "fault-chain", "version": 1, "title": "Two files", "description": "A file, and another one made after it.",
    "inputs": {"ms": {"type": "integer", "default": 0, "min": 0, "max": 60000}, "seed": {"type": "integer", "default": 1, "min": 0, "max": 1000000},
               "bytes": {"type": "integer", "default": 70000, "min": 1, "max": 16777216}},
    "stages": [
        {"id": "first", "kind": KIND, "params": {"ms": "$inputs.ms", "bytes": "$inputs.bytes", "seed": "$inputs.seed"}, "price": {"rule": "flat", "credits": 2}},
        {"id": "second", "kind": KIND, "inputs": {"after": "first.data"}, "params": {"ms": "$inputs.ms", "bytes": 1000, "seed": "$inputs.seed"},
         "price": {"rule": "flat", "credits": 3}}],
    "result": {"data": {"from": "second.data", "filename": "chain_{job}.bin"}},
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class LinkProxy:
    """A TCP line to the head that can be cut, held in one direction, slowed. What is held comes late, when it is let go; a
    line that is cut is refused until it is healed."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.is_cut, self.closed = False, False
        self.held = {"up": False, "down": False}  # up: from the node to the head
        self.delay_s, self.bytes_a_second = 0.0, 0
        self.passed = {"up": 0, "down": 0}  # bytes so far
        self.lines = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        self.is_cut = True
        for line in self.lines:
            self._close(line)
        self.lines = []

    def heal(self):
        self.is_cut = False
        self.held = {"up": False, "down": False}
        self.delay_s, self.bytes_a_second = 0.0, 0

    def hold(self, *directions):
        for direction in directions:
            self.held[direction] = True

    def close(self):
        self.closed = True
        self.listener.close()
        self.cut()

    @staticmethod
    def _close(line):
        for end in line:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            end.close()

    def _accept(self):
        while not self.closed:
            try:
                near, _ = self.listener.accept()
            except OSError:
                continue
            try:
                far = None if self.is_cut else socket.create_connection(("127.0.0.1", self.target), timeout=10)
            except OSError:  # the head is not there
                far = None
            if far is None:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = (near, far)
            self.lines.append(line)
            for source, sink, direction in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._pump, args=(line, source, sink, direction), daemon=True).start()

    def _pump(self, line, source, sink, direction):
        try:
            while data := source.recv(65536 if not self.bytes_a_second else max(256, self.bytes_a_second // 20)):
                if self.delay_s:
                    time.sleep(self.delay_s)
                while self.held[direction] and not self.closed and not self.is_cut:
                    time.sleep(0.005)
                sink.sendall(data)
                self.passed[direction] += len(data)
                if self.bytes_a_second:
                    time.sleep(len(data) / self.bytes_a_second)
        except OSError:
            pass
        self._close(line)


def ref_of(message):
    return {name: message["ref"][name] for name in ("job", "stage", "attempt")}


class FakeNode:
    """Speaks the protocol from a thread of its own. By itself it says hello and sends heartbeats; what is assigned is kept in
    `assigned`. `work` says what is done with an assignment, as a good node would where it is "honest"; without it, nothing,
    also not later of what was assigned before it was set. `devices` are names, or fields that differ
    from those of a small CPU; `running` is what the first hello claims, `hello` what else it says."""

    def __init__(self, token, devices=("cpu0",), work=None, running=(), **hello):
        self.token, self.work = token, self.honest if work == "honest" else work
        self.session = uuid.uuid4().hex
        small = {"name": "cpu0", "type": "cpu", "model": "fake", "slots": 2, "vram_mib": 0, "kinds": [KIND]}
        self.devices = [dict(small, **({"name": one} if isinstance(one, str) else one)) for one in devices]
        self.hello_fields = hello
        self.heartbeat_at = lambda: int(time.time() * 1000)
        self.heard, self.assigned, self.acknowledged, self.cancelled, self.refusals = [], [], [], [], []
        self.welcomed, self.silent, self.dials, self.reads = None, False, True, True
        self.unread_max = 1000  # messages that its socket takes in for it, of the next dial on
        self.lock = threading.RLock()
        self.context, self.socket, self.stopping = zmq.Context(), None, False
        self.files = {}
        self.running = list(running)  # [(ref, device)]
        self.unacknowledged, self.failures = [], []
        self.dial()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def close(self):
        self.stopping = True
        self.thread.join(10)
        with self.lock:
            self.socket.close(linger=0)
        self.context.term()

    # -- saying things

    def dial(self):
        with self.lock:
            if self.socket is not None:
                self.socket.close(linger=0)
            self.welcomed, self.dialled_at = None, time.monotonic()
            self.socket = self.context.socket(zmq.DEALER)
            self.socket.rcvhwm = self.unread_max
            self.socket.curve_serverkey = self.token["head_key"].encode()
            self.socket.curve_publickey, self.socket.curve_secretkey = self.token["public_key"].encode(), self.token["secret_key"].encode()
            self.socket.connect(self.token["heads"][0])
            self.say_hello()

    def hello(self, **more):
        out = {"t": "hello", "version": 1, "node": self.token["name"], "session": self.session, "devices": self.devices,
               "engines": [{"name": "fake", "version": "1", "operations": [{"kind": KIND, "vram_mib": 0, "preview": False}], "available": True, "reason": "", "needs": ""}],
               "running": [{"ref": ref, "device": device} for ref, device in self.running],
               "unacknowledged": [{k: v for k, v in r.items() if k != "t"} for r in self.unacknowledged],
               "unacknowledged_failures": [{k: v for k, v in r.items() if k != "t"} for r in self.failures]}
        out.update(self.hello_fields)
        out.update(more)
        return out

    def say_hello(self, **more):
        self.send(self.hello(**more))

    def send(self, message):
        self.send_bytes(msgpack.packb(message))

    def send_bytes(self, frame):
        with self.lock:
            self.socket.send(frame)

    def finished(self, assigned, outputs=(), device=None, run_ms=1, **more):
        out = {"t": "finished", "ref": ref_of(assigned), "device": device or assigned["device"], "engine": "fake/1", "preview": False, "run_ms": run_ms, "outputs": list(outputs)}
        out.update(more)
        return out

    def failed(self, assigned, fault="unknown", message="no", device=None, **more):
        out = {"t": "failed", "ref": ref_of(assigned), "device": device or assigned["device"], "fault": fault, "message": message, "artifact": "", "run_ms": 1}
        out.update(more)
        return out

    def output(self, content, port="data"):
        return {"port": port, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "content_type": "application/octet-stream", "metadata": {}}

    def bring(self, content):
        """Brings a file as it should be; returns the artifact when the head has it."""
        out = self.output(content)
        with self.lock:
            self.files[out["sha256"]] = content
        self.send({"t": "put", "sha256": out["sha256"], "bytes": len(content)})
        wait_until(lambda: any(m["t"] == "put_ready" and m["sha256"] == out["sha256"] and m["done"] for m in list(self.heard)), 20, "the head has the file")
        return out

    def honest(self, assigned):
        """Does what is asked, as a good node would."""
        content = b"%d %d" % (assigned["params"].get("seed", 0), assigned["ref"]["stage"]) * 100
        self.send(self.finished(assigned, [self.bring(content)] if assigned["params"].get("bytes") else []))

    # -- hearing things

    def _run(self):
        beat = 0.0
        while not self.stopping:
            message = None
            with self.lock:
                if self.reads and self.socket.poll(0):
                    message = msgpack.unpackb(self.socket.recv())
            if message is not None:
                self._hear(message)
                continue
            now = time.monotonic()
            if self.welcomed and not self.silent and now - beat > self.welcomed["heartbeat_ms"] / 1000:
                self.send({"t": "heartbeat", "at": self.heartbeat_at()})
                beat = now
            if self.welcomed is None and self.dials and now - self.dialled_at > 2:
                self.dial()
            time.sleep(0.002)

    def _hear(self, message):
        self.heard.append(message)
        kind = message["t"]
        if kind == "welcome":
            self.welcomed = message
        elif kind == "refused":
            self.refusals.append(message["reason"])
            self.welcomed = None
            if self.dials:
                time.sleep(0.1)
                self.dial()
        elif kind == "assign":
            self.assigned.append(message)
            if self.work:
                threading.Thread(target=self.work, args=(message,), daemon=True).start()
        elif kind == "acknowledge":
            self.acknowledged.append(ref_of(message))
        elif kind == "cancel":
            self.cancelled.append(ref_of(message))
        elif kind == "put_ready" and not message["done"] and not message["error"]:
            content = self.files.get(message["sha256"], b"")
            for at in range(message["offset"], min(len(content), message["offset"] + message["credit"] * CHUNK), CHUNK):
                self.send({"t": "put_chunk", "sha256": message["sha256"], "offset": at, "data": content[at:at + CHUNK]})

    def wait_welcome(self):
        return wait_until(lambda: self.welcomed, 20, "the fake node is welcomed")

    def wait_assigned(self, job=None, stage=None, count=1):
        def there():
            found = [a for a in list(self.assigned) if (job is None or a["ref"]["job"] == job) and (stage is None or a["ref"]["stage"] == stage)]
            return found if len(found) >= count else None
        return wait_until(there, 20, f"stage {stage} of {job} is assigned")[-1]

    def wait_acknowledged(self, message, count=1):
        wait_until(lambda: self.acknowledged.count(ref_of(message)) >= count, 20, f"{ref_of(message)} is acknowledged")


class Machines(unittest.TestCase):
    """A head without a node of its own, and what a test adds to it."""
    SETTINGS = {}

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-machines-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        (self.folder / "workflows").mkdir()
        (self.folder / "workflows" / "fault-chain.json").write_text(json.dumps(CHAIN))
        self.port = free_port()
        settings = {"node.local": False, "cluster.listen": f"tcp://127.0.0.1:{self.port}", "node.heartbeat_ms": 100, "node.timeout_ms": 1500}
        settings.update(self.SETTINGS)
        self.head = Head(settings, workflows=self.folder / "workflows").start()
        self.addCleanup(self.head.destroy)
        self.admin = self.head.admin()
        self.user = self.head.user("worker", tier="studio", grant=100_000)

    def token(self, name, proxy=None):
        port = proxy.port if proxy else self.port
        return json.loads(self.admin.post("/api/admin/nodes", {"name": name, "heads": [f"tcp://127.0.0.1:{port}"]})["token"])

    def proxy(self):
        made = LinkProxy(self.port)
        self.addCleanup(made.close)
        return made

    def fake(self, name="fake", **options):
        made = FakeNode(self.token(name), **options)
        self.addCleanup(made.close)
        return made

    def honest(self, name="good", **options):
        made = self.fake(name, work="honest", **options)
        made.wait_welcome()
        return made

    def real(self, name, proxy=None, slots=2, token=None, environment=None):
        """A `troupe node`; returns its process."""
        file = self.folder / f"{name}.token"
        file.touch(0o600)
        file.write_text(json.dumps(token or self.token(name, proxy)))
        process = subprocess.Popen([BINARY, "node", "--join", str(file), "--folder", str(self.folder / name), "--slots", str(slots)], stderr=self.head.log, env=clean_environment(**(environment or {})))

        def end():
            process.kill()
            process.wait()
        self.addCleanup(end)
        self.wait_for(name, "connected")
        return process

    def node(self, name):
        return next((n for n in self.admin.get("/api/admin/nodes")["nodes"] if n["name"] == name), None)

    def device(self, name):
        return next((d for d in self.admin.get("/api/admin/devices")["devices"] if d["id"] == name), None)

    def set_state(self, name, state):
        self.admin.ask("PUT", f"/api/admin/nodes/{name}", {"state": state})

    def wait_for(self, name, status):
        wait_until(lambda: (self.node(name) or {}).get("status") == status, 20, f"node {name} is {status}")

    def submit(self, ms=0, seed=1, **more):
        """A node is welcome a moment before its engines are known: until then the head has none for the job."""
        def made():
            answer = self.user.send("POST", "/api/workflows/fault-chain/runs", {"inputs": {"ms": ms, "seed": seed, **more}})
            self.assertIn(answer.status, (202, 503), answer)
            return answer.json["job_id"] if answer.status == 202 else None
        return wait_until(made, 10, "an engine is there")

    def check(self, jobs, seconds=60, status="succeeded"):
        """What must hold whatever happened: each job ends, has its file, was charged once a stage; nothing is held; the ids of
        the events are dense and each job is told to be done once; no device keeps a slot; the books verify."""
        views = {}
        try:
            for job in jobs:
                views[job] = self.user.wait_for_job(job, seconds, status)
        except AssertionError:
            self.head.keep = True
            print(self.head.log_tail(60), json.dumps(self.admin.get("/api/admin/devices"), indent=1), flush=True)
            raise
        for view in views.values():
            for artifact in view["artifacts"]:
                got = self.user.send("GET", artifact["url"])
                self.assertEqual((got.status, hashlib.sha256(got.bytes).hexdigest()), (200, artifact["sha256"]), "the file that was paid for")
        assert_money_is_right(self, self.user, views, self.admin)
        done, events = [], []
        for event in self.user.stream("/api/events", after=0):
            events.append(event[0])
            if event[1] == "done":
                done.append(event[2]["job_id"])
            if set(done) >= set(jobs):
                break
        self.assertEqual(events, list(range(1, len(events) + 1)), "ids of events have gaps or repeats")
        self.assertEqual(len(done), len(set(done)), "a job was told to be done twice")
        wait_until(lambda: all(d.get("slots_used", 0) == 0 for d in self.admin.get("/api/admin/devices")["devices"]), 30, "all slots are free")
        verified = subprocess.run([BINARY, "admin", "ledger", "verify", "--data", str(self.head.data)], capture_output=True, text=True, timeout=120, check=False, env=clean_environment())
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        return views

    def stage(self, job, index):
        return self.user.job(job)["stages"][index]

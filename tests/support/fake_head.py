"""A head that says over the real protocol whatever a test wants it to say, in whatever order, to one real node
(docs/node-protocol.md)."""
import hashlib
import json
import pathlib
import subprocess
import time

import msgpack
import zmq

from studio import BINARY, clean_environment, is_alive, wait_until

CHUNK = 512 << 10


class FakeHead:
    """Heard by `hear_until`, on the test's own thread. By itself it answers hello, heartbeats and what brings files; a test
    changes `welcome`, or takes over what `answers` holds by type. `files` are the artifacts that it has, by hash."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        head, self.secret = zmq.curve_keypair()
        self.socket.curve_server, self.socket.curve_secretkey = True, self.secret
        self.socket.linger = 0
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        public, secret = zmq.curve_keypair()
        self.token = {"troupe_node": 1, "name": "real", "heads": [f"tcp://127.0.0.1:{port}"], "head_key": head.decode(), "public_key": public.decode(),
                      "secret_key": secret.decode()}
        self.welcome = {"t": "welcome", "version": 1, "heartbeat_ms": 100, "lease_ms": 20_000}
        self.heard, self.files, self.node, self.process = [], {}, None, None
        self.answers = {"hello": self.greet, "put": self.take_offer, "put_chunk": self.take_chunk, "fetch": self.give,
                        "finished": self.acknowledge, "failed": self.acknowledge}
        self.beat = 0.0

    def start_node(self, slots=2):
        token = self.folder / "token"
        token.touch(0o600)
        token.write_text(json.dumps(self.token))
        self.log = open(self.folder / "node.log", "w+b")
        self.process = subprocess.Popen([BINARY, "node", "--join", str(token), "--folder", str(self.folder / "node"), "--slots", str(slots)],
                                        stderr=self.log, env=clean_environment())

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.log.close()
        self.socket.close(linger=0)
        self.context.term()

    def log_text(self):
        return (self.folder / "node.log").read_text(errors="replace")

    # -- saying things

    def send(self, *messages):
        for message in messages:
            self.socket.send_multipart([self.node, msgpack.packb(message)])

    def greet(self, _):
        self.send(self.welcome)

    def acknowledge(self, message):
        self.send({"t": "acknowledge", "ref": message["ref"]})

    def take_offer(self, message):
        content = self.files.setdefault(message["sha256"], b"")
        self.send({"t": "put_ready", "sha256": message["sha256"], "offset": len(content), "credit": 4, "done": len(content) == message["bytes"], "error": ""})
        self.expected = message["bytes"]

    def take_chunk(self, message):
        content = self.files[message["sha256"]]
        if message["offset"] == len(content):
            content = self.files[message["sha256"]] = content + message["data"]
        done = len(content) == self.expected
        self.send({"t": "put_ready", "sha256": message["sha256"], "offset": len(content), "credit": 4, "done": done, "error": ""})

    def chunks(self, message):
        content = self.files[message["sha256"]]
        ends = min(len(content), message["offset"] + message["credit"] * CHUNK)
        return [{"t": "chunk", "sha256": message["sha256"], "offset": at, "total": len(content), "data": content[at:min(at + CHUNK, ends)], "error": ""}
                for at in range(message["offset"], ends, CHUNK)]

    def give(self, message):
        self.send(*self.chunks(message))

    def assign(self, stage, attempt=1, ms=0, made=0, inputs=()):
        return {"t": "assign", "ref": {"job": "job", "stage": stage, "attempt": attempt}, "device": "cpu0", "kind": "null.work",
                "params": {"ms": ms, "bytes": made, "seed": stage}, "inputs": list(inputs), "timeout_ms": 0}

    def artifact(self, content):
        name = hashlib.sha256(content).hexdigest()
        self.files[name] = content
        return {"port": "data", "sha256": name, "bytes": len(content), "content_type": "application/octet-stream", "metadata": {}}

    # -- hearing things

    def of(self, kind, stage=None, attempt=None):
        return [m for m in self.heard if m["t"] == kind and (stage is None or m["ref"]["stage"] == stage) and (attempt is None or m["ref"]["attempt"] == attempt)]

    def hear_until(self, found, what, seconds=20):
        def look():
            while self.socket.poll(5):
                self.node, frame = self.socket.recv_multipart()
                message = msgpack.unpackb(frame)
                self.heard.append(message)
                self.answers.get(message["t"], lambda _: None)(message)
            if self.node is not None and self.of("hello") and time.monotonic() - self.beat > 0.1:
                self.send({"t": "heartbeat", "at": 0})
                self.beat = time.monotonic()
            assert self.process is None or is_alive(self.process.pid), f"the node has ended:\n{self.log_text()}"
            return found()
        return wait_until(look, seconds, what)

    def hear_end(self, stage, kind="finished", attempt=None):
        return self.hear_until(lambda: self.of(kind, stage, attempt), f"stage {stage} has {kind}")[-1]

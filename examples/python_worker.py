#!/usr/bin/env python3
"""A node in Python: it joins a head, offers one device, and runs stages of the kind `scene.video` with the program ffmpeg (a
zoom into the Mandelbrot set). Put your own model in the place of `command`. docs/node-protocol.md is what it speaks.

    troupe admin node add python > python.token
    python3 examples/python_worker.py --join python.token

Needs python3-zmq, python3-msgpack and ffmpeg. It keeps its results in memory: what it has not brought to the head when it
ends is run again elsewhere. It takes no input files."""
import argparse
import collections
import hashlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import msgpack
import zmq

CHUNK = 512 << 10
KIND, DEVICE, ENGINE = "scene.video", "python0", "mandelbrot"


def command(params, folder):
    """The film as film.mp4, and its newest picture, small, as preview.jpg. Tells its progress on its standard output."""
    rate, frames = params["frame_rate"], params["frames"]
    source = f"mandelbrot=size={params['width']}x{params['height']}:rate={rate}:start_x={-0.7436 - params['seed'] % 997 * 1e-7}:end_scale=0.01"
    return ["ffmpeg", "-nostdin", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source, "-frames:v", str(frames), "-c:v", "libx264", "-pix_fmt", "yuv420p",
            "-progress", "pipe:1", "-stats_period", "0.2", str(folder / "film.mp4"),
            "-frames:v", str(frames), "-vf", "scale=320:-2", "-update", "1", "-q:v", "6", str(folder / "preview.jpg")]


class Attempt:
    """One try of one stage: a process of ffmpeg, what it has said, and then what is to be said of it to the head."""

    def __init__(self, assigned):
        self.ref, self.params = assigned["ref"], assigned["params"]
        self.timeout_s = assigned["timeout_ms"] / 1000 or None
        self.refusal = "this worker takes no input files" if assigned["inputs"] else ""
        self.process = self.report = self.film = None
        self.frame = self.told_progress = self.told_preview = 0

    def start(self):
        self.folder = tempfile.TemporaryDirectory(prefix="troupe-worker-")
        self.path = pathlib.Path(self.folder.name)
        self.began = time.monotonic()
        self.process = subprocess.Popen(command(self.params, self.path), stdout=open(self.path / "progress", "wb"), stderr=subprocess.PIPE)

    def end(self, fault="", message=""):
        """Stops what runs. With a fault, that is the report."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.run_ms = int(1000 * (time.monotonic() - self.began)) if self.process else 0
        if fault:
            self.report = {"t": "failed", "ref": self.ref, "device": DEVICE, "fault": fault, "message": message, "artifact": "", "run_ms": self.run_ms}

    def look(self):
        """True when it has ended, with `film` or `report` set."""
        if self.process.poll() is None:
            if self.timeout_s and time.monotonic() - self.began > self.timeout_s:
                self.end("timeout", "it took longer than it may")
            return self.report is not None
        self.end()
        if self.process.returncode:
            self.end("unknown", "ffmpeg: " + self.process.stderr.read().decode(errors="replace")[-1000:])
        else:
            self.film = (self.path / "film.mp4").read_bytes()
            self.sha256 = hashlib.sha256(self.film).hexdigest()
        return True

    def fraction(self):
        said = [line for line in (self.path / "progress").read_text().splitlines() if line.startswith("frame=")]
        return min(1.0, int(said[-1][6:]) / self.params["frames"]) if said else 0.0

    def preview(self):
        try:
            picture = (self.path / "preview.jpg").read_bytes()
        except OSError:
            return None
        return picture if picture.startswith(b"\xff\xd8") and picture.endswith(b"\xff\xd9") and len(picture) <= 64 << 10 else None

    def finished(self):
        output = {"port": "video", "sha256": self.sha256, "bytes": len(self.film), "content_type": "video/mp4", "metadata": {"frames": self.params["frames"]}}
        return {"t": "finished", "ref": self.ref, "device": DEVICE, "engine": ENGINE + "/1", "preview": True, "run_ms": self.run_ms, "outputs": [output]}


class Worker:
    def __init__(self, token):
        self.head, self.name, self.head_key = token["heads"][0], token["name"], token["head_key"].encode()
        self.keys = token["public_key"].encode(), token["secret_key"].encode()
        self.session = uuid.uuid4().hex
        self.context, self.socket = zmq.Context(), None
        self.waiting, self.running = collections.deque(), None  # one slot
        self.ended = {}  # (job, stage, attempt) → an Attempt whose report is not acknowledged
        self.stopping = False

    def dial(self):
        """A new connection; all that is known of attempts is said in the hello."""
        if self.socket:
            self.socket.close(linger=0)
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.curve_serverkey = self.head_key
        self.socket.curve_publickey, self.socket.curve_secretkey = self.keys
        self.socket.connect(self.head)
        self.welcomed, self.heartbeat_s, self.heard, self.beat = False, 1.0, time.monotonic(), 0.0
        here = list(self.waiting) + [self.running] * bool(self.running)
        reports = [a.report for a in self.ended.values() if a.report]
        here += [a for a in self.ended.values() if not a.report]  # not brought yet
        without_type = lambda kind: [{k: v for k, v in r.items() if k != "t"} for r in reports if r["t"] == kind]
        self.send({"t": "hello", "version": 1, "node": self.name, "session": self.session,
                   "devices": [{"name": DEVICE, "type": "cpu", "model": "ffmpeg", "slots": 1, "vram_mib": 0, "kinds": [KIND]}],
                   "engines": [{"name": ENGINE, "version": "1", "operations": [{"kind": KIND, "vram_mib": 0, "preview": True}], "available": True, "reason": "", "needs": ""}],
                   "running": [{"ref": a.ref, "device": DEVICE} for a in here], "unacknowledged": without_type("finished"), "unacknowledged_failures": without_type("failed")})

    def send(self, message):
        self.socket.send(msgpack.packb(message))

    def run(self):
        self.dial()
        while not self.stopping:
            if self.socket.poll(50):
                self.hear(msgpack.unpackb(self.socket.recv()))
            now = time.monotonic()
            if now - self.heard > (5 * self.heartbeat_s if self.welcomed else 5):
                self.dial()
            if self.welcomed and now - self.beat > self.heartbeat_s:
                self.send({"t": "heartbeat", "at": int(time.time() * 1000)})
                self.beat = now
            self.work(now)
        self.send({"t": "goodbye", "reason": "the worker was stopped"})
        if self.running:
            self.running.end()
        self.socket.close(linger=1000)

    def work(self, now):
        if self.running is None and self.waiting:
            self.running = self.waiting.popleft()
            self.running.start()
        a = self.running
        if a is None:
            return
        over = a.look()
        if self.welcomed and a.process and a.report is None:
            if over or now - a.told_progress > 0.25:
                self.send({"t": "progress", "ref": a.ref, "fraction": a.fraction(), "step": "drawing"})
                a.told_progress = now
            picture = a.preview() if over or now - a.told_preview > 2 else None
            if picture:
                self.send({"t": "preview", "ref": a.ref, "jpeg": picture})
                a.told_preview = now
        if over:
            self.running = None
            self.tell_end(a)

    def tell_end(self, a):
        self.ended[tuple(a.ref.values())] = a
        if self.welcomed:
            self.send(a.report or {"t": "put", "sha256": a.sha256, "bytes": len(a.film)})

    def hear(self, message):
        self.heard = time.monotonic()
        handler = getattr(self, "on_" + message["t"], None)
        if handler is None:
            print(f"worker: the head said {message['t']!r}, which this worker does not know", file=sys.stderr)
        else:
            handler(message)

    def on_welcome(self, message):
        self.welcomed, self.heartbeat_s = True, message["heartbeat_ms"] / 1000
        print(f"worker: {self.name} has joined", file=sys.stderr, flush=True)
        for a in self.ended.values():
            if not a.report:
                self.tell_end(a)

    def on_refused(self, message):
        print(f"worker: refused: {message['reason']}", file=sys.stderr, flush=True)
        time.sleep(0.25)
        self.dial()

    def on_heartbeat(self, _):
        pass

    def on_chunk(self, _):
        pass  # of a fetch, which this worker never asks for

    def on_assign(self, message):
        a = Attempt(message)
        known = self.find(message["ref"])
        if known in self.ended.values():
            self.tell_end(known)
        elif known is None and a.refusal:
            a.end("bad_input", a.refusal)
            self.tell_end(a)
        elif known is None:
            self.waiting.append(a)

    def on_cancel(self, message):
        a = self.find(message["ref"])
        if a in self.ended.values():
            return  # its report was on its way
        if a is None:
            a = Attempt({"ref": message["ref"], "params": {}, "timeout_ms": 0, "inputs": []})
        elif a is self.running:
            self.running = None
        else:
            self.waiting.remove(a)
        a.end("cancelled", "")
        self.tell_end(a)

    def on_put_ready(self, message):
        for a in [a for a in self.ended.values() if not a.report and a.sha256 == message["sha256"]]:
            if message["done"]:
                a.report = a.finished()
                self.send(a.report)
            elif message["error"] in ("", "unknown"):
                for i in range(message["credit"]):
                    at = message["offset"] + i * CHUNK
                    if at < len(a.film):
                        self.send({"t": "put_chunk", "sha256": a.sha256, "offset": at, "data": a.film[at:at + CHUNK]})
            else:
                a.end("unknown", "the film could not be brought to the head: " + message["error"])
                self.send(a.report)

    def on_acknowledge(self, message):
        self.ended.pop(tuple(message["ref"].values()), None)

    def find(self, ref):
        return next((a for a in [*self.waiting, *([self.running] if self.running else []), *self.ended.values()] if a.ref == ref), None)


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--join", required=True, type=pathlib.Path, help="a file with the token that `troupe admin node add` printed")
    token = json.loads(options.parse_args().join.read_text())
    worker = Worker(token)

    def stop(*_):
        worker.stopping = True
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    worker.run()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""A node in Python: it joins a head, offers one device, and runs stages of the kind `scene.video` with the program ffmpeg (a
zoom into the Mandelbrot set). Put your own model in the place of `command`. docs/node-protocol.md is what it speaks.

    troupe admin node add python > python.token
    python3 examples/python_worker.py --join python.token --type cuda --model "RTX 4090" --vram-mib 24564

Needs python3-zmq, python3-msgpack and ffmpeg. Takes no input files, and keeps its results in memory: what it has not brought
to the head when it ends is run again elsewhere."""
import argparse
import hashlib
import json
import math
import pathlib
import signal
import subprocess
import tempfile
import time

import msgpack
import zmq

CHUNK = 512 << 10
KIND, ENGINE = "scene.video", "mandelbrot"
NEEDS_MIB = 1024  # what a run takes of a GPU's memory


def command(params, folder):
    """Draws film.mp4, and its newest picture, small, as preview.jpg; says which frame it is at in the file progress."""
    frames, size = str(params["frames"]), f"{params['width']}x{params['height']}"
    source = f"mandelbrot=size={size}:rate={params['frame_rate']}:start_x={-0.7436 - params['seed'] % 997 * 1e-7}:end_scale=0.01"
    return ["ffmpeg", "-nostdin", "-loglevel", "error", "-progress", f"{folder}/progress", "-stats_period", "0.2", "-f", "lavfi", "-i", source,
            "-frames:v", frames, "-c:v", "libx264", "-pix_fmt", "yuv420p", f"{folder}/film.mp4",
            "-frames:v", frames, "-vf", "scale=320:-2", "-q:v", "6", "-update", "1", "-atomic_writing", "1", f"{folder}/preview.jpg"]


class Attempt:
    """One try of one stage: it waits, then has a `process`, then a `film` to bring, and in the end a `report`."""
    process = film = report = None
    run_ms = told_progress = told_preview = offer_at = 0

    def __init__(self, ref, params=None, timeout_ms=0):
        self.ref, self.params, self.timeout_s = ref, params, timeout_ms / 1000 or math.inf

    def start(self):
        self.folder = tempfile.TemporaryDirectory(prefix="troupe-worker-")
        self.path, self.began = pathlib.Path(self.folder.name), time.monotonic()
        self.process = subprocess.Popen(command(self.params, self.path), stderr=subprocess.PIPE)

    def stop(self):
        if self.process and not self.run_ms:
            self.process.kill()
            self.process.wait()
            self.run_ms = int(1000 * (time.monotonic() - self.began)) or 1


class Worker:
    def __init__(self, token, device):
        self.token, self.device, self.session, self.socket, self.dials = token, device, str(time.time_ns()), None, 0
        self.attempts, self.running, self.stopping = [], None, False  # attempts: as they came, until they are acknowledged
        self.dialled, self.heard, self.heartbeat_s, self.lease_s, self.pause_s = 0.0, time.monotonic(), 1.0, 30.0, 0.0

    def send(self, kind, **fields):
        self.socket.send(msgpack.packb({"t": kind, **fields}))

    def dial(self):
        """A new connection, to the next head if this one was not heard; the hello says all that is known of attempts."""
        self.dials += self.heard < self.dialled
        if self.socket:
            self.socket.close(linger=0)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.curve_serverkey = self.token["head_key"].encode()
        self.socket.curve_publickey, self.socket.curve_secretkey = self.token["public_key"].encode(), self.token["secret_key"].encode()
        self.socket.connect(self.token["heads"][self.dials % len(self.token["heads"])])
        self.welcomed, self.dialled, self.beat = False, time.monotonic(), 0.0
        self.redial_at = self.dialled + 5
        operation = {"kind": KIND, "vram_mib": NEEDS_MIB, "preview": True}
        self.send("hello", version=1, node=self.token["name"], session=self.session, devices=[self.device],
                  engines=[{"name": ENGINE, "version": "1", "operations": [operation], "available": True, "reason": "", "needs": ""}],
                  running=[{"ref": a.ref, "device": self.device["name"]} for a in self.attempts if not a.report],
                  unacknowledged=[a.report for a in self.attempts if a.report and "outputs" in a.report],
                  unacknowledged_failures=[a.report for a in self.attempts if a.report and "fault" in a.report])

    def run(self):
        self.dial()
        while not self.stopping:
            if self.socket.poll(50):
                self.heard = time.monotonic()
                self.redial_at = self.heard + 5 * self.heartbeat_s if self.welcomed else self.redial_at
                self.hear(msgpack.unpackb(self.socket.recv()))
            now = time.monotonic()
            if now - self.heard > self.lease_s:  # the head has given to others what is here
                self.fail(self.attempts, "cancelled", "the head was not heard for longer than the lease")
            if now > self.redial_at:
                self.dial()
            if self.welcomed and now - self.beat > self.heartbeat_s:
                self.send("heartbeat", at=int(time.time() * 1000))
                self.beat = now
            self.work(now)
            a = self.bringing = next((a for a in self.attempts if a.film is not None and not a.report), None)
            if a and self.welcomed and now >= a.offer_at:
                self.send("put", sha256=a.sha256, bytes=len(a.film))
                a.offer_at = math.inf  # what the head answers says how to go on
        if self.running:
            self.running.stop()
        self.send("goodbye", reason="the worker was stopped")
        self.socket.close(linger=1000)

    def work(self, now):
        a = self.running = self.running or next((a for a in self.attempts if a.film is None and not a.report), None)
        if a is None:
            return
        if a.process is None:
            a.start()
        status = a.process.poll()
        if self.welcomed and now - a.told_progress > 0.25 and (a.path / "progress").exists():
            frame = (a.path / "progress").read_text().rpartition("frame=")[2].partition("\n")[0]
            self.send("progress", ref=a.ref, fraction=min(1.0, int(frame or 0) / a.params["frames"]), step="drawing")
            a.told_progress = now
        if self.welcomed and now - a.told_preview > 2 and (a.path / "preview.jpg").exists():
            self.send("preview", ref=a.ref, jpeg=(a.path / "preview.jpg").read_bytes())
            a.told_preview = now
        if status == 0:
            a.stop()
            a.film, self.running = (a.path / "film.mp4").read_bytes(), None
            a.sha256 = hashlib.sha256(a.film).hexdigest()
        elif status is not None:
            self.fail([a], "unknown", "ffmpeg: " + a.process.stderr.read().decode(errors="replace")[-1000:])
        elif now - a.began > a.timeout_s:
            self.fail([a], "timeout", "it took longer than it may")

    def end(self, a, **report):
        """What is said of it now, and in each hello until it is acknowledged."""
        a.stop()
        a.report = dict(report, ref=a.ref, device=self.device["name"], run_ms=a.run_ms)
        self.running = None if a is self.running else self.running
        self.say(a)

    def say(self, a):
        if self.welcomed and a.report:
            self.send("failed" if "fault" in a.report else "finished", **a.report)

    def fail(self, attempts, fault, message):
        for a in [a for a in attempts if not a.report]:
            self.end(a, fault=fault, message=message, artifact="")

    def hear(self, message):
        match message:  # fields that are not named are ignored, as they are to be
            case {"t": "welcome", "heartbeat_ms": heartbeat_ms, "lease_ms": lease_ms}:
                self.welcomed, self.heartbeat_s, self.lease_s = True, heartbeat_ms / 1000, lease_ms / 1000
                for a in self.attempts:
                    a.offer_at = 0
                    self.say(a)  # it may have ended after the hello was made
            case {"t": "refused", "reason": reason}:
                print(f"worker: refused: {reason}", flush=True)
                self.pause_s = 0.0 if self.heard - self.dialled > 2 else min(5.0, 2 * self.pause_s or 0.25)
                self.welcomed, self.redial_at = False, self.heard + self.pause_s
            case {"t": "assign", "ref": ref, "params": params, "inputs": inputs, "timeout_ms": timeout_ms}:
                self.assign(Attempt(ref, params, timeout_ms), inputs)
            case {"t": "cancel", "ref": ref}:
                self.fail([a for a in self.attempts if a.ref == ref] or [Attempt(ref)], "cancelled", "")
            case {"t": "acknowledge", "ref": ref}:
                self.attempts = [a for a in self.attempts if a.ref != ref or not a.report]
            case {"t": "put_ready", "sha256": sha256} if self.bringing and self.bringing.sha256 == sha256:
                self.bring(self.bringing, message)

    def assign(self, new, inputs):
        same_stage = [a for a in self.attempts if (a.ref["job"], a.ref["stage"]) == (new.ref["job"], new.ref["stage"])]
        if known := [a for a in same_stage if a.ref["attempt"] >= new.ref["attempt"]]:
            return self.say(known[0])
        self.fail(same_stage, "cancelled", "a newer attempt is here")
        self.attempts.append(new)
        if inputs:
            self.fail([new], "bad_input", "this worker takes no input files")

    def bring(self, a, ready):
        if ready["done"]:
            film = {"port": "video", "sha256": a.sha256, "bytes": len(a.film), "content_type": "video/mp4", "metadata": {"frames": a.params["frames"]}}
            self.end(a, engine=ENGINE + "/1", preview=True, outputs=[film])
        elif ready["error"] in ("full", "unknown"):  # no space now, or an upload that the head has forgotten
            a.offer_at = self.heard + 1
        elif ready["error"]:
            self.fail([a], "unknown", "the head could not keep the film: " + ready["error"])
        for at in range(ready["offset"], len(a.film), CHUNK)[:ready["credit"]]:
            self.send("put_chunk", sha256=a.sha256, offset=at, data=a.film[at:at + CHUNK])


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--join", required=True, type=argparse.FileType(), help="a file with the token that `troupe admin node add` printed")
    options.add_argument("--type", default="cpu", help="of the device: cpu, cuda, …")
    options.add_argument("--model", default="ffmpeg", help="of the device, as the list of devices shows it")
    options.add_argument("--vram-mib", default=0, type=int, help="of a GPU")
    told = options.parse_args()
    worker = Worker(json.load(told.join), {"name": told.type + "0", "type": told.type, "model": told.model, "slots": 1, "vram_mib": told.vram_mib, "kinds": [KIND]})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(worker, "stopping", True))
    worker.run()

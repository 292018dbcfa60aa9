#!/usr/bin/env python3
"""A node in Python: it joins a head, offers one device, and runs stages of the kind `scene.video` with the program ffmpeg (a
zoom into the Mandelbrot set). Put your own model in the place of `command`. docs/node-protocol.md is what it speaks.

    troupe admin node add python > python.token
    python3 examples/python_worker.py --join python.token --type cuda --model "RTX 4090" --vram-mib 24564

Needs python3-zmq, python3-msgpack and ffmpeg. It makes films of text alone: a stage with an image is to run elsewhere. Results are
kept in memory: what it has not brought to the head when it ends is run again."""
import argparse
import hashlib
import json
import pathlib
import signal
import subprocess
import tempfile
import time

import msgpack
import zmq

KIND, ENGINE = "scene.video", "mandelbrot"
NEEDS_MIB = 1024  # what a run takes of a GPU's memory
CHUNK, PREVIEW_MAX, NEVER = 512 << 10, 256 << 10, float("inf")


def command(params, folder):
    """Draws film.mp4, and its newest picture, small, as preview.jpg; says which frame it is at in the file progress."""
    frames, size, start_x = str(params["frames"]), f"{params['width']}x{params['height']}", -0.7436 - params["seed"] % 997 * 1e-7
    return ["ffmpeg", "-nostdin", "-loglevel", "error", "-progress", f"{folder}/progress", "-stats_period", "0.2",
            "-f", "lavfi", "-i", f"mandelbrot=size={size}:rate={params['frame_rate']}:start_x={start_x}:end_scale=0.01",
            "-frames:v", frames, "-c:v", "libx264", "-pix_fmt", "yuv420p", f"{folder}/film.mp4",
            "-frames:v", frames, "-vf", "scale=320:320:force_original_aspect_ratio=decrease:force_divisible_by=2",
            "-q:v", "6", "-update", "1", "-atomic_writing", "1", f"{folder}/preview.jpg"]


class Attempt:
    """One try of one stage: it waits for its turn of `drawing`, then has a `film` to bring, and in the end a `report`."""
    drawing = film = report = None
    told, run_ms, offer_at = False, 0, 0  # told: its report, on this connection

    def __init__(self, ref, params=None, timeout_ms=0):
        self.ref, self.params, self.timeout_s = ref, params, timeout_ms / 1000 or NEVER


class Worker:
    def __init__(self, token, device):
        self.token, self.device, self.session, self.stopping = token, device, str(time.time_ns()), False
        self.attempts = []  # as they came, until they are acknowledged: the first that waits is drawn, then brought
        self.socket, self.dials, self.dialled, self.heard = None, 0, 0.0, time.monotonic()
        self.heartbeat_s, self.lease_s = 1.0, 30.0

    def first(self, drawn):
        return next((a for a in self.attempts if not a.report and (a.film is not None) == drawn), None)

    def send(self, kind, **fields):
        self.socket.send(msgpack.packb({"t": kind, **fields}))

    def dial(self):
        """A new connection, to the next head if this one was not heard; the hello says all that is known of attempts."""
        self.dials += self.heard < self.dialled
        if self.socket:
            self.socket.close(linger=0)
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.sndhwm = 0  # sending never waits: a line that takes nothing is given up after five heartbeats
        self.socket.curve_serverkey = self.token["head_key"].encode()
        self.socket.curve_publickey, self.socket.curve_secretkey = self.token["public_key"].encode(), self.token["secret_key"].encode()
        self.socket.connect(self.token["heads"][self.dials % len(self.token["heads"])])
        self.welcomed, self.dialled, self.beat_at = False, time.monotonic(), 0
        self.redial_at = self.dialled + 5
        self.send("hello", version=1, node=self.token["name"], session=self.session, devices=[self.device],
                  engines=[{"name": ENGINE, "version": "1", "available": True, "reason": "", "needs": "",
                            "operations": [{"kind": KIND, "vram_mib": NEEDS_MIB, "preview": True}]}],
                  running=[{"ref": a.ref, "device": self.device["name"]} for a in self.attempts if not a.report],
                  unacknowledged=[a.report for a in self.attempts if a.report and "outputs" in a.report],
                  unacknowledged_failures=[a.report for a in self.attempts if a.report and "fault" in a.report])
        for a in self.attempts:
            a.told, a.offer_at = bool(a.report), 0

    def run(self):
        self.dial()
        while not self.stopping:
            if self.socket.poll(50):
                self.heard = time.monotonic()
                self.hear(msgpack.unpackb(self.socket.recv()))
                self.redial_at = self.heard + 5 * self.heartbeat_s if self.welcomed else self.redial_at
            now = time.monotonic()
            if now - self.heard > self.lease_s:  # the head has given to others what is here
                self.fail(self.attempts, "cancelled", "the head was not heard for longer than the lease")
            if now > self.redial_at:
                self.dial()
            if (a := self.first(drawn=False)) and (failure := next(a.drawing, None)):
                self.fail([a], *failure)
            if self.welcomed:
                self.tell(now)
        self.fail(self.attempts, "cancelled", "the worker was stopped")
        self.send("goodbye", reason="the worker was stopped")
        self.socket.close(linger=1000)

    def draw(self, a):
        """Makes the film a step at a time, or yields why it cannot be made. Whoever closes it ends the program."""
        try:
            with tempfile.TemporaryDirectory(prefix="troupe-worker-", ignore_cleanup_errors=True) as folder:
                yield from self.draw_in(a, pathlib.Path(folder))
        except OSError as error:  # no ffmpeg, no room for its files
            print("worker:", error, flush=True)
            yield "device", "ffmpeg cannot be run here"

    def draw_in(self, a, folder):
        progress, preview, tell_at, preview_at, ended = folder / "progress", folder / "preview.jpg", 0, 0, None
        process, began = subprocess.Popen(command(a.params, folder)), time.monotonic()
        try:
            while ended is None:
                ended, now = process.poll(), time.monotonic()  # what there is at the end is told, too
                if now - began > a.timeout_s:
                    yield "timeout", "it took longer than it may"
                if self.welcomed and (now >= tell_at or ended == 0) and progress.exists():
                    frame = progress.read_text().rpartition("frame=")[2].partition("\n")[0]
                    self.send("progress", ref=a.ref, fraction=min(1.0, int(frame or 0) / a.params["frames"]), step="drawing")
                    tell_at = now + 0.5
                if self.welcomed and now >= preview_at and preview.exists() and len(jpeg := preview.read_bytes()) <= PREVIEW_MAX:
                    self.send("preview", ref=a.ref, jpeg=jpeg)
                    preview_at = now + 2
                yield
        finally:  # before the folder is removed: a program that still wrote into it would hinder that
            process.kill()
            process.wait()
            a.run_ms = int(1000 * (time.monotonic() - began))
        if ended:
            yield "unknown", f"ffmpeg ended with {ended}"
        a.film = (folder / "film.mp4").read_bytes()
        a.sha256 = hashlib.sha256(a.film).hexdigest()

    def tell(self, now):
        """What the head does not know yet."""
        if now >= self.beat_at:
            self.send("heartbeat", at=int(time.time() * 1000))
            self.beat_at = now + self.heartbeat_s
        for a in [a for a in self.attempts if a.report and not a.told]:
            self.send("failed" if "fault" in a.report else "finished", **a.report)
            a.told = True
        if (a := self.first(drawn=True)) and now >= a.offer_at:
            self.send("put", sha256=a.sha256, bytes=len(a.film))
            a.offer_at = NEVER  # what the head answers says how to go on

    def end(self, a, **report):
        if a.drawing:
            a.drawing.close()
        a.report = dict(report, ref=a.ref, device=self.device["name"], run_ms=a.run_ms)

    def fail(self, attempts, fault, message):
        for a in [a for a in attempts if not a.report]:
            self.end(a, fault=fault, message=message, artifact="")

    def hear(self, message):
        match message:  # fields that are not named are ignored, as they are to be
            case {"t": "welcome", "heartbeat_ms": heartbeat_ms, "lease_ms": lease_ms}:
                self.welcomed, self.heartbeat_s, self.lease_s = True, heartbeat_ms / 1000, lease_ms / 1000
            case {"t": "refused", "reason": reason}:
                print("worker: refused:", reason, flush=True)
                self.welcomed, self.redial_at = False, self.heard + 1
            case {"t": "assign", "ref": ref, "params": params, "inputs": inputs, "timeout_ms": timeout_ms}:
                self.assign(Attempt(ref, params, timeout_ms), inputs)
            case {"t": "cancel", "ref": ref}:
                known = [a for a in self.attempts if a.ref == ref]
                self.attempts += [] if known else [Attempt(ref)]
                self.fail(known or self.attempts[-1:], "cancelled", "")
            case {"t": "acknowledge", "ref": ref}:
                self.attempts = [a for a in self.attempts if a.ref != ref or not a.report]
            case {"t": "put_ready", "sha256": sha256}:
                if (a := self.first(drawn=True)) and a.sha256 == sha256:
                    self.bring(a, message)
            case {"t": kind} if kind != "heartbeat":
                print(f"worker: the head says {kind!r}, which is not understood here", flush=True)

    def assign(self, new, inputs):
        same_stage = [a for a in self.attempts if (a.ref["job"], a.ref["stage"]) == (new.ref["job"], new.ref["stage"])]
        if known := [a for a in same_stage if a.ref["attempt"] >= new.ref["attempt"]]:
            known[0].told = False  # if it has ended, that is said again
            return
        self.fail(same_stage, "cancelled", "a newer attempt is here")
        self.attempts.append(new)
        new.drawing = self.draw(new)
        if inputs:
            self.fail([new], "device", "this worker takes no input files")

    def bring(self, a, ready):
        if ready["done"]:
            film = {"port": "video", "sha256": a.sha256, "bytes": len(a.film), "content_type": "video/mp4", "metadata": {"frames": a.params["frames"]}}
            self.end(a, engine=f"{ENGINE}/1", preview=True, transfer_ms=0, outputs=[film])
        elif ready["error"] in ("full", "unknown"):  # no space now, or an upload that the head has forgotten
            a.offer_at = self.heard + 1
        elif ready["error"]:
            self.fail([a], "unknown", f"the head could not keep the film: {ready['error']}")
        else:
            for at in range(ready["offset"], len(a.film), CHUNK)[:ready["credit"]]:
                self.send("put_chunk", sha256=a.sha256, offset=at, data=a.film[at:at + CHUNK])


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--join", required=True, type=argparse.FileType(), help="a file with the token that `troupe admin node add` printed")
    options.add_argument("--type", default="cpu", help="of the device: cpu, cuda, …")
    options.add_argument("--model", required=True, help="of the device: those of one type and model are taken to be equally fast")
    options.add_argument("--vram-mib", default=0, type=int, help="of a GPU")
    device = vars(options.parse_args())
    worker = Worker(json.load(device.pop("join")), dict(device, name=device["type"] + "0", slots=1, kinds=[KIND]))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(worker, "stopping", True))
    worker.run()

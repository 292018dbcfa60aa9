#!/usr/bin/env python3
"""A node in Python: it joins a head, offers one device, runs stages, tells how far they are and brings what they made. What runs is
the engine in mandelbrot.py, beside this file: put your own model in its place. docs/node-protocol.md is what is spoken here.

    troupe admin node add python > python.token
    python3 examples/python_worker.py --join python.token --type cuda --model "RTX 4090" --vram-mib 24564

Needs python3-zmq, python3-msgpack and, for the engine, ffmpeg. It takes no input files: a stage with an image is to run elsewhere.
Results are kept in memory: what it has not brought to the head when it ends is run again."""
import argparse
import hashlib
import json
import signal
import time
import traceback

import mandelbrot as engine
import msgpack
import zmq

CHUNK, PREVIEW_MAX, METADATA_MAX, MESSAGE_MAX, NAME_MAX, NEVER = 512 << 10, 256 << 10, 64 << 10, 4096, 128, float("inf")
EVERY_S = {"progress": 0.5, "preview": 2}  # as often as an attempt may tell it
FAULTS = "bad_input", "out_of_memory", "device", "unsuited", "unknown", "cancelled", "timeout", "missing_input", "corrupt_input"


def cut(text, bytes_max):
    """As the protocol takes it: a report that is refused would be refused again in every hello."""
    return str(text).encode(errors="replace")[:bytes_max].decode(errors="ignore")


def weight(value, levels=8):
    """What metadata takes in a frame, as the head counts it. Raises or is infinite for what it never takes: bytes, NaN, a deep nest."""
    if isinstance(value, (dict, list)) and levels:
        return 9 + sum(weight(inner, levels - 1) for inner in (value if isinstance(value, list) else ["".join(value), *value.values()]))
    return 9 + (len(value.encode()) if isinstance(value, str) else 0 if value is None or abs(value) < 1 << 63 else NEVER)


class Attempt:
    """One try of one stage: it waits for its turn of `steps`, then has an `artifact` to bring, and in the end a `report`."""
    steps = artifact = report = None
    run_ms, say_at = 0, 0  # say_at: when artifact or report is to be said to the head

    def __init__(self, ref, timeout_ms=0):
        self.ref, self.began, self.timeout_s, self.tell_at = ref, None, timeout_ms / 1000 or NEVER, dict.fromkeys(EVERY_S, 0)


class Worker:
    def __init__(self, token, device):
        self.token, self.device, self.session, self.stopping = token, device, str(time.time_ns()), False
        self.attempts = []  # as they came, until they are acknowledged: the first that waits runs, the first that has run is brought
        self.socket, self.dials, self.dialled, self.heard = None, 0, 0.0, time.monotonic()
        self.heartbeat_s, self.lease_s, self.wait_s = 1.0, 30.0, 0.25  # wait_s: to the next dial, if it is refused

    def first(self, has_run):
        return next((a for a in self.attempts if not a.report and bool(a.artifact) == has_run), None)

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
        operation = {"kind": engine.KIND, "vram_mib": engine.VRAM_MIB, "preview": engine.STAND_IN}
        reports = [a.report for a in self.attempts if a.report]
        self.send("hello", version=1, node=self.token["name"], session=self.session, devices=[self.device],
                  engines=[{"name": engine.NAME, "version": engine.VERSION, "available": True, "reason": "", "needs": "", "operations": [operation]}],
                  running=[{"ref": a.ref, "device": self.device["name"]} for a in self.attempts if not a.report],
                  unacknowledged=[r for r in reports if "fault" not in r], unacknowledged_failures=[r for r in reports if "fault" in r])
        for a in self.attempts:
            a.say_at = NEVER if a.report else 0

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
            if a := self.first(has_run=False):
                self.step(a, now)
            if self.welcomed:
                self.say(now)
        self.fail(self.attempts, "cancelled", "the worker was stopped")
        self.send("goodbye", reason="the worker was stopped")
        self.socket.close(linger=1000)

    def steps(self, a, params):
        about, a.data = yield from engine.run(params)  # step() meets its mistakes
        port, content_type, metadata = about.get("port", ""), about.get("content_type", ""), dict(about.get("metadata", {}))
        if not port or len((port + content_type).encode()) > NAME_MAX or weight(metadata) > METADATA_MAX:  # refused, and again in every hello
            raise engine.Failure("unknown", "the engine's artifact has no port, or too long a name, or too much metadata")
        a.artifact = dict(port=port, content_type=content_type, metadata=metadata, sha256=hashlib.sha256(a.data).hexdigest(), bytes=len(a.data))

    def step(self, a, now):
        """Lets the engine go on, and tells what it has to tell."""
        a.began = a.began or now
        a.run_ms = int(1000 * (now - a.began))
        try:
            for kind, fields in (next(a.steps, None) or {}).items():
                if kind == "progress":
                    fields = {"fraction": float(min(1, max(0, fields["fraction"]))), "step": cut(fields["step"], NAME_MAX)}
                if self.welcomed and now >= a.tell_at[kind] and len(fields.get("jpeg", "")) <= PREVIEW_MAX:
                    self.send(kind, ref=a.ref, **fields)
                    a.tell_at[kind] = now + EVERY_S[kind]
        except Exception as error:  # of the engine: the next stage may go better
            traceback.print_exc()
            self.fail([a], *error.args if isinstance(error, engine.Failure) and len(error.args) == 2 else ("unknown", "the engine failed"))
        if now - a.began > a.timeout_s and not a.artifact:
            self.fail([a], "timeout", "it took longer than it may")

    def say(self, now):
        """What the head does not know yet; what it answers says how to go on."""
        if now >= self.beat_at:
            self.send("heartbeat", at=int(time.time() * 1000))
            self.beat_at = now + self.heartbeat_s
        for a in [a for a in self.attempts if now >= a.say_at and (a.report or a is self.first(has_run=True))]:
            if a.report:
                self.send("failed" if "fault" in a.report else "finished", **a.report)
            else:
                self.send("put", sha256=a.artifact["sha256"], bytes=a.artifact["bytes"])
            a.say_at = NEVER

    def end(self, a, **report):
        a.steps = None  # which ends the engine, too: what goes wrong in that Python prints, and no more
        a.report, a.say_at = dict(report, ref=a.ref, device=self.device["name"], run_ms=a.run_ms), 0

    def fail(self, attempts, fault, message):
        for a in [a for a in attempts if not a.report]:
            self.end(a, fault=fault if fault in FAULTS else "unknown", message=cut(message, MESSAGE_MAX), artifact="")

    def hear(self, message):
        match message:  # fields that are not named are ignored, as they are to be
            case {"t": "welcome", "heartbeat_ms": heartbeat_ms, "lease_ms": lease_ms}:
                self.welcomed, self.heartbeat_s, self.lease_s, self.wait_s = True, heartbeat_ms / 1000, lease_ms / 1000, 0
            case {"t": "refused", "reason": reason}:
                print("worker: refused:", reason, flush=True)
                self.welcomed, self.redial_at, self.wait_s = False, self.heard + self.wait_s, min(2 * self.wait_s or 0.25, 5)
            case {"t": "assign", "ref": ref, "params": params, "inputs": inputs, "timeout_ms": timeout_ms}:
                self.assign(Attempt(ref, timeout_ms), params, inputs)
            case {"t": "cancel", "ref": ref}:
                known = [a for a in self.attempts if a.ref == ref]
                self.attempts += [] if known else [Attempt(ref)]
                self.fail(known or self.attempts[-1:], "cancelled", "")
            case {"t": "acknowledge", "ref": ref}:
                self.attempts = [a for a in self.attempts if a.ref != ref or not a.report]
            case {"t": "put_ready", "sha256": sha256}:
                if (a := self.first(has_run=True)) and a.artifact["sha256"] == sha256:
                    self.bring(a, message)
            case {"t": kind} if kind != "heartbeat":
                print(f"worker: the head says {kind!r}, which is not understood here", flush=True)

    def assign(self, new, params, inputs):
        same_stage = [a for a in self.attempts if (a.ref["job"], a.ref["stage"]) == (new.ref["job"], new.ref["stage"])]
        if known := [a for a in same_stage if a.ref["attempt"] >= new.ref["attempt"]]:
            known[0].say_at = 0  # if it has ended, that is said again
            return
        self.fail(same_stage, "cancelled", "a newer attempt is here")
        self.attempts.append(new)
        new.steps = self.steps(new, params)
        if inputs:
            self.fail([new], "unsuited", "this worker takes no input files")

    def bring(self, a, ready):
        if ready["done"]:
            self.end(a, engine=f"{engine.NAME}/{engine.VERSION}", preview=engine.STAND_IN, transfer_ms=0, outputs=[a.artifact])
        elif ready["error"] in ("full", "unknown"):  # no space now, or an upload that the head has forgotten
            a.say_at = self.heard + 1
        elif ready["error"]:
            self.fail([a], "unknown", f"the head could not keep what was made: {ready['error']}")
        else:
            for at in range(ready["offset"], len(a.data), CHUNK)[:ready["credit"]]:
                self.send("put_chunk", sha256=a.artifact["sha256"], offset=at, data=a.data[at:at + CHUNK])


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--join", required=True, type=argparse.FileType(), help="a file with the token that `troupe admin node add` printed")
    options.add_argument("--type", default="cpu", help="of the device: cpu, cuda, …")
    options.add_argument("--model", required=True, help="of the device: those of one type and model are taken to be equally fast")
    options.add_argument("--vram-mib", default=0, type=int, help="of a GPU")
    device = vars(options.parse_args())
    worker = Worker(json.load(device.pop("join")), dict(device, name=device["type"] + "0", slots=1, kinds=[engine.KIND]))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(worker, "stopping", True))
    worker.run()

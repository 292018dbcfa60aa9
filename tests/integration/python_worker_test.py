"""The example of a node in another language, as it is in examples/: it joins, runs stages, shows progress and a preview, brings
its film, obeys a cancel, and is a node like any other when head or worker die. What a real head seldom says is said by one that
the test plays itself."""
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import msgpack
import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import CHUNK, free_port  # noqa: E402
from studio import PATIENCE, ROOT, Head, wait_until  # noqa: E402

WORK = {"prompt": "A quiet sea", "width": 320, "height": 240, "frames": 48, "seed": 5}
LONG = dict(WORK, width=848, height=480, frames=80)
ENDLESS = {"width": 848, "height": 480, "frame_rate": 24, "frames": 100_000, "seed": 1}
SHORT = {"width": 160, "height": 120, "frame_rate": 24, "frames": 24, "seed": 1}
GPU = ["--type", "cuda", "--model", "A card", "--vram-mib", "8192"]


def start_worker(test, token, log, *options, program=ROOT / "examples/python_worker.py", **environment):
    """What it has on the disk is beside the token."""
    worker = subprocess.Popen([sys.executable, str(program), "--join", str(token), *options], stdout=log, stderr=log,
                              env=dict(os.environ, TMPDIR=str(token.parent), **environment))

    def end():
        worker.terminate()  # not SIGKILL, which would leave an ffmpeg
        worker.wait(30 * PATIENCE)
    test.addCleanup(end)
    return worker


def drawing(worker):
    """Its processes that draw."""
    return [int(pid) for pid in pathlib.Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()]


class WithAHead(unittest.TestCase):
    def setUp(self):
        self.head = Head({"node.local": False}).start()
        self.addCleanup(self.head.destroy)
        self.admin = self.head.admin()
        self.token = self.head.data / "python.token"
        self.token.write_text(self.admin.post("/api/admin/nodes", {"name": "python", "heads": [f"ipc://{self.head.data}/node.sock"]})["token"])
        self.start_worker()
        self.user = self.head.user("watcher", tier="studio", grant=10_000)

    def start_worker(self):
        self.worker = start_worker(self, self.token, self.head.log, *GPU)
        self.head.wait_for_engines()

    def kill_worker(self):
        left = wait_until(lambda: drawing(self.worker), 30, "it draws")
        self.worker.kill()
        self.worker.wait()
        for pid in left:
            os.kill(pid, signal.SIGKILL)

    def device(self):
        return next((d for d in self.admin.get("/api/admin/devices")["devices"] if d["id"] == "python/cuda0"), {})

    def generate(self, work):
        return self.user.post("/api/generate", work)["job_id"]

    def test_it_makes_a_film_on_its_gpu_and_says_how_far_it_is(self):
        job = self.generate(WORK)
        view = self.user.wait_for_job(job, 60)
        self.assertEqual(view["stages"][0]["attempts"], 1)
        self.assertEqual(view["stages"][0]["device"], "python/cuda0")
        device = self.device()
        self.assertEqual((device["type"], device["model"], device["vram_mib"]), ("cuda", "A card", 8192))
        names = [name for _, name, _ in self.user.all_events(job)]
        self.assertIn("progress", names)
        self.assertIn("preview", names)
        film = self.user.send("GET", "/api/video/" + self.user.get(f"/api/status?job_id={job}")["filename"])
        self.assertEqual((film.status, film.headers["content-type"]), (200, "video/mp4"))
        self.assertEqual(film.bytes[4:8], b"ftyp")
        self.worker.terminate()
        self.assertEqual(self.worker.wait(30 * PATIENCE), 0)

    def test_it_obeys_a_cancel(self):
        job = self.generate(LONG)
        self.user.wait_for_stage(job, self.user.job(job)["stages"][0]["name"])
        self.user.post(f"/api/jobs/{job}/cancel")
        self.user.wait_for_job(job, 20, "cancelled")
        self.assertEqual(self.user.get("/api/credits")["credits_held"], 0)
        self.user.wait_for_job(self.generate(WORK), 60)

    def test_a_worker_that_is_killed_loses_no_job(self):
        job = self.generate(LONG)
        self.user.wait_for_stage(job, self.user.job(job)["stages"][0]["name"])
        self.kill_worker()
        self.start_worker()
        self.assertGreater(self.user.wait_for_job(job, 120)["stages"][0]["attempts"], 1)

    def test_a_head_that_is_killed_takes_it_back(self):
        job = self.generate(LONG)
        self.user.wait_for_stage(job, self.user.job(job)["stages"][0]["name"])
        self.assertEqual(self.device()["vram_used_mib"], 1024, "what the engine says")
        self.head.kill9()
        self.head.start()
        wait_until(lambda: self.device().get("vram_used_mib") == 1024, 30, "the device holds it again")
        self.assertEqual(self.user.wait_for_job(job, 120)["stages"][0]["attempts"], 1, "what ran was run again")


class PlayedHead:
    """The head's end of the protocol, where the test says each word. `hear` returns the next message that is asked for; hellos
    are answered, and heartbeats sent, unless it is `mute`."""

    def __init__(self, heartbeat_ms=1000, lease_ms=30_000):
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        public, self.socket.curve_secretkey = zmq.curve_keypair()
        self.socket.curve_server = True
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        mine, secret = zmq.curve_keypair()
        self.token = {"name": "python", "heads": [f"tcp://127.0.0.1:{port}"], "head_key": public.decode(), "public_key": mine.decode(), "secret_key": secret.decode()}
        self.terms, self.mute, self.peer = {"heartbeat_ms": heartbeat_ms, "lease_ms": lease_ms}, False, None

    def say(self, what, **fields):
        self.socket.send_multipart([self.peer, msgpack.packb({"t": what, **fields})])

    def hear(self, kind, fits=lambda _: True, never=lambda _: False, seconds=60):
        def next_one():
            if self.socket.poll(100):
                self.peer, frame = self.socket.recv_multipart()
                message = msgpack.unpackb(frame)
                assert not never(message), f"it said {str(message)[:300]}"
                if not self.mute and message["t"] in ("hello", "heartbeat"):
                    self.say("heartbeat", at=0) if message["t"] == "heartbeat" else self.say("welcome", version=1, **self.terms)
                if message["t"] == kind and fits(message):
                    return message
            return None
        return wait_until(next_one, seconds, f"the worker says {kind}")


class WithAPlayedHead(unittest.TestCase):
    def start(self, first_heads=(), ffmpeg=None, engine=None, **terms):
        """`ffmpeg`: a shell script that the worker finds in the program's place; "": it finds none. `engine`: the text of a module
        that it finds in the place of its own."""
        self.head = PlayedHead(**terms)
        self.head.token["heads"][:0] = first_heads
        self.addCleanup(self.head.socket.close, 0)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-played-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        (self.folder / "token").write_text(json.dumps(self.head.token))
        programs = {} if ffmpeg is None else {"PATH": str(self.folder / "bin")}
        if ffmpeg:
            self.put_ffmpeg(ffmpeg)
        program = ROOT / "examples/python_worker.py"
        if engine:
            program = pathlib.Path(shutil.copy(program, self.folder))
            (self.folder / "mandelbrot.py").write_text(engine)
        with open(self.folder / "log", "wb") as log:
            self.worker = start_worker(self, self.folder / "token", log, "--model", "a CPU", program=program, **programs)
        self.device = self.head.hear("hello")["devices"][0]["name"]

    def put_ffmpeg(self, script):
        (self.folder / "bin").mkdir()
        (self.folder / "bin/ffmpeg").write_text("#!/bin/sh\n" + script)
        (self.folder / "bin/ffmpeg").chmod(0o755)

    def assign(self, attempt, params, job="job", inputs=(), timeout_ms=0):
        ref = {"job": job, "stage": 0, "attempt": attempt}
        self.head.say("assign", ref=ref, device=self.device, kind="scene.video", params=params, inputs=inputs, timeout_ms=timeout_ms)
        return ref

    def words(self):
        return (self.folder / "log").read_text()

    def test_it_dials_the_next_head_when_one_is_not_there(self):
        self.start(first_heads=[f"tcp://127.0.0.1:{free_port()}"])
        self.assign(1, SHORT)
        self.head.hear("put")

    def test_what_runs_is_stopped_when_the_head_is_not_heard_for_longer_than_the_lease(self):
        self.start(heartbeat_ms=200, lease_ms=int(5000 * PATIENCE))
        ref = self.assign(1, ENDLESS)
        self.head.hear("progress")
        self.assertEqual(len(drawing(self.worker)), 1)
        self.head.mute = True
        self.assertEqual(self.head.hear("hello")["running"], [{"ref": ref, "device": self.device}], "it dials anew first, and has it still")
        told = self.head.hear("hello", lambda m: not m["running"])
        self.assertEqual(drawing(self.worker), [])
        self.assertEqual([(f["ref"], f["fault"]) for f in told["unacknowledged_failures"]], [(ref, "cancelled")])
        self.head.mute = False
        self.head.hear("hello")
        self.assign(2, SHORT)
        self.head.hear("put")

    def test_a_head_that_beats_once_a_minute_is_not_dialled_again(self):
        self.start(heartbeat_ms=60_000)
        self.assign(1, ENDLESS)
        self.head.say("refused", reason="another line")
        self.head.hear("hello")
        self.head.mute = True  # for a minute
        welcomed = time.monotonic()
        self.head.hear("progress", lambda _: time.monotonic() > welcomed + 6, never=lambda m: m["t"] == "hello")

    def test_a_higher_attempt_breaks_the_older_one_off_and_a_lower_one_changes_nothing(self):
        self.start()
        first = self.assign(1, ENDLESS)
        self.head.hear("progress", lambda m: m["ref"] == first)
        third = self.assign(3, ENDLESS)
        broken_off = self.head.hear("failed")
        self.assertEqual((broken_off["ref"], broken_off["fault"]), (first, "cancelled"))
        second = self.assign(2, SHORT)
        self.head.hear("progress", lambda m: m["ref"] == third)
        self.assertEqual(len(drawing(self.worker)), 1)
        self.head.say("cancel", ref=third)
        self.head.hear("failed", lambda m: m["ref"] == third)
        other = self.assign(1, SHORT, job="another")
        self.head.hear("progress", lambda m: m["ref"] == other, never=lambda m: m.get("ref") == second)

    def test_an_upload_goes_on_where_the_head_says_and_is_offered_again_when_it_is_forgotten(self):
        self.start()
        ref = self.assign(1, dict(SHORT, width=1280, height=720, frames=40))
        offer = self.head.hear("put")
        answer = {"sha256": offer["sha256"], "offset": 0, "credit": 0, "done": False}
        self.head.say("put_ready", **dict(answer, error="unknown"))
        self.assertEqual(self.head.hear("put"), offer)
        self.head.say("put_ready", **dict(answer, credit=1, error=""))
        film = self.head.hear("put_chunk")["data"]
        self.assertEqual(len(film), CHUNK)
        self.head.say("refused", reason="another line")
        self.assertEqual(self.head.hear("put"), offer, "on the new connection")
        self.head.say("put_ready", **dict(answer, offset=CHUNK, credit=64, error=""))
        while len(film) < offer["bytes"]:
            piece = self.head.hear("put_chunk")
            self.assertEqual(piece["offset"], len(film))
            film += piece["data"]
        self.assertEqual(hashlib.sha256(film).hexdigest(), offer["sha256"])
        self.head.say("put_ready", **dict(answer, done=True, error=""))
        finished = self.head.hear("finished")
        self.assertEqual((finished["ref"], finished["outputs"][0]["bytes"], finished["transfer_ms"]), (ref, len(film), 0))

    def test_what_failed_is_said_until_it_is_acknowledged(self):
        self.start()
        ref = {"job": "never here", "stage": 0, "attempt": 7}
        self.head.say("cancel", ref=ref)
        failed = self.head.hear("failed")
        self.assertEqual((failed["ref"], failed["fault"]), (ref, "cancelled"))
        self.assign(7, SHORT, job="never here")
        self.assertEqual(self.head.hear("failed"), failed)
        self.head.say("refused", reason="another line")
        self.assertEqual([f["ref"] for f in self.head.hear("hello")["unacknowledged_failures"]], [ref])
        self.head.say("acknowledge", ref=ref)
        self.head.say("refused", reason="another line")
        self.assertEqual(self.head.hear("hello")["unacknowledged_failures"], [])

    def test_what_it_cannot_run_may_run_elsewhere(self):
        self.start()
        self.assign(1, SHORT, inputs=[{"port": "image", "sha256": "0" * 64, "bytes": 9, "content_type": "image/png", "metadata": {}}])
        self.assertEqual(self.head.hear("failed")["fault"], "unsuited")

    def test_what_takes_longer_than_it_may_is_broken_off(self):
        self.start()
        self.assign(1, ENDLESS, timeout_ms=500)
        failed = self.head.hear("failed")
        self.assertEqual((failed["fault"], drawing(self.worker)), ("timeout", []))
        self.assertGreaterEqual(failed["run_ms"], 500)

    def test_without_ffmpeg_it_says_so_and_lives(self):
        self.start(ffmpeg="")
        self.assign(1, SHORT)
        failed = self.head.hear("failed")
        self.assertEqual((failed["fault"], failed["message"]), ("device", "ffmpeg cannot be run here"))
        self.assertIn("No such file or directory: 'ffmpeg'", self.words())
        self.put_ffmpeg(f'exec {shutil.which("ffmpeg")} "$@"')
        self.assign(2, SHORT)
        self.head.hear("put")

    def test_what_ffmpeg_complains_of_is_in_the_worker_s_log_alone(self):
        self.start(ffmpeg='i=0; while [ $i -lt 9999 ]; do echo "/home/someone: $i" >&2; i=$((i + 1)); done; exit 3')
        self.assign(1, SHORT)
        failed = self.head.hear("failed")
        self.assertEqual((failed["fault"], failed["message"]), ("unknown", "ffmpeg ended with 3"))
        self.assertIn("/home/someone: 9998", self.words())

    def test_an_engine_of_one_s_own_takes_the_place_of_ffmpeg(self):
        self.start(engine="""
KIND, NAME, VERSION, VRAM_MIB, STAND_IN = "image.generate", "mine", "7", 1, False
class Failure(Exception): pass
def run(params):
    if params["prompt"] == "a bug":
        return open("/home/someone/weights")
    if params["prompt"] == "no":
        raise Failure("out_of_memory", "it is too large")
    yield
    yield {"progress": {"fraction": 0.5, "step": "thinking"}}
    return {"port": "image", "content_type": "image/png", "metadata": {}}, b"a picture"
""")
        self.assertEqual(self.device, "cpu0")
        for prompt, why in (("a bug", ("unknown", "the engine failed")), ("no", ("out_of_memory", "it is too large"))):
            self.assign(1, {"prompt": prompt}, job=prompt)
            failed = self.head.hear("failed")
            self.assertEqual((failed["fault"], failed["message"]), why)
        self.assertIn("/home/someone/weights", self.words())
        self.assign(1, {"prompt": "yes"})
        self.assertEqual(self.head.hear("progress")["step"], "thinking")
        offer = self.head.hear("put")
        self.assertEqual(offer["sha256"], hashlib.sha256(b"a picture").hexdigest())
        self.head.say("put_ready", sha256=offer["sha256"], offset=0, credit=0, done=True, error="")
        finished = self.head.hear("finished")
        self.assertEqual((finished["engine"], finished["preview"], finished["outputs"][0]["port"]), ("mine/7", False, "image"))

    def test_an_engine_that_says_what_the_head_would_refuse_costs_its_stage_at_most(self):
        self.start(engine="""
KIND, NAME, VERSION, VRAM_MIB, STAND_IN = "image.generate", "mine", "7", 1, False
class Failure(Exception): pass
def run(params):
    yield {"progress": {"fraction": params["fraction"], "step": "x" + "ü" * 100}}
    if params["why"]:
        raise Failure(*params["why"])
    return params["made"]
""")
        failed = ("unknown", "the engine failed")
        for number, (fraction, shown, why, made, told) in enumerate((
                (1.5, 1, ["out_of_memory", "x" + "ü" * 4096], None, ("out_of_memory", "x" + "ü" * 2047)),
                (-1, 0, ["tired", "it is late"], None, ("unknown", "it is late")),
                (float("nan"), 0, ["device"], None, failed),
                (0.5, 0.5, ["device", "two", "three"], None, failed),
                (0.5, 0.5, [], None, failed),
                (0.5, 0.5, [], b"a picture", failed))):
            self.assign(1, {"fraction": fraction, "why": why, "made": made}, job=str(number))
            progress = self.head.hear("progress", lambda m, job=str(number): m["ref"]["job"] == job)
            self.assertEqual((progress["fraction"], progress["step"]), (shown, "x" + "ü" * 63))
            ended = self.head.hear("failed")
            self.assertEqual((ended["ref"]["job"], ended["fault"], ended["message"]), (str(number), *told))

    def test_what_an_engine_made_that_no_frame_can_tell_fails_its_stage_and_is_not_told(self):
        self.start(engine="""
KIND, NAME, VERSION, VRAM_MIB, STAND_IN = "image.generate", "mine", "7", 1, False
class Failure(Exception): pass
def run(params):
    yield
    about = {"port": "image", "content_type": "image/png", "metadata": {}}
    exec(params["mistake"])
    return about, b"a picture"
""")
        unfit, failed = "the engine's artifact has no port, or too long a name, or too much metadata", "the engine failed"
        for number, (mistake, why) in enumerate((
                ("del about['port']", unfit), ("about['port'] = ''", unfit), ("about['port'] = 'x' * 129", unfit), ("about['content_type'] = 'ü' * 65", unfit),
                ("about['metadata']['x'] = 'x' * (64 << 10)", unfit), ("about['metadata']['x'] = [0] * 7300", unfit), ("about['metadata']['x'] = float('nan')", unfit),
                ("about['metadata']['x'] = 1 << 64", unfit), ("about['port'] = 7", failed), ("about['metadata'] = None", failed), ("about['metadata'][7] = 'x'", failed),
                ("about['metadata']['x'] = b'x'", failed), ("about['metadata']['x'] = '\\ud800'", failed), ("x = about['metadata']\nfor _ in range(11): x['x'] = x = {}", failed))):
            ref = self.assign(1, {"mistake": mistake}, job=str(number))
            told = self.head.hear("failed", never=lambda m: m["t"] == "put")
            self.assertEqual((told["ref"], told["fault"], told["message"]), (ref, "unknown", why), mistake)
        for fine in ("about['metadata']['x'] = 'x' * (60 << 10)", "about['metadata']['x'] = [None, True, -0.5, ['ü', {'x': 1}]]", "about['more'] = about"):
            self.assign(1, {"mistake": fine}, job=fine)
            offer = self.head.hear("put")
            self.head.say("put_ready", sha256=offer["sha256"], offset=0, credit=0, done=True, error="")
            finished = self.head.hear("finished")
            self.assertEqual(set(finished["outputs"][0]), {"port", "sha256", "bytes", "content_type", "metadata"})
            self.head.say("acknowledge", ref=finished["ref"])

    def test_an_engine_that_does_not_let_itself_be_ended_keeps_no_other_stage_from_running(self):
        self.start(engine="""
KIND, NAME, VERSION, VRAM_MIB, STAND_IN = "image.generate", "mine", "7", 1, False
class Failure(Exception): pass
def run(params):
    try:
        while True:
            yield {"progress": {"fraction": 0, "step": params["end"]}}
    finally:
        exec(params["end"])
        yield
""")
        for end in ("raise OSError('it cannot be removed')", "raise Failure('bad_input', 'no')", "pass"):
            for word, timeout_ms in (("cancelled", 0), ("timeout", 1)):
                ref = self.assign(1, {"end": end}, job=word + end, timeout_ms=timeout_ms)
                self.head.hear("progress", lambda m, ref=ref: m["ref"] == ref)
                if word == "cancelled":
                    self.head.say("cancel", ref=ref)
                failed = self.head.hear("failed")
                self.assertEqual((failed["ref"], failed["fault"]), (ref, word))
        self.assertIn("it cannot be removed", self.words())

    def test_who_is_refused_asks_ever_later_and_at_once_when_it_was_welcome(self):
        self.start()
        self.head.mute = True  # it is welcomed no more
        waits = []
        for _ in range(5):
            refused = time.monotonic()
            self.head.say("refused", reason="another line")
            self.head.hear("hello")
            waits.append(time.monotonic() - refused)
        for waited, least in zip(waits[1:], (0.25, 0.5, 1, 2)):
            self.assertGreaterEqual(waited, least)
        self.assertLess(waits[0], 2)
        self.head.say("welcome", version=1, **self.head.terms)
        refused = time.monotonic()
        self.head.say("refused", reason="another line")
        self.head.hear("hello")
        self.assertLess(time.monotonic() - refused, 2)

    def test_a_run_that_writes_to_the_last_is_broken_off_and_leaves_nothing(self):
        self.start(ffmpeg='for last; do :; done; while :; do i=$((i + 1)); : > "${last%/*}/$i"; echo frame=1 > "${last%/*}/progress"; done')
        for attempt in (1, 2, 3):
            ref = self.assign(attempt, SHORT)
            self.head.hear("progress", lambda m: m["ref"] == ref and m["fraction"] > 0)
            self.head.say("cancel", ref=ref)
            self.assertEqual(self.head.hear("failed")["fault"], "cancelled")
        self.assertEqual(list(self.folder.glob("troupe-worker-*")), [])

    def test_a_preview_comes_every_two_seconds_at_most(self):
        self.start()
        self.assign(1, ENDLESS)
        self.head.hear("preview")
        first = time.monotonic()
        self.head.hear("preview")
        self.assertGreater(time.monotonic() - first, 1.5)

    def test_the_preview_of_a_narrow_film_is_small(self):
        self.start()
        self.assign(1, dict(ENDLESS, width=64, height=4096))
        jpeg = self.head.hear("preview")["jpeg"]
        probe = ["ffprobe", "-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0", "-"]
        self.assertEqual(subprocess.run(probe, input=jpeg, capture_output=True, check=True).stdout.split(), [b"4,320"])

    def test_a_preview_that_the_head_would_refuse_is_not_sent(self):
        self.start(ffmpeg=f'for preview; do :; done; {shutil.which("head")} -c 262145 /dev/zero > "$preview.new"; {shutil.which("mv")} "$preview.new" "$preview"\n'
                          f'echo frame=1 > "${{preview%/*}}/progress"; exec {shutil.which("sleep")} 1000')
        self.assign(1, SHORT)
        for _ in range(2):  # with the second, whatever came beside the first was heard
            self.head.hear("progress", lambda m: m["fraction"] > 0, never=lambda m: m["t"] == "preview")

    def test_what_it_does_not_know_it_says_in_its_log(self):
        self.start()
        self.head.say("perform", play="Hamlet")
        self.head.say("heartbeat", at=0, mood="merry")
        self.assign(1, SHORT)
        self.head.hear("put")
        self.assertIn("'perform', which is not understood here", self.words())
        self.assertNotIn("'heartbeat'", self.words())


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""The example of a node in another language, as it is in examples/: it joins, runs stages, shows progress and a preview, brings
its film, obeys a cancel, and is a node like any other when head or worker die. What a real head seldom says is said by one that
the test plays itself."""
import hashlib
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
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


def start_worker(test, token, log, *options):
    worker = subprocess.Popen([sys.executable, str(ROOT / "examples/python_worker.py"), "--join", str(token), *options], stdout=log, stderr=log)

    def end():
        worker.terminate()  # not SIGKILL, which would leave an ffmpeg
        worker.wait(30 * PATIENCE)
    test.addCleanup(end)
    return worker


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

    def stop_worker(self, how):
        self.worker.send_signal(how)
        return self.worker.wait(30 * PATIENCE)

    def generate(self, work):
        return self.user.post("/api/generate", work)["job_id"]

    def test_it_makes_a_film_on_its_gpu_and_says_how_far_it_is(self):
        job = self.generate(WORK)
        view = self.user.wait_for_job(job, 60)
        self.assertEqual(view["stages"][0]["attempts"], 1)
        self.assertEqual(view["stages"][0]["device"], "python/cuda0")
        device = next(d for d in self.admin.get("/api/admin/devices")["devices"] if d["id"] == "python/cuda0")
        self.assertEqual((device["type"], device["model"], device["vram_mib"]), ("cuda", "A card", 8192))
        names = [name for _, name, _ in self.user.all_events(job)]
        self.assertIn("progress", names)
        self.assertIn("preview", names)
        film = self.user.send("GET", "/api/video/" + self.user.get(f"/api/status?job_id={job}")["filename"])
        self.assertEqual((film.status, film.headers["content-type"]), (200, "video/mp4"))
        self.assertEqual(film.bytes[4:8], b"ftyp")
        self.assertEqual(self.stop_worker(signal.SIGTERM), 0)

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
        self.stop_worker(signal.SIGKILL)
        self.start_worker()
        self.assertGreater(self.user.wait_for_job(job, 120)["stages"][0]["attempts"], 1)

    def test_a_head_that_is_killed_takes_it_back(self):
        job = self.generate(LONG)
        self.user.wait_for_stage(job, self.user.job(job)["stages"][0]["name"])
        self.head.kill9()
        self.head.start()
        self.assertEqual(self.user.wait_for_job(job, 120)["stages"][0]["attempts"], 1, "what ran was run again")


class PlayedHead:
    """The head's end of the protocol, where the test says each word. `hear` returns the next message that is asked for; hellos
    are answered, and heartbeats sent, unless it is `mute`."""

    def __init__(self, lease_ms=30_000):
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        public, self.socket.curve_secretkey = zmq.curve_keypair()
        self.socket.curve_server = True
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        mine, secret = zmq.curve_keypair()
        self.token = {"name": "python", "heads": [f"tcp://127.0.0.1:{port}"], "head_key": public.decode(), "public_key": mine.decode(), "secret_key": secret.decode()}
        self.lease_ms, self.mute, self.peer = lease_ms, False, None

    def say(self, what, **fields):
        self.socket.send_multipart([self.peer, msgpack.packb({"t": what, **fields})])

    def hear(self, kind, fits=lambda _: True, never=lambda _: False, seconds=60):
        def next_one():
            if self.socket.poll(100):
                self.peer, frame = self.socket.recv_multipart()
                message = msgpack.unpackb(frame)
                assert not never(message), f"it said {message}"
                if not self.mute and message["t"] in ("hello", "heartbeat"):
                    self.say("heartbeat", at=0) if message["t"] == "heartbeat" else self.say("welcome", version=1, heartbeat_ms=200, lease_ms=self.lease_ms)
                if message["t"] == kind and fits(message):
                    return message
            return None
        return wait_until(next_one, seconds, f"the worker says {kind}")


class WithAPlayedHead(unittest.TestCase):
    def start(self, first_heads=(), **options):
        self.head = PlayedHead(**options)
        self.head.token["heads"][:0] = first_heads
        self.addCleanup(self.head.socket.close, 0)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-played-"))
        self.addCleanup(shutil.rmtree, folder, True)
        (folder / "token").write_text(json.dumps(self.head.token))
        self.worker = start_worker(self, folder / "token", None)
        self.device = self.head.hear("hello")["devices"][0]["name"]

    def assign(self, attempt, params, job="job"):
        ref = {"job": job, "stage": 0, "attempt": attempt}
        self.head.say("assign", ref=ref, device=self.device, kind="scene.video", params=params, inputs=[], timeout_ms=0)
        return ref

    def films(self):
        """How many of the worker's processes draw."""
        return len(pathlib.Path(f"/proc/{self.worker.pid}/task/{self.worker.pid}/children").read_text().split())

    def test_it_dials_the_next_head_when_one_is_not_there(self):
        self.start(first_heads=[f"tcp://127.0.0.1:{free_port()}"])
        self.assign(1, SHORT)
        self.head.hear("put")

    def test_what_runs_is_stopped_when_the_head_is_not_heard_for_longer_than_the_lease(self):
        self.start(lease_ms=1500)
        ref = self.assign(1, ENDLESS)
        self.head.hear("progress")
        self.assertEqual(self.films(), 1)
        self.head.mute = True
        self.assertEqual(self.head.hear("hello")["running"], [{"ref": ref, "device": self.device}], "it dials anew first, and has it still")
        wait_until(lambda: self.films() == 0, 10, "the drawing is stopped")
        self.head.mute = False
        told = self.head.hear("hello", lambda m: not m["running"])
        self.assertEqual([(f["ref"], f["fault"]) for f in told["unacknowledged_failures"]], [(ref, "cancelled")])
        self.assign(2, SHORT)
        self.head.hear("put")

    def test_a_higher_attempt_breaks_the_older_one_off_and_a_lower_one_changes_nothing(self):
        self.start()
        first = self.assign(1, ENDLESS)
        self.head.hear("progress", lambda m: m["ref"] == first)
        third = self.assign(3, ENDLESS)
        broken_off = self.head.hear("failed")
        self.assertEqual((broken_off["ref"], broken_off["fault"]), (first, "cancelled"))
        second = self.assign(2, SHORT)
        self.head.hear("progress", lambda m: m["ref"] == third)
        self.assertEqual(self.films(), 1)
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
        self.assertEqual((finished["ref"], finished["outputs"][0]["bytes"]), (ref, len(film)))


if __name__ == "__main__":
    unittest.main(verbosity=2)

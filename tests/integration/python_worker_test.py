"""The example of a node in another language, as it is in examples/: it joins, runs stages, shows progress and a preview, brings
its film, obeys a cancel, and is a node like any other when head or worker die."""
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import PATIENCE, ROOT, Head, wait_until  # noqa: E402

WORK = {"prompt": "A quiet sea", "width": 320, "height": 240, "frames": 48, "seed": 5}
LONG = dict(WORK, width=848, height=480, frames=80)


class PythonWorker(unittest.TestCase):
    def setUp(self):
        self.head = Head({"node.local": False}).start()
        self.addCleanup(self.head.destroy)
        self.token = self.head.data / "python.token"
        self.token.write_text(self.head.admin().post("/api/admin/nodes", {"name": "python", "heads": [f"ipc://{self.head.data}/node.sock"]})["token"])
        self.worker = None
        self.start_worker()
        self.addCleanup(self.stop_worker, signal.SIGKILL)
        self.user = self.head.user("watcher", tier="studio", grant=10_000)

    def start_worker(self):
        self.worker = subprocess.Popen([sys.executable, str(ROOT / "examples/python_worker.py"), "--join", str(self.token)], stderr=self.head.log)
        self.head.wait_for_engines()

    def stop_worker(self, how):
        if self.worker.poll() is None:
            self.worker.send_signal(how)
        return self.worker.wait(30 * PATIENCE)

    def generate(self, work):
        return self.user.post("/api/generate", work)["job_id"]

    def test_it_makes_a_film_and_says_how_far_it_is(self):
        job = self.generate(WORK)
        view = self.user.wait_for_job(job, 60)
        self.assertEqual(view["stages"][0]["attempts"], 1)
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


if __name__ == "__main__":
    unittest.main(verbosity=2)

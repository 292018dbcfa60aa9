"""kill -9 of the head, of the node, or of both, at random moments of the main job. Whatever dies, the job ends with the same
film, every stage is charged once, nothing stays held, and the account's events have no gap.

TROUPE_KILLS is how many kills (50), TROUPE_SEED replays the moments of a run that failed."""
import json
import os
import pathlib
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import PATIENCE, Head, assert_money_is_right, outputs_of, small_film, wait_until  # noqa: E402

KILLS = int(os.environ.get("TROUPE_KILLS", "50"))
SEED = int(os.environ.get("TROUPE_SEED", random.SystemRandom().randrange(1_000_000)))
KILLS_PER_JOB = 5
FILM = small_film(shots=3, seconds=0.5, width=128, height=80, upscale=2, narration="The sea is calm tonight. Nobody is awake.")
SETTINGS = {"node.slots": 2, "node.heartbeat_ms": 100, "node.timeout_ms": 1000 * max(1, int(PATIENCE)), "actors.passivate_after_s": 1}


class Follower:
    """Reads an account's event stream all the time and resumes it where it was cut off, over any number of restarts."""

    def __init__(self, user):
        self.user = user
        self.events = []
        self.problem = None
        self._stop = False
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self):
        last = 0
        while not self._stop:
            try:
                for event in self.user.stream("/api/events", after=last, timeout=20):
                    self.events.append(event)
                    last = event[0]
                    if self._stop:
                        return
            except AssertionError as problem:
                if not self._stop and " 503 " not in str(problem):
                    self.problem = problem
            except Exception:  # cut off, in one of the many ways
                pass
            time.sleep(0.02)

    def stop(self):
        self._stop = True
        self._thread.join(60 * PATIENCE)


def what_it_waits_for(admin, job):
    """The states of all who have a part in it; for whoever reads the failure."""
    told = []
    for path in (f"/api/jobs/{job}", f"/api/admin/actors/job/{job}", "/api/admin/actors/scheduler/main", "/api/admin/actors/cluster/main",
                 "/api/admin/actors/directory/main", "/api/admin/actors/device/local/cpu0"):
        try:
            told.append(f"{path}: {json.dumps(admin.get(path))[:4000]}")
        except Exception as problem:
            told.append(f"{path}: {problem}")
    return "\n".join(told)


class Crash(unittest.TestCase):
    def film_of(self, view):
        return next(a["sha256"] for a in view["artifacts"] if a["name"] == "video")

    def check_events(self, user, jobs):
        """Dense ids; every job's stages succeed once, after which they do not run again; one `done` a job."""
        events, done = [], set()
        for event in user.stream("/api/events", after=0):
            events.append(event)
            if event[1] == "done":
                done.add(event[2]["job_id"])
            if done == set(jobs):
                break
        self.assertEqual([event_id for event_id, _, _ in events], list(range(1, len(events) + 1)), "event ids have gaps or repeats")
        for job, view in jobs.items():
            told = [(name, data) for _, name, data in events if data["job_id"] == job]
            self.assertEqual(sum(name == "done" for name, _ in told), 1)
            for stage in view["stages"]:
                steps = [data["status"] for name, data in told if name == "stage" and data["stage"] == stage["name"]]
                self.assertEqual(steps.count("succeeded"), 1, f"{stage['name']} of {job}: {steps}")
                self.assertEqual(steps[-1], "succeeded", f"{stage['name']} of {job} ran again after it had succeeded: {steps}")
                charges = [data for name, data in told if name == "charge" and data["stage"] == stage["name"]]
                self.assertEqual(len(charges), 1, f"{stage['name']} of {job} told its charge {len(charges)} times")
        return events

    def test_kills_at_random_moments_of_the_main_job_change_nothing(self):
        print(f"\n{KILLS} kills, TROUPE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        head = Head(SETTINGS).start()
        self.addCleanup(head.destroy)
        head.wait_for_engines()
        admin = head.admin()
        user = head.user("survivor", grant=100_000)
        reference = user.wait_for_job(user.run("short-film", FILM)["job_id"], 300)
        begin = time.monotonic()
        again = user.wait_for_job(user.run("short-film", FILM)["job_id"], 300)
        duration = time.monotonic() - begin
        self.assertEqual(self.film_of(again), self.film_of(reference), "the film differs without any kill")
        outputs = outputs_of(admin, user, reference["job_id"])
        print(f"undisturbed: {duration:.2f} s", flush=True)
        jobs = {reference["job_id"]: reference, again["job_id"]: again}
        follower = Follower(user)
        left = KILLS
        while left > 0:
            kills = min(left, chance.randint(1, 2 * KILLS_PER_JOB - 1))
            left -= kills
            job, story = self.disturbed(head, user, chance, kills, duration)
            try:
                view = user.wait_for_job(job, 300)
                if self.film_of(view) != self.film_of(reference):
                    changed = {name: made for name, made in outputs_of(admin, user, job).items() if outputs.get(name) != made}
                    self.fail(f"the film differs; these outputs do: {json.dumps(changed, indent=1)}")
                jobs[job] = view
                assert_money_is_right(self, user, jobs, admin)
            except Exception:
                head.keep = True
                print(f"\nkills of job {job}: {story}\n{what_it_waits_for(admin, job)}\n{head.log_tail(80)}", flush=True)
                raise
            print(f"{KILLS - left:3d} kills; job with {len(story)}: {story[-1][3]:.1f} s; attempts "
                  f"{sum(stage['attempts'] for stage in view['stages'])} of {len(view['stages'])}", flush=True)
        events = self.check_events(user, jobs)
        wait_until(lambda: follower.problem or (follower.events and follower.events[-1][0] == events[-1][0]), 30, "the follower has read all")
        follower.stop()
        self.assertIsNone(follower.problem)
        self.assertEqual(follower.events, events, "a client that was told something before a kill would now be told otherwise")
        self.assertEqual(head.stop(), 0)

    def disturbed(self, head, user, chance, kills, duration):
        """Runs the film and kills `kills` times, at moments spread evenly over the time of an undisturbed run."""
        job = user.run("short-film", FILM)["job_id"]
        begin = time.monotonic()
        moments = sorted(chance.uniform(0, duration) for _ in range(kills))
        waits = [after - before for before, after in zip([0.0] + moments, moments)]
        story = []
        for wait in waits:
            victim = chance.choice(["head", "node", "both"])
            down = chance.choice([0, 0, chance.uniform(0, 0.5)])
            time.sleep(wait)  # the moment itself is what is being tested
            story.append((round(wait, 3), victim, round(down, 3), time.monotonic() - begin))
            if victim in ("node", "both"):
                head.kill_node9()
            if victim in ("head", "both"):
                head.kill9()
                time.sleep(down)
                head.start()
        story.append(("ended", "", 0, time.monotonic() - begin))
        return job, story

    def test_nodes_that_wait_for_the_folder_end_with_the_head_that_started_them(self):
        # A head that is killed while its node has hardly begun: that one waits for a head that it never saw alive.
        head = Head(SETTINGS).start()
        self.addCleanup(head.destroy)
        head.wait_for_engines()
        for _ in range(6):
            head.kill9()
            head.start()
        head.wait_for_engines()
        wait_until(lambda: len(head.nodes()) <= 2, 10, "there is the node that works, and at most the one that waits")

    def test_a_kill_during_submissions_leaves_all_of_each_or_nothing(self):
        chance = random.Random(SEED + 1)
        head = Head(SETTINGS).start()
        self.addCleanup(head.destroy)
        head.wait_for_engines()
        admin = head.admin()
        user = head.user("submitter", grant=100_000)
        promised = set()
        for _ in range(5):
            stop = threading.Event()

            def submit():
                while not stop.is_set():
                    try:
                        promised.add(user.run("bench-chain", {"ms": 5})["job_id"])
                    except Exception:  # the head is gone: it promised nothing
                        stop.wait(0.01)

            threads = [threading.Thread(target=submit) for _ in range(4)]
            for thread in threads:
                thread.start()
            before = len(promised)
            wait_until(lambda: len(promised) > before + 3, 60, "jobs are being submitted")
            time.sleep(chance.uniform(0, 0.2))
            head.kill9()
            stop.set()
            for thread in threads:
                thread.join()
            head.start()
        total = user.get("/api/generations?limit=1")["total"]
        there = {row["job_id"] for offset in range(0, total, 200)
                 for row in user.get(f"/api/generations?limit=200&offset={offset}")["generations"]}
        self.assertEqual(len(there), total)
        self.assertEqual(promised - there, set(), "jobs that were promised are gone")
        self.assertLessEqual(len(there - promised), 5 * 4, "at most what was in flight may be there unpromised")
        views = {job: user.wait_for_job(job, 120) for job in there}
        wallet = assert_money_is_right(self, user, views, admin)
        self.assertEqual({row["job_id"] for row in wallet.rows if row["type"] == "hold"}, there)
        self.assertEqual(len(wallet.captures), 4 * len(there))


if __name__ == "__main__":
    unittest.main(verbosity=2)

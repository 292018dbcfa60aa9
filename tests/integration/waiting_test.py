"""Why stages wait, with their position and when they should begin: told of each of them by the job, the queue and the job's stream, also
of those that wait outside of the scheduler's queue."""
import contextlib
import json
import time
import unittest

from scheduling_test import Scheduling, one_stage
from studio import PATIENCE, wait_until

STAGES = 12  # more than ten: "10" is before "2" only as text
STREAMS = 16  # of an account at a time
FIELDS = {"index", "stage", "code", "reason", "position", "eta_ms"}


def wide():
    """STAGES stages, none of which needs another."""
    out = one_stage("wide")
    work = out["stages"][0]
    out["stages"] = [dict(work, id=f"work{n}") for n in range(STAGES)]
    out["result"] = {f"data{n}": {"from": f"work{n}.data", "filename": f"wide{n}_{{job}}.bin"} for n in range(STAGES)}
    return out


def fails_at_first(backoff_ms):
    work = {"ms": "$inputs.ms", "fail": "unknown", "fail_attempts": 1}
    return one_stage("fails-at-first", params=work, retry={"attempts": 2, "backoff_ms": backoff_ms})


class Waiting(Scheduling):
    def setUp(self):
        super().setUp()
        for what in (wide(), fails_at_first(int(6_000 * PATIENCE))):
            (self.folder / "workflows" / (what["name"] + ".json")).write_text(json.dumps(what))
        self.head.admin().post("/api/admin/workflows/reload")

    def in_queue(self, job):
        return next(row for row in self.user.get("/api/queue")["active_jobs"] if row["job_id"] == job)

    def of_job(self, job):
        """Why its stages wait, by index, as the job itself says it."""
        return {stage["index"]: stage["waiting"] for stage in self.user.job(job)["stages"] if "waiting" in stage}

    def told_until_done(self, job):
        """The stream that tells of waiting, to its end: what it told of that, as (index, data), and all else."""
        waiting, others = [], []
        for event in self.user.stream(f"/api/jobs/{job}/events?waiting=true", after=0):
            if event[1] != "waiting":
                others.append(event)
                continue
            self.assertEqual(event[0], others[-1][0] if others else None, "it has no id of its own")
            self.assertEqual(set(event[2]), FIELDS | {"job_id"})
            self.assertEqual(event[2]["job_id"], job)
            waiting.append((event[2]["index"], event[2]))
        self.assertEqual(others, self.user.all_events(job), "who does not ask for it is told all else, and only that")
        return waiting


class InLine(Waiting):
    def test_each_stage_in_line_has_its_reason_position_and_estimate(self):
        self.join("one")
        job = self.run_one("wide", int(700 * PATIENCE))
        self.user.wait_for_stage(job, "work0")
        row = wait_until(lambda: (lambda r: r if {s["code"] for s in r["waiting"]} == {"busy"} else None)(self.in_queue(job)), 5, "all are in line")
        self.assertGreater(row["waiting_count"], 2)
        self.assertEqual([stage["index"] for stage in row["waiting"]], list(range(STAGES - row["waiting_count"], STAGES)))
        for stage in row["waiting"]:
            self.assertEqual(set(stage), FIELDS)
            self.assertEqual(stage["stage"], f"work{stage['index']}")
            self.assertTrue(stage["reason"])
        self.assertEqual([stage["position"] for stage in row["waiting"]], list(range(1, row["waiting_count"] + 1)), "first come, first served")
        estimates = [stage["eta_ms"] for stage in row["waiting"]]
        self.assertEqual(estimates, sorted(estimates))
        self.assertGreater(estimates[0], 0)
        self.assertGreater(estimates[-1], estimates[0])
        self.assertEqual({name: row[name] for name in ("position", "code", "reason", "eta_ms")},
                         {name: row["waiting"][0][name] for name in ("position", "code", "reason", "eta_ms")}, "the job's own are of the next one")
        queue = self.user.get("/api/queue")
        self.assertEqual((queue["position"], queue["account_running"], queue["more_jobs"]), (1, 1, False))
        self.assertGreater(queue["account_waiting"], 1)
        self.assertEqual(set(queue["limits"]), {"newest_jobs", "active_jobs", "waiting_stages"})
        by_job = self.of_job(job)
        for why in by_job.values():
            self.assertEqual(set(why), {"code", "reason", "position", "eta_ms"})
        self.assertGreater(by_job[STAGES - 1]["position"], 1)
        self.assertGreater(by_job[STAGES - 1]["eta_ms"], 0)
        begin = time.monotonic()
        told = self.told_until_done(job)
        positions = [data["position"] for index, data in told if index == STAGES - 1 and data["code"] == "busy"]
        self.assertGreater(len(positions), 1, "it is told again when it has moved up")
        self.assertEqual(positions, sorted(set(positions), reverse=True))
        self.assertLessEqual(len(positions), 2 + (time.monotonic() - begin) / 2, "no more often than every two seconds")
        self.assertGreater(next(data["eta_ms"] for index, data in told if index == STAGES - 1), 0)

    def test_the_stream_of_a_job_that_cannot_begin_says_why_and_goes_on_when_it_can(self):
        self.join("one")
        self.troupe("device", "drain", "one/cpu0", "--wait")
        job = self.run_one("plain", 0)
        stream = self.user.stream(f"/api/jobs/{job}/events?waiting=true")
        told = next(data for _, name, data in stream if name == "waiting")
        self.assertEqual((told["index"], told["stage"], told["code"]), (0, "work", "draining"))
        self.assertEqual(self.of_job(job)[0]["code"], "draining")
        self.troupe("device", "enable", "one/cpu0")
        self.assertEqual([name for _, name, _ in stream][-1], "done")

    def test_an_account_has_a_few_streams_that_say_why_at_a_time(self):
        self.join("one")
        self.troupe("device", "drain", "one/cpu0", "--wait")
        job = self.run_one("plain", 0)
        path = f"/api/jobs/{job}/events?waiting=true"
        streams = [self.user.stream(path) for _ in range(STREAMS)]
        for stream in streams:
            next(stream)  # it is open
        refused = self.user.send("GET", path)
        self.assertEqual((refused.status, refused.headers["retry-after"]), (429, "2"))
        self.assertIn(f"{STREAMS} streams", refused.json["error"])
        next(self.user.stream(f"/api/jobs/{job}/events"))  # one that does not ask for it
        other = self.head.user("other", tier="studio", grant=1)
        next(other.stream(f"/api/jobs/{other.run('plain', {'ms': 0})['job_id']}/events?waiting=true"))
        streams.pop().close()

        def one_more():
            with contextlib.suppress(AssertionError):
                return next(self.user.stream(path))
        wait_until(one_more, 20, "what is closed makes room")

    def test_a_stage_that_backs_off_says_when_it_is_tried_again(self):
        self.join("one")
        job = self.run_one("fails-at-first", 0)
        self.user.wait_for_stage(job, "work", "backing_off")
        by_job, row = self.of_job(job)[0], self.in_queue(job)
        self.assertEqual(by_job["code"], "backing_off")
        self.assertIsNone(by_job["position"])
        self.assertTrue(0 < by_job["eta_ms"] <= 6_000 * PATIENCE, by_job)
        self.assertEqual((row["waiting_count"], row["waiting"][0]["code"], row["code"], row["position"]), (1, "backing_off", "backing_off", None))
        self.assertTrue(0 < row["eta_ms"] <= by_job["eta_ms"])
        told = self.told_until_done(job)
        self.assertIn("backing_off", [data["code"] for _, data in told])


class NoRoom(Waiting):
    settings = {"scheduler.queue_per_account": 3}

    def test_stages_that_find_no_room_in_the_queue_say_so(self):
        self.join("one")
        job = self.run_one("wide", int(700 * PATIENCE))
        self.user.wait_for_stage(job, "work0")
        turned_away = lambda row: [stage for stage in row["waiting"] if stage["code"] == "account_queue_full"]  # noqa: E731
        row = wait_until(lambda: (lambda r: r if len(turned_away(r)) > 3 else None)(self.in_queue(job)), 5, "some are turned away")
        self.assertEqual([stage["index"] for stage in row["waiting"]], sorted(stage["index"] for stage in row["waiting"]))
        self.assertEqual(len(row["waiting"]), row["waiting_count"])
        for stage in turned_away(row):
            self.assertEqual((stage["position"], stage["eta_ms"]), (None, None))
            self.assertIn("3 is its limit", stage["reason"])
        self.assertGreaterEqual(row["position"], 1, "the job's own is of the one that is next")
        self.assertIn("account_queue_full", {why["code"] for why in self.of_job(job).values()})
        self.assertIn("account_queue_full", {data["code"] for _, data in self.told_until_done(job)})
        self.assertEqual(self.user.job(job)["status"], "succeeded")


if __name__ == "__main__":
    unittest.main(verbosity=2)

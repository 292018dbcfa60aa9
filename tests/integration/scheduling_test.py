"""What the scheduler does to running work, with real nodes: preemptible stages give way, stragglers run twice, and a queue that is full
says when to come back."""
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import BINARY, PATIENCE, Head, account_of, clean_environment, wait_until  # noqa: E402


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def one_stage(name, **more):
    """A workflow of one stage that works for as long as it is asked to."""
    stage = {"id": "work", "kind": "null.work", "params": {"ms": "$inputs.ms"}, "price": {"rule": "flat", "credits": 1}}
    return {"name": name, "version": 1, "title": name, "description": name, "inputs": {"ms": {"type": "integer", "default": 0, "min": 0, "max": 60000}},
            "stages": [dict(stage, **more)], "result": {"data": {"from": "work.data", "filename": name + "_{job}.bin"}}}


def relay():
    """A stage that makes a file of 16 MiB, and one that takes it."""
    made = one_stage("relay", params={"ms": "$inputs.ms", "bytes": 16 << 20})
    made["stages"].append({"id": "use", "kind": "null.work", "inputs": {"after": "work.data"}, "params": {"bytes": 1}, "price": {"rule": "free"}})
    made["result"]["data"]["from"] = "use.data"
    return made


class Scheduling(unittest.TestCase):
    settings = {}
    config = None

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-scheduling-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        definitions = self.folder / "workflows"
        definitions.mkdir()
        for what in (one_stage("plain"), one_stage("batch", **{"class": "preemptible"}), one_stage("twice", speculative=True), relay()):
            (definitions / (what["name"] + ".json")).write_text(json.dumps(what))
        settings = {"node.local": False, "cluster.listen": f"tcp://127.0.0.1:{free_port()}", "node.heartbeat_ms": 100, "node.timeout_ms": 2000}
        self.head = Head(dict(settings, **self.settings), workflows=str(definitions), config=self.config).start()
        self.addCleanup(self.head.destroy)
        self.key = self.head.admin().post("/api/keys", {"name": "operator"})["key"]
        self.user = self.head.user("worker", tier="studio", grant=1_000)

    def troupe(self, *words):
        environment = clean_environment(TROUPE_API_KEY=self.key, TROUPE_URL=f"http://127.0.0.1:{self.head.port}")
        done = subprocess.run([BINARY, "admin", *words], capture_output=True, text=True, timeout=120 * PATIENCE, check=True, env=environment)
        return done.stdout

    def join(self, name):
        token = self.folder / f"{name}.token"
        token.touch(0o600)
        token.write_text(self.troupe("node", "add", name))
        process = subprocess.Popen([BINARY, "node", "--join", str(token), "--folder", str(self.folder / name), "--slots", "1"],
                                   stderr=self.head.log, env=clean_environment())

        def end():
            process.kill()
            process.wait()
        self.addCleanup(end)
        wait_until(lambda: self.slots_used(f"{name}/cpu0") == 0, 30, f"{name} is there")
        self.head.wait_for_engines_of("null")
        return process

    def slots_used(self, device):
        found = (d for d in json.loads(self.troupe("device", "list", "--json"))["devices"] if d["id"] == device)
        return next((d.get("slots_used") for d in found), None)

    def run_one(self, workflow, ms):
        return self.user.run(workflow, {"ms": ms})["job_id"]

    def charged(self, job):
        return self.user.job(job)["credits_used"]

    def attempts(self, job):
        return self.user.job(job)["stages"][0]["attempts"]

    def balance(self):
        return self.user.get("/api/credits")


class Weights(Scheduling):
    config = "[tiers.studio]\nweight = 40\n"

    def test_an_accounts_weight_is_that_of_its_tier_as_the_operator_set_it(self):
        self.join("one")
        starter = self.head.user("starter", tier="starter", grant=10)
        jobs = [self.run_one("plain", 60_000), starter.run("plain", {"ms": 60_000})["job_id"]]

        def weights():
            state = self.head.admin().get("/api/admin/actors/scheduler/main")["state"]
            return {a["account"]: a["weight"] for a in state["accounts"]}
        wait_until(lambda: len(weights()) == len(jobs), 20, "both are in the queue")
        self.assertEqual(weights(), {account_of(self.user): 40, account_of(starter): 2})


class Preemption(Scheduling):
    def test_a_preemptible_stage_gives_way_runs_again_and_is_paid_once(self):
        self.join("one")
        before = self.balance()["credit_balance"]
        batch = self.run_one("batch", 9_000)
        self.user.wait_for_stage(batch, "work")
        urgent = self.run_one("plain", 100)
        self.user.wait_for_job(urgent, 60)
        self.assertIn(self.user.job(batch)["status"], ("queued", "running"), "the other went first")
        view = self.user.wait_for_job(batch, 60)
        self.assertEqual(view["stages"][0]["attempts"], 2)
        self.assertEqual(before - self.balance()["credit_balance"], 2, "a credit each")

    def test_a_standard_stage_is_let_end(self):
        self.join("one")
        long = self.run_one("plain", 9_000)
        self.user.wait_for_stage(long, "work")
        self.user.wait_for_job(self.run_one("plain", 100), 60)
        self.assertEqual((self.user.job(long)["status"], self.attempts(long)), ("succeeded", 1))


class Stragglers(Scheduling):
    def late(self, ms):
        """A stage that runs on the first of two nodes for far longer than its like did, and by now on the other one too."""
        first = self.join("one")
        for _ in range(5):
            self.user.wait_for_job(self.run_one("twice", 20), 30)
        job = self.run_one("twice", ms)
        self.user.wait_for_stage(job, "work")
        self.join("two")
        wait_until(lambda: self.slots_used("two/cpu0") == 1, 20, "it runs a second time")
        return job, first

    def test_the_first_result_counts_the_other_is_stopped_and_one_is_paid(self):
        before = self.balance()["credit_balance"]
        job, _ = self.late(12_000)
        view = self.user.wait_for_job(job, 60)
        self.assertEqual(view["stages"][0]["attempts"], 1)
        wait_until(lambda: self.slots_used("two/cpu0") == 0 and self.slots_used("one/cpu0") == 0, 3, "the other is stopped")
        self.assertEqual(before - self.balance()["credit_balance"], 6)

    def test_the_second_goes_on_where_the_first_is_lost(self):
        before = self.balance()["credit_balance"]
        job, first = self.late(12_000)
        first.kill()
        self.user.wait_for_job(job, 60)
        wait_until(lambda: self.slots_used("two/cpu0") == 0, 5, "it has ended")
        self.assertEqual(before - self.balance()["credit_balance"], 6)


class Costs(Scheduling):
    def test_what_fetching_inputs_took_is_learned_and_shown(self):
        self.join("one")
        job = self.run_one("relay", 4_000)
        self.user.wait_for_stage(job, "work")
        self.troupe("device", "drain", "one/cpu0")
        self.join("two")
        view = self.user.wait_for_job(job, 60)
        self.assertEqual([stage["device"] for stage in view["stages"]], ["one/cpu0", "two/cpu0"])
        learned = [row for row in self.head.admin().get("/api/admin/actors/scheduler/main")["state"]["run_times"] if row["kind"] == "null.work"]
        self.assertEqual([(row["samples"], row["transfers"]) for row in learned], [(2, 1)], "the machine is the same")
        self.assertRegex(learned[0]["type"], "^cpu/.", "a laptop and a server do not share one mean")
        self.assertGreater(learned[0]["transfer_ms"], 0, "16 MiB went through the head")
        self.assertLess(learned[0]["transfer_ms"], 30_000 * PATIENCE)


class Admission(Scheduling):
    settings = {"scheduler.queue_per_account": 3}

    def submit(self, user):
        return user.send("POST", "/api/workflows/plain/runs", {"inputs": {"ms": 700}})

    def test_a_full_queue_is_a_429_that_says_when_there_is_room(self):
        self.join("one")
        taken = []
        for _ in range(10):
            answer = self.submit(self.user)
            if answer.status == 429:
                break
            taken.append(answer.json["job_id"])
            time.sleep(0.1)  # until the scheduler has it
        self.assertEqual(answer.status, 429, answer)
        wait_s = int(answer.headers["retry-after"])
        self.assertEqual(answer.json["retry_after"], wait_s)
        self.assertTrue(1 <= wait_s <= 3600, wait_s)
        self.assertEqual(self.user.get("/api/credits")["credits_held"], len(taken), "what is refused holds nothing")
        another = self.head.user("another", tier="studio", grant=10)
        self.assertLess(self.submit(another).status, 300, "it is one account's line that is full")
        time.sleep(wait_s * PATIENCE)
        self.assertLess(self.submit(self.user).status, 300, f"there is room after {wait_s} s, as was said")
        for job in taken:
            self.user.wait_for_job(job, 60)


if __name__ == "__main__":
    unittest.main(verbosity=2)

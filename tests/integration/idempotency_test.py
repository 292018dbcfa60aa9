"""Idempotency-Key: a request that is sent again, at once, later, at the same time or after a crash, is done once and gets the
first answer."""
import os
import pathlib
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import Head, assert_money_is_right  # noqa: E402

SEED = int(os.environ.get("TROUPE_SEED", random.SystemRandom().randrange(1_000_000)))
CRASHES = int(os.environ.get("TROUPE_CRASHES", "20"))
RUN = "/api/workflows/bench-chain/runs"
BODY = {"inputs": {"ms": 1}}


class Idempotency(unittest.TestCase):
    def setUp(self):
        self.head = Head({"node.slots": 2}).start()
        self.addCleanup(self.head.destroy)
        self.head.wait_for_engines()
        self.user = self.head.user("again", grant=1000)

    def ask(self, key, body=BODY, path=RUN, user=None):
        return (user or self.user).send("POST", path, body, {"Idempotency-Key": key})

    def jobs(self):
        return {row["job_id"] for row in self.user.get("/api/generations?limit=200")["generations"]}

    def test_a_repeat_gets_the_first_answer_and_does_nothing(self):
        first = self.ask("one")
        self.assertEqual(first.status, 202)
        self.assertNotIn("idempotent-replayed", first.headers)
        self.user.wait_for_job(first.json["job_id"])
        self.user.run("bench-chain", {"ms": 1})  # the balance is another one now
        again = self.ask("one")
        self.assertEqual((again.status, again.json, again.headers.get("idempotent-replayed")), (202, first.json, "true"))
        self.head.restart()
        self.assertEqual(self.ask("one").json, first.json)
        self.assertEqual(len(self.jobs()), 2)
        self.assertEqual(self.ask("two").status, 202)
        self.assertEqual(len(self.jobs()), 3)

    def test_a_key_belongs_to_one_request_of_one_account(self):
        first = self.ask("one")
        for path, body in ((RUN, {"inputs": {"ms": 2}}), ("/api/workflows/bench-chain/runs?x=1", BODY), ("/api/keys", {"name": "x"})):
            answer = self.ask("one", body, path)
            self.assertEqual(answer.status, 409, answer)
            self.assertIn("Idempotency-Key", answer.json["error"])
        other = self.head.user("other", grant=1000)
        answer = self.ask("one", user=other)
        self.assertEqual(answer.status, 202)
        self.assertNotEqual(answer.json["job_id"], first.json["job_id"])
        for bad in ("x" * 256, "a b", "\x7f"):
            self.assertEqual(self.ask(bad).status, 400, bad)

    def test_what_failed_may_be_tried_again(self):
        self.assertEqual(self.ask("k", {"inputs": {"ms": -1}}).status, 400)
        poor = self.head.user("poor", tier="free")
        while poor.get("/api/credits")["credit_balance"] >= 4:
            poor.run("bench-chain", {"ms": 0})
        self.assertEqual(self.ask("k", user=poor).status, 402)
        self.head.admin().send("PUT", "/api/admin/accounts/poor", {"grant_credits": 10, "reason": "test"})
        self.assertEqual(self.ask("k", user=poor).status, 202)

    def test_at_the_same_time_one_works_and_the_others_get_its_answer(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.ask("same"))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({answer.status for answer in answers}, {202}, answers)
        self.assertEqual(len({answer.json["job_id"] for answer in answers}), 1)
        self.assertEqual(sum(answer.headers.get("idempotent-replayed") == "true" for answer in answers), 15)
        self.assertEqual(len(self.jobs()), 1)

    def test_a_secret_that_is_shown_once_is_shown_to_its_repeat_and_lies_nowhere(self):
        first = self.ask("make-a-key", {"name": "mine"}, "/api/keys")
        again = self.ask("make-a-key", {"name": "mine"}, "/api/keys")
        self.assertEqual(again.json, first.json)
        secret = first.json["key"].encode()
        self.head.stop()
        for file in self.head.data.rglob("*"):
            if file.is_file():
                self.assertNotIn(secret, file.read_bytes(), file)

    def test_a_crash_between_the_work_and_the_answer_leaves_one_api_key(self):
        chance = random.Random(SEED)
        for n in range(CRASHES // 2):
            told = []

            def make():
                try:
                    told.append(self.ask(f"key-{n}", {"name": f"made {n}"}, "/api/keys"))
                except Exception:  # the head is gone
                    pass

            asking = threading.Thread(target=make)
            asking.start()
            time.sleep(chance.uniform(0, 0.01))
            self.head.kill9()
            asking.join()
            self.head.start()
            answer = self.ask(f"key-{n}", {"name": f"made {n}"}, "/api/keys")
            self.assertEqual(answer.status, 201, answer)
            if told and told[0].status == 201:
                self.assertEqual(answer.json, told[0].json)
            alive = [key for key in self.user.get("/api/keys")["keys"] if key["name"] == f"made {n}" and not key["revoked"]]
            self.assertEqual([key["id"] for key in alive], [answer.json["id"]])
            opened = self.head.anyone()
            opened.headers = {"Authorization": "Bearer " + answer.json["key"]}
            self.assertEqual(opened.send("GET", "/api/credits").status, 200)

    def test_a_crash_between_the_work_and_the_answer_makes_one_job(self):
        print(f"\n{CRASHES} crashes, TROUPE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        made, known, between = {}, 0, 0
        for n in range(CRASHES):
            key = f"crash-{n}"
            told = []

            def submit():
                try:
                    told.append(self.ask(key))
                except Exception:  # the head is gone
                    pass

            asking = threading.Thread(target=submit)
            asking.start()
            time.sleep(chance.uniform(0, 0.02))
            self.head.kill9()
            asking.join()
            self.head.start()
            between += not told and len(self.jobs()) > len(made)
            answer = self.ask(key)
            self.assertEqual(answer.status, 202, answer)
            if told and told[0].status == 202:
                known += 1
                self.assertEqual(answer.json, told[0].json, "the first answer was another one")
            self.assertEqual({"job_id", "workflow", "workflow_version", "credits_held", "credit_balance", "stages"} - set(answer.json), set())
            self.assertEqual(len(answer.json["stages"]), 4)
            self.assertEqual(answer.json["credits_held"], 4)
            made[key] = answer.json["job_id"]
        print(f"{known} answers came before the kill, {between} jobs were made and not answered", flush=True)
        self.assertEqual(self.jobs(), set(made.values()), "a job that no answer names, or the other way round")
        views = {job: self.user.wait_for_job(job, 120) for job in made.values()}
        assert_money_is_right(self, self.user, views, self.head.admin())


if __name__ == "__main__":
    unittest.main(verbosity=2)

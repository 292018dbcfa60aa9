"""Money as users and operators see it: prices, quotes, history, refunds, and the audit."""
import csv
import io
import pathlib
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import BINARY, CREDIT, PATIENCE, Head, User, clean_environment, wait_until  # noqa: E402

EXIT_CONFIGURATION = 78
CONFIG = """
[tiers.starter]
credits = 600
[prices.video.ltx-t2v]
base = 9
[prices.tokens."glm-4.5"]
input_per_million = 50
output_per_million = 150
"""


def verify(data):
    done = subprocess.run([BINARY, "admin", "ledger", "verify", "--data", str(data)], capture_output=True, text=True,
                          timeout=120 * PATIENCE, env=clean_environment())
    return done.returncode, done.stdout + done.stderr


class Money(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.head = Head(config=CONFIG).start()
        cls.addClassCleanup(cls.head.destroy)
        cls.head.wait_for_engines_of("null")
        cls.admin = cls.head.admin()

    def quote(self, user, body):
        return user.send("POST", "/api/v1/quotes", body)

    def finish(self, user, runs):
        jobs = [user.run("bench-chain", {"ms": 0})["job_id"] for _ in range(runs)]
        for job in jobs:
            user.wait_for_job(job)
        # A job may say that it has ended a moment before the batch of its end is on the disk.
        wait_until(lambda: user.get("/api/credits")["credits_held"] == 0, 30, "the last charge is in the ledger")
        return jobs

    def test_the_price_list_is_public_and_the_operators(self):
        listed = User(self.head.port).get("/api/pricing")
        tiers = {tier["id"]: tier for tier in listed["tiers"]}
        self.assertEqual(tiers["free"]["monthly_credits"], 150)
        self.assertEqual(tiers["starter"]["monthly_credits"], 600)
        video = {row["model"]: row for row in listed["credit_costs"]["video"]}
        self.assertEqual((video["wan-t2v"]["base"], video["ltx-t2v"]["base"]), (10, 9))
        self.assertEqual(listed["credit_costs"]["operations"]["flat"]["subtitles"], 5)

    def test_quote_hold_and_charge_are_the_same_price(self):
        user = self.head.user("quoter", tier="starter")
        self.assertEqual(user.get("/api/generation-cost?model=ltx-t2v&frames=41&steps=4")["credits"], 17)  # 9 + 6.15 + 1.2
        body = {"model": "ltx-t2v", "type": "video", "settings": {"frames": 41, "steps": 4}}
        quoted = self.quote(user, body).json
        self.assertEqual(quoted["estimated_charge_cents"], 17)
        self.assertEqual(quoted["estimated_charge_usd"], 0.17)
        self.assertTrue(quoted["can_afford"])
        self.assertEqual(quoted["account"]["balance_cents"], 600)
        models = {m["id"]: m for m in user.get("/api/models")["models"]}
        self.assertEqual(models["ltx-t2v"]["credit_cost"], user.get("/api/generation-cost?model=ltx-t2v")["credits"])

    def test_a_metered_quote_is_exact(self):
        user = self.head.user("metered", tier="free")
        quoted = self.quote(user, {"model": "glm-4.5", "type": "language", "inputTokens": 1000, "outputTokens": 500}).json
        self.assertEqual(quoted["estimated_charge_micro_credits"], 125_000)
        self.assertEqual(quoted["estimated_charge_cents"], 0)
        self.assertEqual(quoted["metered_estimated_charge_usd"], 0.00125)
        self.assertEqual(quoted["hold_cents"], 1)

    def test_a_quote_that_cannot_be_made_says_so_in_the_familys_words(self):
        user = self.head.user("misquoter", tier="free")
        for body, status, code in [({"model": "nope", "type": "video"}, 404, "MODEL_NOT_FOUND"),
                                   ({"model": "glm-4.5", "type": "language"}, 400, "MODEL_INPUT_REQUIRED"),
                                   ({"model": "wan-t2v", "type": "music"}, 400, "INVALID_REQUEST"),
                                   ({"model": "wan-t2v", "type": "video", "frames": 200}, 403, "FORBIDDEN")]:
            answer = self.quote(user, body)
            self.assertEqual((answer.status, answer.json["details"]["code"]), (status, code), answer)
        stranger = User(self.head.port)
        stranger.headers["Authorization"] = "Bearer sp_live_nobody"
        self.assertEqual(self.quote(stranger, {}).json["details"]["code"], "UNAUTHORIZED")

    def test_history_is_paged_filtered_and_csv(self):
        user = self.head.user("historian", tier="free")
        self.finish(user, 3)
        whole = user.history()
        ids = [row["id"] for row in whole]
        self.assertEqual(ids, sorted(set(ids)))
        self.assertEqual(len(whole), 1 + 3 * 5)  # the allowance; a hold and four charges a job
        pages, before = [], 0
        while before is not None:
            page = user.get(f"/api/credits/history?limit=4&before={before}")
            pages += page["transactions"]
            before = page["next_before"]
        self.assertEqual(list(reversed(pages)), whole)
        self.assertEqual(user.get("/api/credits/history?limit=2&offset=3")["transactions"], pages[3:5])
        kinds = user.get("/api/credits/history?kind=hold,allowance")["transactions"]
        self.assertEqual(sorted(row["type"] for row in kinds), ["allowance", "hold", "hold", "hold"])
        self.assertEqual(user.get("/api/credits/history?until=2020-01-01")["transactions"], [])
        self.assertEqual(user.get("/api/credits/history?since=2020-01-01T00:00:00Z&limit=1000")["transactions"], pages)
        for query, field in [("kind=theft", "kind"), ("since=yesterday", "since"), ("limit=0", "limit")]:
            answer = user.send("GET", f"/api/credits/history?{query}")
            self.assertEqual(answer.status, 400)
            self.assertIn(field, answer.json["error"])
        answer = user.send("GET", "/api/credits/history?limit=1000", headers={"Accept": "text/csv"})
        self.assertTrue(answer.headers["content-type"].startswith("text/csv"))
        rows = list(csv.DictReader(io.StringIO(answer.bytes.decode())))
        self.assertEqual([int(row["amount_micro_credits"]) for row in rows], [row["amount_micro_credits"] for row in pages])
        self.assertEqual(sum(int(row["amount_micro_credits"]) for row in rows), user.get("/api/credits")["balance_micro_credits"])

    def test_a_refund_is_made_once_and_says_why(self):
        user = self.head.user("unlucky", tier="free")
        [job] = self.finish(user, 1)
        path = "/api/admin/accounts/unlucky/refunds"
        refund = {"credits": 4, "reason": "it came out black", "reference": "case-7", "job_id": job}
        first = self.admin.send("POST", path, refund)
        again = self.admin.send("POST", path, refund)
        self.assertEqual((first.status, first.json["refunded"], again.status, again.json["refunded"]), (200, True, 200, False))
        self.assertEqual(user.get("/api/credits")["credit_balance"], 150)
        row = user.get("/api/credits/history?kind=refund")["transactions"][0]
        self.assertEqual((row["amount_micro_credits"], row["description"], row["reference"], row["job_id"]),
                         (4 * CREDIT, "it came out black", "case-7", job))
        audit = self.admin.get("/api/admin/audit?kind=refund")
        self.assertIn("case-7", str(audit))
        self.assertEqual(user.send("POST", path, refund).status, 403)
        for wrong in [{"credits": 0}, {"reason": " "}, {"reference": ""}, {"job_id": "someone-elses"}]:
            self.assertEqual(self.admin.send("POST", path, dict(refund, **wrong)).status, 400, wrong)
        self.assertEqual(self.admin.send("POST", "/api/admin/accounts/nobody-at-all/refunds", refund).status, 404)
        other = self.admin.send("POST", path, dict(refund, credits=9))
        self.assertEqual((other.json["refunded"], other.json["credits"]), (False, 4), "what was booked, not what was asked")

    def at_once(self, method, path, body, count=6):
        """The same request several times at one moment: the answers."""
        found = []
        threads = [threading.Thread(target=lambda: found.append(self.admin.send(method, path, body))) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    def test_of_many_refunds_with_one_reference_one_is_made_and_told(self):
        user = self.head.user("hasty", tier="free")
        answers = self.at_once("POST", "/api/admin/accounts/hasty/refunds", {"credits": 4, "reason": "dark", "reference": "case-8"})
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual([answer.json["refunded"] for answer in answers].count(True), 1)
        self.assertEqual({answer.json["credits"] for answer in answers}, {4})
        self.assertEqual(user.get("/api/credits")["credit_balance"], 154)
        self.assertEqual(len(self.admin.get("/api/admin/audit?account=hasty&kind=refund")["events"]), 1)

    def test_a_grant_with_a_reference_is_made_once(self):
        user = self.head.user("gifted", tier="free")
        path, gift = "/api/admin/accounts/gifted", {"grant_credits": 7, "reason": "a gift", "reference": "gift-1"}
        answers = [self.admin.send("PUT", path, gift) for _ in range(3)]
        self.assertEqual([(answer.status, answer.json["granted"]) for answer in answers], [(200, True), (200, False), (200, False)])
        answers = self.at_once("PUT", path, dict(gift, reference="gift-2"))
        self.assertEqual({answer.status for answer in answers}, {200})
        self.assertEqual([answer.json["granted"] for answer in answers].count(True), 1)
        self.assertEqual(self.admin.send("PUT", path, dict(gift, reference="gift-2")).json["granted"], False)
        self.assertEqual(user.get("/api/credits")["credit_balance"], 150 + 14)
        self.assertEqual(len(self.admin.get("/api/admin/audit?account=gifted&kind=credits_granted")["events"]), 2)
        self.assertEqual(self.admin.get("/api/admin/audit?account=gifted&kind=account_changed")["events"], [])

    def test_a_key_spends_no_more_than_its_limit(self):
        user = self.head.user("limited", tier="free", key=False)
        key = user.post("/api/keys", {"name": "small", "spend_limit": 10})["key"]
        by_key = User(self.head.port)
        by_key.headers["Authorization"] = f"Bearer {key}"
        flow = {"inputs": {"ms": 0}}  # 4 credits
        statuses = [by_key.send("POST", "/api/workflows/bench-chain/runs", flow).status for _ in range(3)]
        self.assertEqual(statuses, [202, 202, 402])
        refused = by_key.send("POST", "/api/workflows/bench-chain/runs", flow).json
        self.assertEqual((refused["error"], refused["cost"], refused["key_balance"]), ("The API key has reached its spend limit", 4, 2))
        quoted = by_key.send("POST", "/api/v1/quotes", {"model": "wan-t2v", "type": "video"}).json
        self.assertEqual((quoted["can_afford"], quoted["account"]["sufficient"], quoted["api_key"]["sufficient"]), (False, True, False))
        self.assertEqual((quoted["api_key"]["limit_cents"], quoted["api_key"]["remaining_cents"]), (10, 2))
        self.assertTrue(user.run("bench-chain", {"ms": 0})["job_id"])  # the account itself has no such limit

    def test_a_subscription_says_what_one_has(self):
        user = self.head.user("subscriber", tier="starter")
        has = user.get("/api/subscription")
        self.assertEqual((has["tier"], has["monthly_credits"], has["limits"]["max_frames"]), ("starter", 600, 121))

    def test_the_books_are_right_beside_the_running_head(self):
        user = self.head.user("audited", tier="free")
        self.finish(user, 2)
        status, said = verify(self.head.data)
        self.assertEqual(status, 0, said)
        self.assertIn("every balance is what its transfers say", said)


class WrongTariff(unittest.TestCase):
    def test_a_wrong_price_ends_the_start_with_its_place(self):
        with tempfile.TemporaryDirectory(prefix="troupe-test-") as folder:
            config = pathlib.Path(folder) / "cluster.conf"
            config.write_text("[http]\nthreads = 1\n[prices.video.wan-t2v]\nper_frame = \"much\"\n")
            done = subprocess.run([BINARY, "serve", "--data", folder, "--config", str(config)], capture_output=True, text=True,
                                  timeout=60 * PATIENCE, env=clean_environment())
            self.assertEqual(done.returncode, EXIT_CONFIGURATION)
            self.assertIn("cluster.conf:4:13: prices.video.wan-t2v.per_frame must be credits", done.stderr)
            status, said = verify(folder)
            self.assertNotEqual(status, 0)
            self.assertIn("no database is in", said)


if __name__ == "__main__":
    unittest.main()

"""The quick start of the studio API as its documents tell it: submit, poll, download; and what goes with it."""
import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import CREDIT, PATIENCE, USER_PASSWORD, Head, assert_money_is_right, wait_until  # noqa: E402

SMALL = {"prompt": "A cinematic sunrise over mountains", "width": 96, "height": 64, "frames": 8, "seed": 5}
LONG = dict(SMALL, width=1280, height=720, frames=120)  # runs until it is cancelled

VIDEO_MODELS = 22


class QuickStart(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.head = Head({"node.slots": 2}).start()
        cls.addClassCleanup(cls.head.destroy)
        cls.head.wait_for_engines()
        cls.admin = cls.head.admin()
        cls.user = cls.head.user("quick")
        cls.stranger = cls.head.user("stranger")

    def status_of(self, job, user=None):
        return (user or self.user).get(f"/api/status?job_id={job}")

    def finished(self, job, user=None):
        """Polls as the documents say, until it is no longer processing."""
        def look():
            answer = self.status_of(job, user)
            return answer if answer["status"] != "processing" else None
        return wait_until(look, 120, f"{job} ends")

    def made(self, user=None, **changes):
        """The file name of a finished small video."""
        job = (user or self.user).post("/api/generate", dict(SMALL, **changes))["job_id"]
        answer = self.finished(job, user)
        self.assertEqual(answer["status"], "completed", answer)
        return job, answer["filename"]

    # -- generate, status, download

    def test_three_calls_make_and_download_a_video(self):
        before = self.user.get("/api/credits")["credit_balance"]
        answer = self.user.send("POST", "/api/generate", dict(SMALL, model="wan-t2v"))
        self.assertEqual(answer.status, 200, answer)
        made = answer.json
        # 10 + 0.2 × 8 + 0.5 × 4, rounded up once
        self.assertEqual(made["credits_used"], 14)
        self.assertEqual(made["credit_balance"], before - 14)
        self.assertIsInstance(made["job_id"], str)
        self.assertIsInstance(made["prompt_id"], str)
        ended = self.finished(made["job_id"])
        self.assertEqual(ended["status"], "completed")
        self.assertEqual(ended["filename"], f"webgen_{made['job_id']}_00001.mp4")
        self.assertTrue(ended["engine"].startswith("scene/"))
        self.assertIs(ended["preview"], True)
        film = self.user.send("GET", f"/api/video/{ended['filename']}")
        self.assertEqual(film.status, 200)
        self.assertEqual(film.headers["content-type"], "video/mp4")
        self.assertEqual(film.bytes[4:8], b"ftyp")
        self.assertEqual(int(film.headers["content-length"]), len(film.bytes))

    def test_a_download_answers_head_ranges_and_etags(self):
        _, name = self.made()
        path = f"/api/video/{name}"
        whole = self.user.send("GET", path)
        etag = whole.headers["etag"]
        self.assertRegex(etag, r'^"[^"]+"$')
        self.assertEqual(whole.headers["accept-ranges"], "bytes")
        head = self.user.send("HEAD", path)
        self.assertEqual((head.status, head.bytes), (200, b""))
        self.assertEqual(int(head.headers["content-length"]), len(whole.bytes))
        self.assertEqual(head.headers["etag"], etag)

        size = len(whole.bytes)
        for wanted, first, last in [("bytes=0-99", 0, 99), ("bytes=100-", 100, size - 1), ("bytes=-50", size - 50, size - 1),
                                    (f"bytes=10-{size * 2}", 10, size - 1)]:
            part = self.user.send("GET", path, headers={"Range": wanted})
            self.assertEqual(part.status, 206, wanted)
            self.assertEqual(part.headers["content-range"], f"bytes {first}-{last}/{size}")
            self.assertEqual(part.bytes, whole.bytes[first:last + 1], wanted)
        beyond = self.user.send("GET", path, headers={"Range": f"bytes={size}-"})
        self.assertEqual(beyond.status, 416)
        self.assertEqual(beyond.headers["content-range"], f"bytes */{size}")

        same = self.user.send("GET", path, headers={"If-None-Match": etag})
        self.assertEqual((same.status, same.bytes), (304, b""))
        other = self.user.send("GET", path, headers={"If-None-Match": '"another"'})
        self.assertEqual(other.bytes, whole.bytes)
        stale = self.user.send("GET", path, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
        self.assertEqual((stale.status, stale.bytes), (200, whole.bytes))
        fresh = self.user.send("GET", path, headers={"Range": "bytes=0-9", "If-Range": etag})
        self.assertEqual((fresh.status, fresh.bytes), (206, whole.bytes[:10]))

    def test_the_same_seed_gives_the_same_video_and_another_seed_another(self):
        files = [self.user.send("GET", f"/api/video/{self.made(seed=seed)[1]}").bytes for seed in (7, 7, 8)]
        self.assertEqual(files[0], files[1])
        self.assertNotEqual(files[0], files[2])

    # -- the history

    def test_the_history_lists_what_was_asked_for_and_forgets_what_is_deleted(self):
        user = self.head.user("historian")
        job, name = self.made(user, negative_prompt="blurry", steps=6, cfg=2.5)
        second, _ = self.made(user, frames=9)
        answer = user.get("/api/generations")
        self.assertEqual(answer["total"], 2)
        self.assertEqual([row["job_id"] for row in answer["generations"]], [second, job])
        row = answer["generations"][1]
        expected = {"job_id": job, "model": "wan-t2v", "prompt": SMALL["prompt"], "negative_prompt": "blurry", "filename": name,
                    "width": 96, "height": 64, "frames": 8, "steps": 6, "cfg": 2.5, "seed": 5, "sampler": "sa_solver",
                    "scheduler": "beta", "frame_rate": 24, "shift": 8, "is_favorite": 0, "is_public": 0, "share_token": None,
                    "status": "completed"}
        self.assertEqual({name: row[name] for name in expected}, expected)
        self.assertIsInstance(row["id"], int)
        self.assertRegex(row["created_at"], r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")
        page = user.get("/api/generations?limit=1&offset=1")
        self.assertEqual([(r["job_id"]) for r in page["generations"]], [job])
        self.assertEqual(page["total"], 2)

        self.assertEqual(self.stranger.send("DELETE", f"/api/generations/{row['id']}").status, 404)
        gone = user.send("DELETE", f"/api/generations/{row['id']}")
        self.assertEqual(gone.status, 200, gone)
        self.assertIs(gone.json["success"], True)
        self.assertEqual([r["job_id"] for r in user.get("/api/generations")["generations"]], [second])
        self.assertEqual(user.send("GET", f"/api/video/{name}").status, 404)
        self.assertEqual(user.send("GET", f"/api/status?job_id={job}").status, 404)
        self.assertEqual(user.send("DELETE", f"/api/generations/{row['id']}").status, 404)
        assert_money_is_right(self, user, admin=self.admin)

    # -- cancel and queue

    def test_a_cancelled_generation_stops_within_a_second_and_costs_nothing(self):
        user = self.head.user("canceller")
        job = user.post("/api/generate", LONG)["job_id"]
        user.wait_for_stage(job, "generate")
        wait_until(lambda: user.job(job)["progress"] > 0, 60, "the stage has drawn something")
        queue = user.get("/api/queue")
        self.assertEqual([entry["job_id"] for entry in queue["active_jobs"]], [job])
        begin = time.monotonic()
        answer = user.send("POST", "/api/cancel", {"job_id": job})
        self.assertEqual(answer.status, 200, answer)
        self.assertIs(answer.json["success"], True)
        self.assertEqual(self.status_of(job, user), {"status": "error", "error": "Cancelled"})
        # The device is free again: nothing of this job runs there any more.
        account_devices = lambda: [d for d in self.admin.get("/api/admin/devices")["devices"]
                                   if any(r.get("job") == job for r in d.get("running", []))]
        wait_until(lambda: not account_devices(), 30, "the device is free")
        self.assertLess(time.monotonic() - begin, 1.0 * max(PATIENCE, 1) + (9 if PATIENCE > 1 else 0))
        self.assertEqual(user.get("/api/queue")["active_jobs"], [])
        again = user.send("POST", "/api/cancel", {"job_id": job})
        self.assertEqual(again.status, 200, "cancelling what has ended changes nothing")
        wallet = assert_money_is_right(self, user, {job: user.job(job)}, self.admin)
        self.assertEqual(wallet.spent, 0)
        self.assertEqual([row["type"] for row in wallet.rows if row["job_id"] == job], ["hold", "release"])

    def test_the_queue_shows_waiting_jobs_with_their_position(self):
        user = self.head.user("queuer", grant=5000)
        jobs = [user.post("/api/generate", LONG)["job_id"] for _ in range(4)]
        try:
            queue = wait_until(lambda: (lambda q: q if q["queue_length"] >= 2 else None)(user.get("/api/queue")), 60, "two wait")
            self.assertEqual({entry["job_id"] for entry in queue["active_jobs"]}, set(jobs))
            waiting = [entry for entry in queue["active_jobs"] if entry.get("position")]
            self.assertGreaterEqual(len(waiting), 2)
            for entry in waiting:
                self.assertEqual(entry["status"], "processing")
                self.assertTrue(entry["reason"])
            self.assertGreaterEqual(queue["position"], 1)
        finally:
            for job in jobs:
                user.post("/api/cancel", {"job_id": job})
        assert_money_is_right(self, user, {job: user.job(job) for job in jobs}, self.admin)

    # -- models and prices

    def test_all_models_are_listed_with_whether_they_can_be_served(self):
        models = self.user.get("/api/models")["models"]
        self.assertEqual(len(models), VIDEO_MODELS)
        self.assertEqual(len({m["id"] for m in models}), VIDEO_MODELS)
        for model in models:
            self.assertEqual(set(model["defaults"]) >= {"width", "height", "frames", "steps", "cfg", "sampler", "scheduler", "shift", "frame_rate"},
                             True, model)
            if model["available"]:
                self.assertIs(model.get("preview"), True, f"{model['id']} is served by a stand-in and must say so")
                self.assertTrue(model["engine"].startswith("scene/"))
            else:
                self.assertTrue(model["unavailable_reason"], model["id"])
        self.assertIn("wan-t2v", [m["id"] for m in models if m["available"]])

    def test_a_model_that_nothing_can_serve_is_a_503_with_the_reason(self):
        missing = [m for m in self.user.get("/api/models")["models"] if not m["available"]]
        self.assertTrue(missing)
        answer = self.user.send("POST", "/api/generate", dict(SMALL, model=missing[0]["id"]))
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.json["reason"], missing[0]["unavailable_reason"])
        self.assertEqual(answer.json["model"], missing[0]["id"])

    def test_every_quote_equals_the_hold_and_the_charge(self):
        user = self.head.user("quoted", grant=10000)
        available = [m for m in self.user.get("/api/models")["models"] if m["available"]]
        jobs = {}
        for model in available:
            for frames, steps in [(1, 1), (8, 7)] if model["id"] in ("wan-t2v", "ltx-t2v") else [(1, 3)]:
                quote = user.get(f"/api/generation-cost?model={model['id']}&frames={frames}&steps={steps}")
                made = user.post("/api/generate", dict(SMALL, model=model["id"], frames=frames, steps=steps))
                self.assertEqual(quote["cost"], made["credits_used"], model["id"])
                jobs[made["job_id"]] = quote["cost"]
        views = {job: user.wait_for_job(job) for job in jobs}
        for job, cost in jobs.items():
            self.assertEqual(views[job]["credits_used"], cost)
        wallet = assert_money_is_right(self, user, views, self.admin)
        self.assertEqual(wallet.spent, sum(jobs.values()) * CREDIT)

    def test_quotes_follow_the_formula(self):
        for query, cost in [("model=wan-t2v&frames=41&steps=4", 21), ("model=wan-t2v&frames=81&steps=4", 29), ("model=wan-t2v", 21)]:
            self.assertEqual(self.user.get(f"/api/generation-cost?{query}")["cost"], cost, query)
        self.assertEqual(self.user.send("GET", "/api/generation-cost?model=nothing").status, 400)
        for operation, cost in (("v2v", 3), ("subtitles", 5), ("trim", 3), ("remove-background", 1)):
            self.assertEqual(self.user.get(f"/api/generation-cost?model={operation}")["cost"], cost, operation)

    def test_not_enough_credits_creates_and_holds_nothing(self):
        poor = self.head.user("poor", tier="free")  # 150 credits a month
        job = poor.post("/api/generate", dict(SMALL, frames=81, steps=200))["job_id"]  # 127
        balance = poor.get("/api/credits")["credit_balance"]
        self.assertEqual(balance, 150 - 127)
        answer = poor.send("POST", "/api/generate", dict(SMALL, frames=81, steps=200))
        self.assertEqual(answer.status, 402)
        self.assertEqual(answer.json, dict(answer.json, error="Not enough credits", cost=127, balance=balance, upgrade_url="/pricing"))
        self.assertEqual(poor.get("/api/generations")["total"], 1)
        self.assertEqual(poor.get("/api/credits")["credit_balance"], balance)
        self.finished(job, poor)
        wallet = assert_money_is_right(self, poor, {job: poor.job(job)}, self.admin)
        self.assertEqual(sum(row["type"] == "hold" for row in wallet.rows), 1)

    def test_a_missing_tier_is_a_403_that_names_it(self):
        free = self.head.user("freeloader", tier="free")
        for body, required in [(dict(SMALL, frames=82), "starter"), (dict(SMALL, frames=302), "enterprise"),
                               (dict(SMALL, width=1920, height=1080), "starter")]:
            answer = free.send("POST", "/api/generate", body)
            self.assertEqual(answer.status, 403, body)
            self.assertEqual(answer.json["required_tier"], required, body)
            self.assertEqual(answer.json["tier"], "free")
            self.assertEqual(answer.json["upgrade_url"], "/pricing")
        answer = free.send("POST", "/api/workflows/short-film/runs",
                           {"inputs": {"shots": [{"prompt": "x"}], "narration": "x"}})
        self.assertEqual((answer.status, answer.json["required_tier"]), (403, "creator"))
        self.assertEqual(free.get("/api/generations")["total"], 0)
        self.assertEqual(assert_money_is_right(self, free).spent, 0)

    def test_credits_say_balance_tier_and_allowance(self):
        user = self.head.user("counter", tier="free")
        self.assertEqual(user.get("/api/credits"), dict(user.get("/api/credits"), credit_balance=150, tier="free", monthly_allowance=150))
        check = user.get("/api/auth/check")
        self.assertEqual(check, dict(check, authenticated=True, username="counter", tier="free", credit_balance=150))
        self.assertEqual(check["limits"]["max_frames"], 81)
        # The allowance is given once a month, however often one looks, and the better tier gives the difference.
        self.admin.ask("PUT", "/api/admin/accounts/counter", {"tier": "starter"})
        self.assertEqual(user.get("/api/credits")["credit_balance"], 500)
        self.assertEqual(user.get("/api/credits")["credit_balance"], 500)
        assert_money_is_right(self, user)

    # -- who may

    def test_another_users_work_is_not_there(self):
        job, name = self.made()
        for method, path, body in [("GET", f"/api/status?job_id={job}", None), ("GET", f"/api/jobs/{job}", None),
                                   ("GET", f"/api/jobs/{job}/events", None), ("GET", f"/api/video/{name}", None),
                                   ("POST", "/api/cancel", {"job_id": job}), ("POST", f"/api/jobs/{job}/cancel", {}),
                                   ("POST", f"/api/jobs/{job}/repair", {})]:
            answer = self.stranger.send(method, path, body)
            self.assertEqual(answer.status, 404, path)
            self.assertNotIn(job, answer.bytes.decode(), "the answer must not tell that it exists")
            unknown = self.stranger.send(method, path.replace(job, "01jzzzzzzzzzzzzzzzzzzzzzzz"), body and {"job_id": "01jzzzzzzzzzzzzzzzzzzzzzzz"} or body)
            self.assertEqual((unknown.status, unknown.bytes), (answer.status, answer.bytes), f"{path} tells that it exists")

    def test_without_a_key_there_is_no_entry(self):
        nobody = self.head.anyone()
        for path in ("/api/credits", "/api/generations", "/api/keys", "/api/jobs/x", "/api/admin/actors"):
            answer = nobody.send("GET", path)
            self.assertEqual(answer.status, 401, path)
            self.assertIsInstance(answer.json["error"], str)
        for bad in ("Bearer pk_wrong", "Bearer", "Basic cGs6", "Bearer " + "x" * 5000):
            self.assertEqual(nobody.send("GET", "/api/credits", headers={"Authorization": bad}).status, 401, bad[:20])
        self.assertEqual(self.user.send("GET", "/api/admin/actors").status, 403)

    def test_keys_are_shown_once_and_end_at_once(self):
        user = self.head.user("keyholder", key=False)
        made = user.post("/api/keys", {"name": "My App"})
        self.assertTrue(made["key"].startswith("pk_"))
        listed = user.get("/api/keys")["keys"]
        self.assertEqual([(k["id"], k["name"], k["is_active"]) for k in listed], [(made["id"], "My App", True)])
        self.assertTrue(made["key"].startswith(listed[0]["prefix"]))
        self.assertNotIn(made["key"], str(listed))
        headers = {"Authorization": "Bearer " + made["key"]}
        other = self.head.anyone()
        self.assertEqual(other.send("GET", "/api/credits", headers=headers).status, 200)
        self.assertEqual(self.stranger.send("DELETE", f"/api/keys/{made['id']}").status, 404)
        self.assertEqual(user.send("DELETE", f"/api/keys/{made['id']}").status, 200)
        self.assertEqual(other.send("GET", "/api/credits", headers=headers).status, 401)
        self.assertIs(user.get("/api/keys")["keys"][0]["is_active"], False)
        for family, prefix in [("unified", "sp_live_"), ("platform", "sk_live_"), ("openai", "sk_live_")]:
            self.assertTrue(user.post("/api/keys", {"name": family, "family": family})["key"].startswith(prefix))

    def test_a_session_needs_its_own_origin_to_change_something(self):
        user = self.head.user("browser", key=False)
        cookie = user.headers["Cookie"]
        origin = user.headers["Origin"]
        anyone = self.head.anyone()
        ask = lambda extra: anyone.send("POST", "/api/keys", {"name": "x"}, headers=dict({"Cookie": cookie}, **extra)).status
        self.assertEqual(anyone.send("GET", "/api/credits", headers={"Cookie": cookie}).status, 200)
        self.assertEqual(ask({}), 403)
        self.assertEqual(ask({"Origin": "https://evil.example"}), 403)
        self.assertEqual(ask({"Origin": "null"}), 403)
        self.assertEqual(ask({"Origin": origin}), 201)
        self.assertEqual(anyone.send("POST", "/api/logout", {}, headers={"Cookie": cookie, "Origin": origin}).status, 200)
        self.assertEqual(anyone.send("GET", "/api/credits", headers={"Cookie": cookie}).status, 401)

    def test_the_session_cookie_is_out_of_reach_of_scripts(self):
        answer = self.head.anyone().send("POST", "/api/login", {"username": "quick", "password": USER_PASSWORD})
        self.assertEqual(answer.status, 200)
        cookie = answer.headers["set-cookie"]
        self.assertIn("HttpOnly", cookie)
        self.assertIn("SameSite=Lax", cookie)

    def test_login_does_not_tell_who_has_an_account(self):
        anyone = self.head.anyone()
        wrong = anyone.send("POST", "/api/login", {"username": "quick", "password": "wrong password"})
        unknown = anyone.send("POST", "/api/login", {"username": "nobody-at-all", "password": "wrong password"})
        self.assertEqual((wrong.status, wrong.bytes), (401, unknown.bytes))
        self.assertEqual(unknown.status, 401)

    def test_every_answer_carries_a_request_id(self):
        mine = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
        self.assertEqual(self.user.send("GET", "/api/credits", headers={"X-Request-Id": mine}).headers["x-request-id"], mine)
        for path in ("/api/credits", "/api/nothing", "/v1/nothing", "/livez"):
            given = self.user.send("GET", path, headers={"X-Request-Id": "not a uuid"}).headers["x-request-id"]
            self.assertTrue(re.fullmatch(r"[0-9a-f-]{36}", given), given)

    def test_methods_that_a_path_does_not_have_are_a_405(self):
        answer = self.user.send("DELETE", "/api/credits")
        self.assertEqual(answer.status, 405)
        self.assertIn("GET", answer.headers["allow"])
        self.assertEqual(self.user.send("HEAD", "/api/credits").status, 200)
        self.assertEqual(self.user.send("GET", "/api/nothing").status, 404)


if __name__ == "__main__":
    unittest.main(verbosity=2)

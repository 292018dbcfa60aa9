"""Limits: what a tier allows, how often one may ask, and that a restart forgets none of it where money is at stake."""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import USER_PASSWORD, Head  # noqa: E402

WORK = {"prompt": "A quiet sea", "width": 96, "height": 64, "frames": 8, "seed": 5}
# tier: frames, a picture that it just allows, and one that it does not
TIERS = {"free": (81, (848, 480), (1280, 720)), "starter": (121, (1920, 1080), (3840, 2160)), "creator": (201, (3840, 2160), None),
         "pro": (301, (3840, 2160), None), "studio": (301, (4096, 2160), None), "enterprise": (999, (4096, 2160), None)}
KEPT = 1.5  # seconds after which a counter is surely on disk


class TierLimits(unittest.TestCase):
    """Without a node: what the tier allows is a 503 (no engine), or a 402 where it costs more than there is; never a 403."""

    @classmethod
    def setUpClass(cls):
        cls.head = Head({"node.local": False}).start()

    @classmethod
    def tearDownClass(cls):
        cls.head.destroy()

    def ask(self, user, inputs):
        return user.send("POST", "/api/workflows/text-to-video/runs", {"inputs": inputs})

    def test_frames_and_sizes_over_the_tier_are_403_with_the_tier_that_allows_them(self):
        order = list(TIERS)
        for tier, (frames, fits, too_large) in TIERS.items():
            user = self.head.user(f"of-{tier}", tier=tier, grant=100_000)
            check = user.get("/api/auth/check")["limits"]
            self.assertEqual(check["max_frames"], frames)
            self.assertEqual(check["watermark"], tier == "free")
            allowed = self.ask(user, dict(WORK, frames=frames))
            self.assertEqual(allowed.status, 503, f"{tier} with {frames} frames: {allowed}")
            if frames < 999:
                refused = self.ask(user, dict(WORK, frames=frames + 1))
                self.assertEqual(refused.status, 403, f"{tier}: {refused}")
                said = refused.json
                self.assertEqual((said["tier"], said["upgrade_url"]), (tier, "/pricing"))
                self.assertGreater(order.index(said["required_tier"]), order.index(tier))
                self.assertGreater(TIERS[said["required_tier"]][0], frames)
            if too_large:
                refused = self.ask(user, dict(WORK, width=too_large[0], height=too_large[1]))
                self.assertEqual(refused.status, 403, f"{tier}: {refused}")
                upright = self.ask(user, dict(WORK, width=too_large[1], height=too_large[0]))
                self.assertEqual(upright.status, 403, f"{tier}, upright: {upright}")
            for width, height in (fits, fits[::-1]):
                answer = self.ask(user, dict(WORK, width=width, height=height))
                self.assertEqual(answer.status, 503, f"{tier} with {width} x {height}: {answer}")
            for wrong in ({"frames": 1000}, {"frames": "8"}, {"width": 100_000}, {"height": -1}):
                answer = self.ask(user, dict(WORK, **wrong))
                self.assertEqual(answer.status, 400, f"{tier} with {wrong}: {answer}")
                self.assertIn(next(iter(wrong)), answer.json["error"])
            self.assertEqual(user.get("/api/credits")["credits_held"], 0, "a refused request holds nothing")

    def test_a_tier_that_is_bought_is_in_force_with_the_next_request(self):
        user = self.head.user("buyer", tier="free", grant=1000)
        self.assertEqual(self.ask(user, dict(WORK, frames=200)).status, 403)
        user.post("/api/stripe/create-checkout", {"tier": "creator"})
        self.assertEqual(self.ask(user, dict(WORK, frames=200)).status, 503)


class RateLimits(unittest.TestCase):
    def head(self, **limits):
        settings = {"node.local": False}
        settings.update({name.replace("__", "."): value for name, value in limits.items()})
        head = Head(settings).start()
        self.addCleanup(head.destroy)
        return head

    def refused(self, answer, limit):
        self.assertEqual(answer.status, 429, answer)
        self.assertEqual(answer.json["error"], "Rate limit exceeded")
        self.assertEqual((answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]), (str(limit), "0"))
        self.assertGreater(int(answer.headers["retry-after"]), 0)
        self.assertEqual(answer.headers["retry-after"], answer.headers["x-ratelimit-reset"])

    def test_spending_is_limited_by_user_and_a_restart_does_not_forget(self):
        head = self.head(limits__spend_per_user_minute=10)
        user = head.user("spender", grant=1000)
        other_key = head.anyone()
        other_key.log_in("spender", USER_PASSWORD)
        other_key.use_key()
        for n in range(10):
            malformed = user.send("POST", "/api/generate", {"prompt": 7})
            self.assertEqual(malformed.status, 400)
            self.assertEqual(malformed.headers["x-ratelimit-remaining"], str(10 - n), "a malformed request does not count")
            answer = (user if n % 2 else other_key).send("POST", "/api/generate", WORK)
            self.assertEqual(answer.status, 503)
            self.assertEqual(answer.headers["x-ratelimit-remaining"], str(9 - n))
        self.refused(user.send("POST", "/api/generate", WORK), 10)
        self.refused(other_key.send("POST", "/api/generate", WORK), 10)
        for _ in range(30):
            self.assertEqual(user.send("GET", "/api/credits").status, 200, "reading is not counted")
        self.assertNotEqual(head.user("neighbour", grant=100).send("POST", "/api/generate", WORK).status, 429)
        time.sleep(KEPT)
        head.restart()
        self.refused(user.send("POST", "/api/generate", WORK), 10)
        self.assertEqual(head.stop(), 0)
        head.start()
        self.refused(user.send("POST", "/api/generate", WORK), 10)

    def test_payments_are_limited_by_user(self):
        head = self.head(limits__payments_per_user_minute=3)
        user = head.user("payer")
        for _ in range(3):
            self.assertEqual(user.send("POST", "/api/credits/topup", {"credits": 100}).status, 200)
        self.refused(user.send("POST", "/api/credits/topup", {"credits": 100}), 3)
        self.refused(user.send("POST", "/api/stripe/create-checkout", {"tier": "pro"}), 3)

    def test_logins_and_signups_are_limited_by_address_and_a_restart_does_not_forget(self):
        head = self.head(limits__login_per_address_5min=10, limits__signup_per_address_hour=5)
        anyone = head.anyone()
        for n in range(5):
            answer = anyone.send("POST", "/api/signup", {"username": f"new-{n}", "password": USER_PASSWORD})
            self.assertEqual(answer.status, 201)
        again = lambda: anyone.send("POST", "/api/signup", {"username": "new-6", "password": USER_PASSWORD})
        self.refused(again(), 5)
        for n in range(10):
            answer = anyone.send("POST", "/api/login", {"username": f"new-{n}", "password": "wrong password"})
            self.assertEqual(answer.status, 401)
        login = lambda headers=None: anyone.send("POST", "/api/login", {"username": "new-0", "password": USER_PASSWORD}, headers=headers)
        self.refused(login(), 10)
        self.refused(login({"X-Forwarded-For": "203.0.113.9"}), 10)
        time.sleep(KEPT)
        head.restart()
        self.refused(login(), 10)
        self.refused(again(), 5)

    def test_a_trusted_proxy_says_who_a_client_is(self):
        head = self.head(limits__login_per_address_5min=1, http__trusted_proxies="127.0.0.1")
        anyone = head.anyone()
        login = lambda client: anyone.send("POST", "/api/login", {"username": "nobody", "password": "wrong password"}, headers={"X-Forwarded-For": client})
        self.assertEqual(login("203.0.113.1").status, 401)
        self.refused(login("203.0.113.1"), 1)
        self.assertEqual(login("203.0.113.2").status, 401)
        self.assertEqual(login("2001:db8::1").status, 401)
        self.refused(login("2001:db8::2"), 1)
        self.refused(login("198.51.100.7, 203.0.113.1"), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)

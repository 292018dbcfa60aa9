"""Payments: the sandbox, and Stripe by its own SDK (which signs the events) and a server in its API's place. Whatever comes
twice, late, out of order or around a kill -9: credits are given once, and tiers follow what was paid."""
import concurrent.futures
import json
import pathlib
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from stripe_stand_in import PRICES, Api, Events, Sdk  # noqa: E402
from studio import USER_PASSWORD, Head, wait_until  # noqa: E402

KEY = "sk_test_51SecretKeyOfTheTests"
SECRET = "whsec_SecretOfTheTests"
DAY = 86400


class Sandbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.head = Head({"node.local": False}).start()

    @classmethod
    def tearDownClass(cls):
        cls.head.destroy()

    def test_a_top_up_pays_at_once_and_says_that_it_is_a_sandbox(self):
        user = self.head.user("sandy", tier="free")
        answer = user.post("/api/credits/topup", {"credits": 500})
        self.assertEqual((answer["credit_balance"], answer["provider"], answer["sandbox"]), (650, "sandbox", True))
        self.assertEqual(user.get("/api/credits")["credit_balance"], 650)
        row = next(r for r in user.get("/api/credits/history")["transactions"] if r["type"] == "topup")
        self.assertEqual(row["credits"], 500)

    def test_amounts_outside_100_to_50000_are_refused(self):
        user = self.head.user("bounds", tier="free")
        for wrong in (99, 50_001, 0, -1, "500", 100.5, None):
            answer = user.send("POST", "/api/credits/topup", {"credits": wrong})
            self.assertEqual(answer.status, 400, f"{wrong}: {answer}")
            self.assertIn("credits", answer.json["error"])
        self.assertEqual(user.get("/api/credits")["credit_balance"], 150)
        for right in (100, 50_000):
            self.assertEqual(user.send("POST", "/api/credits/topup", {"credits": right}).status, 200)

    def test_an_idempotency_key_tops_up_once_also_over_a_kill(self):
        user = self.head.user("twice", tier="free")
        ask = lambda: user.send("POST", "/api/credits/topup", {"credits": 100}, headers={"Idempotency-Key": "top-1"})
        first = ask()
        self.head.kill9()
        self.head.start()
        self.assertEqual(ask().json["payment_id"], first.json["payment_id"])
        self.assertEqual(user.get("/api/credits")["credit_balance"], 250)

    def test_tiers_go_up_at_once_and_down_with_the_period(self):
        user = self.head.user("mover", tier="free")
        self.assertEqual(user.get("/api/subscription")["status"], "none")
        self.assertEqual(user.send("POST", "/api/stripe/create-checkout", {"tier": "free"}).status, 409)
        answer = user.post("/api/stripe/create-checkout", {"tier": "creator"})
        self.assertEqual((answer["tier"], answer["sandbox"]), ("creator", True))
        self.assertEqual(user.get("/api/auth/check")["tier"], "creator")
        self.assertEqual(user.get("/api/credits")["credit_balance"], 1500, "the allowance of the month grows to that of the tier")
        self.assertEqual(user.send("POST", "/api/stripe/create-checkout", {"tier": "creator"}).status, 409)
        self.assertEqual(user.post("/api/stripe/create-checkout", {"tier": "pro"})["tier"], "pro")
        user.post("/api/stripe/create-checkout", {"tier": "starter"})
        now = user.get("/api/subscription")
        self.assertEqual((now["tier"], now["pending_tier"], now["status"]), ("pro", "starter", "active"))
        user.post("/api/stripe/create-checkout", {"tier": "free"})
        now = user.get("/api/subscription")
        self.assertEqual((now["tier"], now["pending_tier"], now["cancel_at_period_end"]), ("pro", "free", True))
        self.assertEqual(user.send("POST", "/api/stripe/create-checkout", {"tier": "gold"}).status, 400)

    def test_there_is_no_webhook_and_no_key(self):
        user = self.head.user("asker", tier="free")
        self.assertIsNone(user.get("/api/stripe/config")["publishable_key"])
        self.assertEqual(user.send("POST", "/api/stripe/webhook", {}).status, 503)
        self.assertTrue(user.post("/api/stripe/create-portal")["sandbox"])


class Stripe(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sdk = Sdk(SECRET)
        cls.api = Api(KEY)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-secrets-"))
        (folder / "key").write_text(KEY + "\n")
        (folder / "webhook").write_text("whsec_TheOldOne\n" + SECRET + "\n")
        prices = ",".join([f"{tier}={price}" for tier, price in PRICES.items()] + ["creator=price_a_creator_of_last_year"])
        cls.head = Head({"node.local": False, "payments.provider": "stripe", "payments.stripe_url": cls.api.url, "payments.stripe_key_file": folder / "key",
                         "payments.stripe_webhook_secret_file": folder / "webhook", "payments.stripe_prices": prices,
                         "payments.stripe_publishable_key": "pk_test_1", "http.public_url": "https://studio.example.org"}).start()

    @classmethod
    def tearDownClass(cls):
        text = cls.head.log_text()
        cls.head.destroy()
        cls.api.close()
        cls.sdk.close()
        for secret in (KEY, SECRET, "whsec_"):
            assert secret not in text, "a secret is in the log"

    def setUp(self):
        self.api.calls.clear()

    def user(self, name):
        user = self.head.user(name, tier="free")
        user.account = user.get("/api/auth/check")["account_id"]
        user.events = Events(user.account)
        return user

    def tell(self, event, secret=None, timestamp=None, header=None, path="/api/stripe/webhook"):
        payload = json.dumps(event)
        signature = header or self.sdk.sign(payload, secret, timestamp)
        return self.head.anyone().send("POST", path, content=payload.encode(), content_type="application/json", headers={"Stripe-Signature": signature})

    def told(self, event):
        answer = self.tell(event)
        self.assertEqual(answer.status, 200, f"{event['type']}: {answer}")
        return answer.json

    def balance(self, user):
        return user.get("/api/credits")["credit_balance"]

    def tier(self, user):
        return user.get("/api/auth/check")["tier"]

    # -- what Troupe asks of Stripe

    def test_a_top_up_asks_for_a_checkout_and_gives_nothing_yet(self):
        user = self.user("payer")
        answer = user.post("/api/credits/topup", {"credits": 750})
        self.assertRegex(answer["url"], r"^https://checkout\.stripe\.com/c/\d+$")
        self.assertEqual(self.balance(user), 150)
        call, = self.api.calls
        form = call["form"]
        self.assertEqual((call["method"], call["path"]), ("POST", "/v1/checkout/sessions"))
        expected = {"mode": "payment", "client_reference_id": user.account, "line_items[0][quantity]": "750", "line_items[0][price_data][unit_amount]": "1",
                    "line_items[0][price_data][currency]": "gbp", "metadata[credits]": "750", "metadata[kind]": "topup", "customer_creation": "always",
                    "success_url": "https://studio.example.org/?checkout=success"}
        self.assertEqual({name: form.get(name) for name in expected}, expected)

    def test_what_stripe_fails_at_is_asked_again_under_the_same_key(self):
        user = self.user("patient")
        self.api.fail_next = 2
        self.assertEqual(user.send("POST", "/api/credits/topup", {"credits": 100}).status, 200)
        self.assertEqual(len(self.api.calls), 3)
        self.assertEqual(len({call["once"] for call in self.api.calls}), 1)
        self.api.fail_next = 3
        answer = user.send("POST", "/api/credits/topup", {"credits": 100})
        self.assertEqual(answer.status, 503)
        self.assertNotIn("stripe", answer.bytes.decode().lower())

    def test_the_key_of_the_request_is_the_key_at_stripe(self):
        user = self.user("careful")
        for _ in range(2):
            answer = user.send("POST", "/api/credits/topup", {"credits": 100}, headers={"Idempotency-Key": "k1"})
            self.assertEqual(answer.status, 200)
        self.assertEqual(len({call["once"] for call in self.api.calls}), 1)

    def test_first_subscription_upgrade_downgrade_and_cancel(self):
        user = self.user("climber")
        self.assertEqual(user.send("POST", "/api/stripe/create-portal").status, 409)
        answer = user.post("/api/stripe/create-checkout", {"tier": "creator"})
        self.assertEqual(answer["status"], "payment_required")
        form = self.api.calls[-1]["form"]
        self.assertEqual((form["mode"], form["line_items[0][price]"], form["subscription_data[metadata][account]"]), ("subscription", "price_creator", user.account))
        self.assertEqual(self.tier(user), "free")
        self.told(user.events.subscription("creator", kind="created"))
        self.assertEqual(self.tier(user), "creator")
        self.assertIn("billing.stripe.com", user.post("/api/stripe/create-portal")["url"])
        self.assertEqual(self.api.calls[-1]["form"]["customer"], f"cus_{user.account}")
        user.post("/api/stripe/create-checkout", {"tier": "pro"})
        call = self.api.calls[-1]
        self.assertEqual(call["path"], f"/v1/subscriptions/sub_{user.account}_1")
        self.assertEqual((call["form"]["items[0][id]"], call["form"]["items[0][price]"], call["form"]["proration_behavior"], call["form"]["payment_behavior"]),
                         ("si_1", "price_pro", "always_invoice", "error_if_incomplete"))
        self.assertEqual(self.tier(user), "creator", "only what Stripe signs changes a tier")
        self.told(user.events.subscription("pro"))
        self.assertEqual(self.tier(user), "pro")
        user.post("/api/stripe/create-checkout", {"tier": "starter"})
        self.assertEqual(self.api.calls[-1]["form"]["proration_behavior"], "none")
        user.post("/api/stripe/create-checkout", {"tier": "free"})
        self.assertEqual(self.api.calls[-1]["form"], {"cancel_at_period_end": "true"})
        self.assertEqual(user.send("POST", "/api/stripe/create-checkout", {"tier": "enterprise"}).status, 503, "no price for it")

    def test_a_card_that_is_declined_is_402(self):
        user = self.user("poor")
        self.told(user.events.subscription("starter"))
        self.api.decline_next = 1
        answer = user.send("POST", "/api/stripe/create-checkout", {"tier": "pro"})
        self.assertEqual(answer.status, 402)
        self.assertIn("declined", answer.json["error"])

    def test_a_decline_under_an_idempotency_key_is_not_for_ever(self):
        user = self.user("newcard")
        self.told(user.events.subscription("starter"))
        upgrade = lambda: user.send("POST", "/api/stripe/create-checkout", {"tier": "pro"}, headers={"Idempotency-Key": "up"}).status
        self.api.decline_next = 2
        self.assertEqual([upgrade(), upgrade(), upgrade()], [402, 402, 200])
        self.assertEqual(upgrade(), 200)
        bought = [call["once"] for call in self.api.calls if call["form"].get("proration_behavior") == "always_invoice"]
        self.assertEqual(len(set(bought)), 3, f"two were declined, one is bought: {bought}")

    def changes(self):
        made = [(call["form"]["items[0][price]"], call["form"]["proration_behavior"], call["form"].get("billing_cycle_anchor")) for call in self.api.calls
                if call["method"] == "POST"]
        self.api.calls.clear()
        return made

    def test_who_chose_a_lower_tier_pays_for_a_higher_one_from_what_is_paid(self):
        user = self.user("wavering")
        self.told(user.events.subscription("pro"))
        self.told(user.events.subscription("starter"))
        self.api.prices[f"sub_{user.account}_1"] = "price_starter"
        buy = lambda tier, **headers: user.send("POST", "/api/stripe/create-checkout", {"tier": tier}, headers=headers).status
        self.api.decline_next = 1
        restore, upgrade = ("price_pro", "none", None), ("price_studio", "always_invoice", "now")
        self.assertEqual(buy("studio", **{"Idempotency-Key": "once"}), 402)
        self.assertEqual(self.changes(), [restore, upgrade, ("price_starter", "none", None)], "what was chosen stays so")
        self.assertEqual(buy("studio", **{"Idempotency-Key": "once"}), 200, "with another card")
        self.assertEqual(self.changes(), [restore, upgrade, upgrade], "Stripe repeats the decline, and is asked anew")
        self.assertEqual(buy("studio"), 200)
        self.assertEqual(self.changes(), [], "the webhook is late, but it is paid")

    def test_who_chose_a_lower_tier_and_stays_pays_nothing_now(self):
        user = self.user("staying")
        self.told(user.events.subscription("pro"))
        self.told(user.events.subscription("starter"))
        self.api.prices[f"sub_{user.account}_1"] = "price_starter"
        user.post("/api/stripe/create-checkout", {"tier": "pro"})
        self.assertEqual(self.changes(), [("price_pro", "none", None)])

    def test_nothing_is_changed_on_credit(self):
        user = self.user("indebted")
        self.told(user.events.subscription("pro", status="past_due"))
        self.api.unpaid.add(f"sub_{user.account}_1")
        self.assertEqual(user.send("POST", "/api/stripe/create-checkout", {"tier": "starter"}).status, 402)
        self.assertEqual(self.changes(), [])

    def test_of_several_prices_the_first_is_sold_and_the_others_still_count(self):
        user = self.user("early")
        user.post("/api/stripe/create-checkout", {"tier": "creator"})
        self.assertEqual(self.api.calls[-1]["form"]["line_items[0][price]"], "price_creator")
        self.told(user.events.subscription("creator", price="price_a_creator_of_last_year"))
        self.assertEqual(self.tier(user), "creator")

    def test_who_deletes_the_account_stops_paying_and_is_not_deleted_while_stripe_is_away(self):
        user = self.user("deleter")
        self.told(user.events.subscription("starter"))
        leave = lambda: user.send("POST", "/api/account/delete", {"password": USER_PASSWORD})
        self.api.fail_next = 3
        answer = leave()
        self.assertEqual(answer.status, 503, answer)
        self.assertEqual(self.tier(user), "starter", "nothing is deleted")
        self.api.calls.clear()
        self.assertEqual(leave().status, 200)
        call, = self.api.calls
        self.assertEqual((call["method"], call["path"]), ("DELETE", f"/v1/subscriptions/sub_{user.account}_1"))
        self.assertEqual(user.send("GET", "/api/credits").status, 401)

    def test_a_subscription_that_has_ended_at_stripe_does_not_keep_an_account(self):
        user = self.user("told-late")
        self.told(user.events.subscription("starter"))
        self.api.ended.add(f"sub_{user.account}_1")
        self.assertEqual(user.send("POST", "/api/account/delete", {"password": USER_PASSWORD}).status, 200)

    # -- what Stripe tells

    def test_a_top_up_is_given_once_though_it_is_told_three_times(self):
        user = self.user("thrice")
        event = user.events.topup(500, "pi_thrice")
        self.told(event)
        self.assertTrue(self.told(event)["duplicate"])
        other = dict(event, id="evt_thrice_other", type="checkout.session.async_payment_succeeded")  # the same payment by another event
        self.told(other)
        self.assertEqual(self.balance(user), 650)

    def test_a_top_up_is_given_once_around_a_kill(self):
        user = self.user("killed")
        for round_ in range(5):
            event = user.events.topup(100, f"pi_killed_{round_}")
            payload = json.dumps(event)
            header = self.sdk.sign(payload)
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                def send():
                    try:
                        return self.tell(event, header=header).status
                    except OSError:
                        return None
                sent = [pool.submit(send) for _ in range(3)]
                time.sleep(0.004 * round_)
                self.head.kill9()
                statuses = [one.result() for one in sent]
            self.head.start()
            if 200 in statuses:
                self.assertEqual(self.balance(user), 150 + 100 * (round_ + 1), "what was answered is there")
            self.told(event)
            self.assertEqual(self.balance(user), 150 + 100 * (round_ + 1))

    def test_a_tier_is_right_around_a_kill(self):
        user = self.user("killedtier")
        for round_, tier in enumerate(["starter", "creator", "pro", "studio"]):
            event = user.events.subscription(tier)
            header = self.sdk.sign(json.dumps(event))
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                def send():
                    try:
                        return self.tell(event, header=header).status
                    except OSError:
                        return None
                sent = pool.submit(send)
                time.sleep(0.003 * round_)
                self.head.kill9()
                answered = sent.result() == 200
            self.head.start()
            if not answered:
                self.told(event)
            wait_until(lambda: self.tier(user) == tier, 20, f"the tier is {tier}")

    def test_what_is_not_signed_is_not_believed(self):
        user = self.user("liar")
        event = user.events.topup(50_000, "pi_liar")
        now = int(time.time())
        payload = json.dumps(event)
        good = self.sdk.sign(payload)
        for header, why in ((self.sdk.sign(payload, secret="whsec_wrong"), "another secret"), (self.sdk.sign(payload + " "), "another body"),
                            (self.sdk.sign(payload, timestamp=now - 400), "too old"), (self.sdk.sign(payload, timestamp=now + 400), "of the future"),
                            ("t=1,v1=zz", "malformed"), ("", "empty"), (good.replace("t=", "t=1"), "another time"), ("a" * 5000, "long")):
            answer = self.tell(event, header=header or "x")
            self.assertEqual(answer.status, 400, f"{why}: {answer}")
        self.assertEqual(self.head.anyone().send("POST", "/api/stripe/webhook", content=payload.encode()).status, 400)
        self.assertEqual(self.balance(user), 150)
        old = self.sdk.sign(payload, secret="whsec_TheOldOne")
        self.assertEqual(self.tell(event, header=old).status, 200, "the secret that is being rolled")

    def test_what_is_unknown_is_taken_and_what_is_broken_is_not(self):
        user = self.user("odd")
        self.told(user.events.event("product.created", {"id": "prod_1", "object": "product"}))
        self.told(user.events.topup(500, "pi_x", client_reference_id="01nobody"))
        self.told(user.events.topup(500, "pi_y", payment_status="unpaid"))
        self.assertEqual(self.tell({"id": "evt_1"}).status, 400)
        self.assertEqual(self.tell([1, 2]).status, 400)
        self.assertEqual(self.tell(user.events.topup(500, "pi_z", paid=1)).status, 503, "Stripe keeps it, and the operator sees it")
        self.assertEqual(self.tell(user.events.subscription("pro", price="price_unknown")).status, 503)
        self.assertEqual(self.balance(user), 150)

    def test_an_older_event_does_not_override_a_newer_one(self):
        user = self.user("reordered")
        now = time.time()
        self.told(user.events.subscription("pro", created=now - 10))
        self.told(user.events.subscription("starter", created=now - 20))
        self.told(user.events.subscription("pro", status="past_due", created=now - 15))
        subscription = user.get("/api/subscription")
        self.assertEqual((subscription["tier"], subscription["plan"], subscription["status"], subscription["pending_tier"]), ("pro", "pro", "active", None))

    def test_an_invoice_that_comes_first_does_not_make_the_upgrade_old(self):
        user = self.user("overtaken")
        now = time.time()
        self.told(user.events.subscription("starter", created=now - 20))
        self.told(user.events.invoice("paid", created=now - 5))
        self.told(user.events.subscription("pro", created=now - 10))
        self.assertEqual(self.tier(user), "pro")

    def test_what_was_paid_is_not_left_unpaid_by_an_event_of_the_same_second(self):
        user = self.user("sametime")
        now = time.time()
        self.told(user.events.subscription("pro", created=now))
        self.told(user.events.subscription("pro", status="incomplete", kind="created", created=now))
        self.assertEqual(user.get("/api/subscription")["status"], "active")

    def test_of_two_subscriptions_the_newer_counts(self):
        user = self.user("double")
        self.told(user.events.subscription("pro", number=2))
        self.told(user.events.subscription("starter", number=1, created=time.time() + 5))
        self.assertEqual(user.get("/api/subscription")["plan"], "pro")
        self.told(user.events.subscription("studio", number=3))
        self.assertEqual(self.tier(user), "studio")

    def test_a_cancelled_one_that_is_taken_up_again_after_its_period_counts_again(self):
        user = self.user("returned")
        end = time.time() + 2
        self.told(user.events.subscription("pro", end=end, ends=True))
        wait_until(lambda: self.tier(user) == "free", 20, "the tier ends with the period")
        self.told(user.events.subscription("pro", start=end, end=end + 30 * DAY))
        self.assertEqual(self.tier(user), "pro")

    def test_a_lower_tier_begins_when_the_period_is_over(self):
        user = self.user("descender")
        end = time.time() + 4
        self.told(user.events.subscription("pro", end=end))
        self.told(user.events.subscription("starter", end=end))
        now = user.get("/api/subscription")
        self.assertEqual((now["tier"], now["pending_tier"]), ("pro", "starter"))
        self.head.restart()
        wait_until(lambda: self.tier(user) == "starter", 20, "the lower tier begins")
        self.assertGreaterEqual(time.time(), int(end))

    def test_a_cancelled_subscription_ends_with_its_period_or_when_stripe_says_so(self):
        user = self.user("leaver")
        end = time.time() + 2
        self.told(user.events.subscription("pro", end=end, ends=True))
        self.assertEqual((self.tier(user), user.get("/api/subscription")["cancel_at_period_end"]), ("pro", True))
        wait_until(lambda: self.tier(user) == "free", 20, "the tier ends with the period")
        second = self.user("leaver2")
        self.told(second.events.subscription("pro"))
        self.told(second.events.subscription("pro", kind="deleted", status="canceled"))
        self.assertEqual(self.tier(second), "free")

    def test_a_failed_renewal_has_a_grace_and_then_the_tier_is_gone_until_it_is_paid(self):
        user = self.user("late")
        start = time.time() - 40 * DAY
        self.told(user.events.subscription("pro", created=start, start=start, end=start + 30 * DAY))
        failed = time.time() - 2 * DAY
        self.told(user.events.subscription("pro", status="past_due", created=failed, start=failed, end=failed + 30 * DAY))
        now = user.get("/api/subscription")
        self.assertEqual((now["tier"], now["status"], now["pending_tier"]), ("pro", "past_due", "free"))
        self.assertIsNotNone(now["grace_until"])
        self.told(user.events.subscription("pro", created=failed + DAY, start=failed, end=failed + 30 * DAY))
        self.assertEqual(user.get("/api/subscription")["status"], "active", "paid within the grace")
        third = self.user("later")
        self.told(third.events.subscription("pro", created=start, start=start, end=start + 30 * DAY))
        self.told(third.events.subscription("pro", status="past_due", created=time.time() - 7 * DAY + 2))
        self.assertEqual(self.tier(third), "pro")
        wait_until(lambda: self.tier(third) == "free", 20, "the grace is over")
        self.told(third.events.subscription("pro"))
        self.assertEqual(self.tier(third), "pro", "paid after the grace")

    def test_what_is_paid_back_is_taken_back_as_far_as_it_is_there(self):
        user = self.user("returner")
        self.told(user.events.topup(500, "pi_back"))
        refund = user.events.refund(200, "pi_back", "re_1")
        for _ in range(2):
            self.told(refund)
        self.assertEqual(self.balance(user), 450)
        self.told(user.events.refund(300, "pi_back", "re_2"))
        self.assertEqual(self.balance(user), 150)

    def test_a_refund_that_comes_before_its_payment_is_kept_for_it(self):
        user = self.user("hasty")
        self.told(user.events.refund(200, "pi_hasty", "re_hasty"))
        self.head.restart()
        self.told(user.events.topup(500, "pi_hasty"))
        wait_until(lambda: self.balance(user) == 450, 20, "the refund is taken up")
        self.told(user.events.refund(200, "pi_hasty", "re_hasty"))
        self.assertEqual(self.balance(user), 450, "once")

    def test_a_refund_that_fails_gives_back_what_it_took(self):
        user = self.user("bounced")
        self.told(user.events.topup(500, "pi_bounced"))
        refund = user.events.refund(200, "pi_bounced", "re_bounced")
        self.told(refund)
        self.assertEqual(self.balance(user), 450)
        failed = user.events.refund(200, "pi_bounced", "re_bounced")
        failed["type"], failed["data"]["object"]["status"] = "refund.failed", "failed"
        self.told(failed)
        self.assertEqual(self.balance(user), 650)

    def test_a_dispute_that_was_won_gives_back_what_it_took_and_no_more(self):
        user = self.user("disputed")
        self.told(user.events.topup(500, "pi_disputed"))
        for number in range(2):
            self.told(user.events.refund(250, "pi_disputed", f"re_disputed_{number}"))
        self.told(user.events.dispute(500, "pi_disputed", "dp_1"))
        self.assertEqual(self.balance(user), 0, "150 were there")
        for _ in range(2):
            self.told(user.events.dispute(500, "pi_disputed", "dp_1", "funds_reinstated"))
        self.assertEqual(self.balance(user), 150)
        self.told(user.events.dispute(500, "pi_disputed", "dp_2", "funds_reinstated"))
        self.assertEqual(self.balance(user), 150, "nothing was taken for it, as far as is known")

    def test_who_only_topped_up_is_a_customer(self):
        user = self.user("topper")
        self.told(user.events.topup(100, "pi_topper"))
        user.post("/api/stripe/create-portal")
        self.assertEqual(self.api.calls[-1]["form"]["customer"], f"cus_{user.account}")
        user.post("/api/credits/topup", {"credits": 100})
        form = self.api.calls[-1]["form"]
        self.assertEqual((form["customer"], form.get("customer_creation")), (f"cus_{user.account}", None))
        self.api.gone.add(f"cus_{user.account}")
        self.assertIn("url", user.post("/api/credits/topup", {"credits": 100}), "somebody deleted the customer at Stripe")
        form = self.api.calls[-1]["form"]
        self.assertEqual((form.get("customer"), form["customer_creation"]), (None, "always"))

    def test_the_public_configuration_is_public(self):
        answer = self.head.anyone().send("GET", "/api/stripe/config")
        self.assertEqual((answer.json["publishable_key"], answer.json["provider"]), ("pk_test_1", "stripe"))
        self.assertNotIn(KEY, answer.bytes.decode())


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Who someone is and what opens an account, over HTTP with a real head: keys, sessions, open streams, mails, portraits,
the audit log, being forgotten."""
import http.client
import json
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from studio import ADMIN_PASSWORD, PATIENCE, USER_PASSWORD, Head, User, account_of, wait_until  # noqa: E402

OTHER_PASSWORD = "another horse, another battery"


def mails(head, subject=None):
    """What lies in the outbox, oldest first: (to, subject, text)."""
    out = []
    for path in sorted((head.data / "outbox").glob("*.eml")):
        headers, text = path.read_bytes().decode().split("\r\n\r\n", 1)
        fields = dict(line.split(": ", 1) for line in headers.split("\r\n"))
        if subject is None or fields["Subject"] == subject:
            out.append((fields["To"], fields["Subject"], text))
    return out


def token_in(text):
    return re.search(r'"token": "([0-9a-f]{64})"', text).group(1)


def wait_for_mail(head, subject, count=1):
    return wait_until(lambda: (lambda found: found if len(found) >= count else None)(mails(head, subject)), 20, f"mail '{subject}'")


class OpenStream:
    """A stream of events that is read to its end beside the test."""

    def __init__(self, user, path="/api/events"):
        self.ended = threading.Event()
        self.connection = http.client.HTTPConnection("127.0.0.1", user.port, timeout=60 * PATIENCE)
        self.connection.request("GET", path, headers=dict(user.headers))
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.status
        assert self.response.readline().startswith(b"retry:")
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while self.response.readline():
                pass
        except (OSError, http.client.HTTPException):
            pass
        self.ended.set()

    def ends_within(self, seconds):
        return self.ended.wait(seconds * PATIENCE)


class Accounts(unittest.TestCase):
    """One head for all: each test has users of its own."""

    @classmethod
    def setUpClass(cls):
        cls.head = Head({"node.local": False, "accounts.session_refresh_s": 1}).start()
        cls.addClassCleanup(cls.head.destroy)
        cls.boss = cls.head.admin()

    def signed_up(self, name, key=False):
        return self.head.user(name, tier="free", key=key)

    def logged_in(self, name, password=USER_PASSWORD):
        user = self.head.anyone()
        user.name = name
        user.log_in(name, password)
        return user

    def with_key(self, owner, **terms):
        made = owner.post("/api/keys", dict({"name": "test"}, **terms))
        user = self.head.anyone()
        user.headers = {"Authorization": "Bearer " + made["key"]}
        return user, made

    def with_address(self, name, address):
        user = self.signed_up(name)
        before = len(mails(self.head, "Confirm your address"))
        answer = user.send("POST", "/api/settings/email", {"email": address})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(answer.json["pending_email"], address.lower())
        to, _, text = wait_for_mail(self.head, "Confirm your address", before + 1)[-1]
        self.assertEqual(to, address.lower())
        confirmed = self.head.anyone().send("POST", "/api/settings/email/confirm", {"token": token_in(text)})
        self.assertEqual(confirmed.status, 200, confirmed)
        return user

    # -- API keys

    def test_a_key_does_what_its_scopes_say_and_nothing_else(self):
        owner = self.signed_up("scoped")
        reader, made = self.with_key(owner, scopes=["read"])
        self.assertEqual(made["scopes"], ["read"])
        self.assertEqual(reader.send("GET", "/api/credits").status, 200)
        for method, path, body in [("POST", "/api/generate", {"prompt": "x"}), ("POST", "/api/keys", {"name": "more"}), ("GET", "/api/keys", None),
                                   ("GET", "/api/account/export", None), ("POST", "/api/settings/theme", {"theme": "light"}),
                                   ("DELETE", f"/api/keys/{made['id']}", None)]:
            answer = reader.send(method, path, body)
            self.assertEqual(answer.status, 403, f"{method} {path}: {answer}")
        maker, _ = self.with_key(owner, scopes=["generate"])
        self.assertEqual(maker.send("GET", "/api/credits").status, 403)
        self.assertNotEqual(maker.send("POST", "/api/generate", {"prompt": "x"}).status, 403)
        self.assertEqual(owner.send("POST", "/api/keys", {"scopes": ["everything"]}).status, 400)

    def test_a_key_of_an_admin_is_one_of_an_admin_only_with_that_scope(self):
        plain, _ = self.with_key(self.boss, scopes=["read", "generate", "account"])
        self.assertEqual(plain.send("GET", "/api/admin/audit").status, 403)
        self.assertFalse(plain.get("/api/auth/check")["is_admin"])
        full, _ = self.with_key(self.boss)
        self.assertEqual(full.send("GET", "/api/admin/audit").status, 200)

    def test_a_bound_key_cannot_make_itself_a_free_one(self):
        owner = self.signed_up("bound")
        for terms in ({"scopes": ["read", "account"]}, {"expires_in_s": 1000}, {"spend_limit": 5}):
            bound, made = self.with_key(owner, **terms)
            self.assertEqual(bound.send("POST", "/api/keys", {"name": "free"}).status, 403, terms)
            self.assertEqual(bound.send("PATCH", f"/api/keys/{made['id']}", {"spend_limit": 0}).status, 403, terms)

    def test_a_bound_key_takes_neither_the_address_nor_a_role_nor_money(self):
        owner = self.signed_up("bounded")
        for terms in ({"scopes": ["read", "account"]}, {"expires_in_s": 1000}, {"spend_limit": 5}):
            bound, _ = self.with_key(owner, **terms)
            self.assertEqual(bound.send("POST", "/api/settings/email", {"email": "taken@example.org"}).status, 403, terms)
        buys = [("/api/credits/topup", {"credits": 100}), ("/api/stripe/create-checkout", {"tier": "starter"}), ("/api/stripe/create-portal", {})]
        for terms, good in (({}, True), ({"rate_limit_per_minute": 100}, True), ({"scopes": ["read", "account"]}, True), ({"expires_in_s": 1000}, False),
                            ({"spend_limit": 5}, False), ({"scopes": ["account"], "spend_limit": 5}, False), ({"scopes": ["read", "generate"]}, False)):
            key, _ = self.with_key(owner, **terms)
            for path, body in buys:
                status = key.send("POST", path, body).status
                self.assertEqual(status != 403, good, f"{terms} {path}: {status}")
        helper, _ = self.with_key(self.boss, scopes=["admin"])
        self.assertEqual(helper.send("PUT", "/api/admin/accounts/bounded", {"role": "admin"}).status, 403)
        self.assertEqual(helper.send("PUT", "/api/admin/accounts/bounded", {"tier": "pro"}).status, 200)

    def test_a_bound_key_does_not_get_the_kept_answer_of_a_free_credential(self):
        owner = self.signed_up("kept-answer")
        bound, _ = self.with_key(owner, scopes=["read", "account"])
        once = {"Idempotency-Key": "the-same-for-both"}
        made = owner.send("POST", "/api/keys", {"name": "free"}, headers=once)
        self.assertEqual(made.status, 201, made)
        stolen = bound.send("POST", "/api/keys", {"name": "free"}, headers=once)
        self.assertEqual(stolen.status, 409, stolen)
        self.assertNotIn(made.json["key"].encode(), stolen.bytes)
        self.assertEqual(owner.send("POST", "/api/keys", {"name": "free"}, headers=once).json, made.json)

    def test_a_spend_limit_however_small_is_a_limit(self):
        owner = self.signed_up("stingy")
        _, made = self.with_key(owner, spend_limit=1)
        changed = owner.send("PATCH", f"/api/keys/{made['id']}", {"spend_limit": 1e-9})
        self.assertEqual((changed.status, changed.json["spend_limit"]), (200, 0.000001))

    def test_so_many_keys_and_no_more(self):
        owner = self.signed_up("collector")
        for i in range(50):
            self.assertEqual(owner.send("POST", "/api/keys", {"name": str(i)}).status, 201)
        answer = owner.send("POST", "/api/keys", {"name": "one more"})
        self.assertEqual(answer.status, 409, answer)
        self.assertIn("50", answer.json["error"])

    def test_a_stream_ends_when_its_key_may_not_read_any_more(self):
        owner = self.signed_up("unread")
        user, made = self.with_key(owner, scopes=["read"])
        stream = OpenStream(user)
        owner.ask("PATCH", f"/api/keys/{made['id']}", {"name": "still reads"})
        self.assertFalse(stream.ended.wait(0.3))
        owner.ask("PATCH", f"/api/keys/{made['id']}", {"scopes": ["generate"]})
        self.assertTrue(stream.ends_within(5))

    def test_the_terms_of_a_key_are_shown_changed_and_kept_over_a_restart(self):
        owner = self.signed_up("termed")
        _, made = self.with_key(owner, name="first", expires_in_s=3000, rate_limit_per_minute=7, spend_limit=2.5)
        self.assertEqual((made["rate_limit_per_minute"], made["spend_limit"]), (7, 2.5))
        changed = owner.send("PATCH", f"/api/keys/{made['id']}", {"name": "second", "expires_in_s": 0, "spend_limit": 3})
        self.assertEqual(changed.status, 200, changed)
        row = next(k for k in owner.get("/api/keys")["keys"] if k["id"] == made["id"])
        self.assertEqual((row["name"], row["expires_at"], row["rate_limit_per_minute"], row["spend_limit"]), ("second", None, 7, 3))
        self.assertNotIn("key", row)
        for body in ({"expires_in_s": 0}, {"expires_in_s": 1.5}, {"rate_limit_per_minute": 0}, {"spend_limit": -1}, {"spend_limit": "1"}, {"scopes": "read"}):
            self.assertEqual(owner.send("POST", "/api/keys", body).status, 400, body)

    def test_a_key_ends_by_itself_and_its_open_stream_with_it(self):
        owner = self.signed_up("ending")
        user, made = self.with_key(owner, expires_in_s=2)
        stream = OpenStream(user)
        self.assertEqual(user.send("GET", "/api/credits").status, 200)
        wait_until(lambda: user.send("GET", "/api/credits").status == 401, 10, "the key has ended")
        self.assertTrue(stream.ends_within(5))
        row = next(k for k in owner.get("/api/keys")["keys"] if k["id"] == made["id"])
        self.assertFalse(row["is_active"])

    def test_the_rate_limit_of_a_key_holds_everywhere(self):
        limited, _ = self.with_key(self.signed_up("limited"), rate_limit_per_minute=3)
        answers = [limited.send("GET", path) for path in ("/api/credits", "/api/profile", "/api/generations", "/api/credits")]
        self.assertEqual([a.status for a in answers], [200, 200, 200, 429])
        self.assertIn("retry-after", answers[-1].headers)

    def test_a_key_that_is_switched_off_opens_nothing_until_it_is_on_again(self):
        owner = self.signed_up("switched")
        user, made = self.with_key(owner)
        stream = OpenStream(user)
        owner.ask("PATCH", f"/api/keys/{made['id']}", {"is_active": False})
        self.assertEqual(user.send("GET", "/api/credits").status, 401)
        self.assertTrue(stream.ends_within(5), "its stream went on")
        owner.ask("PATCH", f"/api/keys/{made['id']}", {"is_active": True})
        self.assertEqual(user.send("GET", "/api/credits").status, 200)
        owner.ask("DELETE", f"/api/keys/{made['id']}")
        self.assertEqual(owner.send("PATCH", f"/api/keys/{made['id']}", {"is_active": True}).status, 409)
        self.assertEqual(user.send("GET", "/api/credits").status, 401)

    def test_the_keys_of_others_are_not_there(self):
        owner, other = self.signed_up("mine"), self.signed_up("other")
        _, made = self.with_key(owner)
        for method, body in (("DELETE", None), ("PATCH", {"name": "stolen"})):
            self.assertEqual(other.send(method, f"/api/keys/{made['id']}", body).status, 404)

    # -- sessions

    def test_sessions_are_listed_and_ended_one_by_one_or_all_others(self):
        first = self.signed_up("sessions")
        second, third = self.logged_in("sessions"), self.logged_in("sessions")
        rows = first.get("/api/sessions")["sessions"]
        self.assertEqual(len(rows), 3)
        self.assertEqual([row["current"] for row in rows].count(True), 1)
        self.assertEqual({row["address"] for row in rows}, {"127.0.0.1"})
        theirs = next(row["id"] for row in second.get("/api/sessions")["sessions"] if row["current"])
        stream = OpenStream(second)
        self.assertEqual(first.send("DELETE", f"/api/sessions/{theirs}").status, 200)
        self.assertTrue(stream.ends_within(5))
        self.assertEqual(second.send("GET", "/api/credits").status, 401)
        self.assertEqual(first.send("DELETE", f"/api/sessions/{theirs}").status, 404)
        self.assertEqual(first.ask("DELETE", "/api/sessions")[0]["sessions_left"], 1)
        self.assertEqual(third.send("GET", "/api/credits").status, 401)
        self.assertEqual(first.send("GET", "/api/credits").status, 200)
        stranger = self.signed_up("stranger")
        mine = first.get("/api/sessions")["sessions"][0]["id"]
        self.assertEqual(stranger.send("DELETE", f"/api/sessions/{mine}").status, 404)

    def test_a_session_that_is_used_lives_on(self):
        user = self.signed_up("sliding")
        ends = lambda: user.get("/api/sessions")["sessions"][0]["expires_at"]
        first = ends()
        wait_until(lambda: ends() > first, 10, "the end was put off")
        self.head.restart()
        self.boss.move_to(self.head.port)
        self.assertGreater(ends(), first, "and that was durable")

    def test_a_logout_ends_the_open_stream_of_its_session_only(self):
        user = self.signed_up("leaver")
        other = self.logged_in("leaver")
        leaving, staying = OpenStream(user), OpenStream(other)
        user.post("/api/logout", {})
        self.assertTrue(leaving.ends_within(5))
        self.assertFalse(staying.ended.wait(0.5))
        staying.connection.close()

    def test_a_disabled_account_is_out_at_once(self):
        user = self.signed_up("disabled")
        keyed, _ = self.with_key(user)
        streams = [OpenStream(user), OpenStream(keyed)]
        self.boss.ask("PUT", "/api/admin/accounts/disabled", {"disabled": True, "reason": "test"})
        for stream in streams:
            self.assertTrue(stream.ends_within(5))
        self.assertEqual(keyed.send("GET", "/api/credits").status, 401)
        self.assertEqual(self.head.anyone().send("POST", "/api/login", {"username": "disabled", "password": USER_PASSWORD}).status, 401)

    def test_the_last_admin_stays_one(self):
        second = self.signed_up("second-admin")
        for change in ({"role": "user"}, {"disabled": True}):
            answer = self.boss.send("PUT", "/api/admin/accounts/admin", dict(change, grant_credits=5))
            self.assertEqual(answer.status, 409, answer)
        refused = self.boss.send("POST", "/api/account/delete", {"password": ADMIN_PASSWORD})
        self.assertEqual(refused.status, 409, refused)
        self.boss.ask("PUT", "/api/admin/accounts/second-admin", {"role": "admin"})
        stream = OpenStream(second)
        # Both at once: one of them must be refused.
        found = []
        threads = [threading.Thread(target=lambda who=who, whom=whom: found.append(who.send("PUT", f"/api/admin/accounts/{whom}", {"role": "user"}).status))
                   for who, whom in ((self.boss, "second-admin"), (second, "admin"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertIn(200, found)
        self.assertEqual(len([status for status in found if status in (403, 409)]), 1, found)
        if self.boss.send("GET", "/api/admin/nodes").status == 403:
            second.ask("PUT", "/api/admin/accounts/admin", {"role": "admin"})
            self.boss.ask("PUT", "/api/admin/accounts/second-admin", {"role": "user"})
        self.assertTrue(stream.ends_within(5), "an admin's stream goes on without the role")
        self.head.restart()
        self.boss.move_to(self.head.port)
        self.assertEqual(self.boss.send("PUT", "/api/admin/accounts/admin", {"role": "user"}).status, 409, "also after a restart")

    def test_names_of_the_operator_and_of_ids_are_not_to_be_had(self):
        anyone = self.head.anyone()
        for name in ("root", "System", "ADMIN", account_of(self.signed_up("idol"))):
            answer = anyone.send("POST", "/api/signup", {"username": name, "password": USER_PASSWORD})
            self.assertEqual(answer.status, 400, f"{name}: {answer}")

    # -- passwords and addresses

    def test_a_mail_for_another_address_is_worthless_once_the_password_is_another(self):
        user = self.signed_up("regained")
        other = self.logged_in("regained")
        for i, end in enumerate([lambda: user.send("DELETE", "/api/sessions"),
                                 lambda: user.send("POST", "/api/settings/change-password", {"current_password": USER_PASSWORD, "new_password": OTHER_PASSWORD})]):
            before = len(mails(self.head, "Confirm your address"))
            asking = other if i == 0 else user
            self.assertEqual(asking.send("POST", "/api/settings/email", {"email": f"thief{i}@example.org"}).status, 200)
            token = token_in(wait_for_mail(self.head, "Confirm your address", before + 1)[-1][2])
            self.assertEqual(end().status, 200)
            self.assertEqual(self.head.anyone().send("POST", "/api/settings/email/confirm", {"token": token}).status, 400, i)
        self.assertEqual(user.get("/api/profile")["email"], "")

    def test_who_asks_for_another_address_again_and_again_gets_the_same_answer_and_no_mail(self):
        user = self.signed_up("insistent")
        before = len(mails(self.head, "Confirm your address"))
        answers = [user.send("POST", "/api/settings/email", {"email": "insistent@example.org"}) for _ in range(6)]
        self.assertEqual({(a.status, a.bytes) for a in answers}, {(200, answers[0].bytes)})
        wait_for_mail(self.head, "Confirm your address", before + 3)
        time.sleep(0.3)
        self.assertEqual(len(mails(self.head, "Confirm your address")), before + 3)

    def test_a_new_password_ends_all_other_sessions_and_their_streams(self):
        user = self.signed_up("changer")
        other = self.logged_in("changer")
        keyed, _ = self.with_key(user)
        stream, kept = OpenStream(other), OpenStream(user)
        wrong = user.send("POST", "/api/settings/change-password", {"current_password": "not the one", "new_password": OTHER_PASSWORD})
        self.assertEqual(wrong.status, 403)
        self.assertEqual(user.send("POST", "/api/settings/change-password", {"current_password": USER_PASSWORD, "new_password": "short"}).status, 400)
        done = user.send("POST", "/api/settings/change-password", {"current_password": USER_PASSWORD, "new_password": OTHER_PASSWORD})
        self.assertEqual(done.status, 200, done)
        self.assertTrue(stream.ends_within(5))
        self.assertFalse(kept.ended.wait(0.3))
        kept.connection.close()
        self.assertEqual(other.send("GET", "/api/credits").status, 401)
        self.assertEqual(user.send("GET", "/api/credits").status, 200)
        self.assertEqual(keyed.send("GET", "/api/credits").status, 200, "keys are revoked on their own")
        self.assertEqual(self.head.anyone().send("POST", "/api/login", {"username": "changer", "password": USER_PASSWORD}).status, 401)
        self.logged_in("changer", OTHER_PASSWORD)

    def test_a_forgotten_password_is_reset_by_mail_once(self):
        user = self.with_address("forgetful", "Forgetful@Example.org")
        stream = OpenStream(user)
        anyone = self.head.anyone()
        known = anyone.send("POST", "/api/password-reset/request", {"username": "forgetful"})
        by_address = anyone.send("POST", "/api/password-reset/request", {"username": "FORGETFUL@example.org"})
        unknown = anyone.send("POST", "/api/password-reset/request", {"username": "nobody-at-all"})
        no_address = anyone.send("POST", "/api/password-reset/request", {"username": "admin"})
        self.assertEqual({(a.status, a.bytes) for a in (known, by_address, unknown, no_address)}, {(200, known.bytes)})
        found = wait_for_mail(self.head, "Reset your password", 2)
        self.assertEqual({to for to, _, _ in found}, {"forgetful@example.org"})
        token, second = (token_in(text) for _, _, text in found[-2:])
        self.assertEqual(anyone.send("POST", "/api/password-reset/reset", {"token": "0" * 64, "new_password": OTHER_PASSWORD}).status, 400)
        self.assertEqual(anyone.send("POST", "/api/password-reset/reset", {"token": token, "new_password": "short"}).status, 400)
        self.assertEqual(anyone.send("POST", "/api/settings/email/confirm", {"token": token}).status, 400, "a token of another kind")
        self.assertEqual(anyone.send("POST", "/api/password-reset/reset", {"token": token, "new_password": OTHER_PASSWORD}).status, 200)
        self.assertTrue(stream.ends_within(5))
        self.assertEqual(user.send("GET", "/api/credits").status, 401)
        for used in (token, second):
            self.assertEqual(anyone.send("POST", "/api/password-reset/reset", {"token": used, "new_password": USER_PASSWORD}).status, 400)
        self.logged_in("forgetful", OTHER_PASSWORD)

    def test_who_asks_for_resets_again_and_again_fills_no_mailbox(self):
        self.with_address("mailbox", "mailbox@example.org")
        before = len(mails(self.head, "Reset your password"))
        for _ in range(8):
            self.assertEqual(self.head.anyone().send("POST", "/api/password-reset/request", {"username": "mailbox"}).status, 200)
        wait_for_mail(self.head, "Reset your password", before + 3)
        time.sleep(0.3)
        self.assertEqual(len(mails(self.head, "Reset your password")), before + 3)
        self.assertEqual(len(self.events(account="mailbox", kind="reset_asked")), 8, "a request is told, mail or not")

    def test_an_address_counts_once_it_is_confirmed_and_belongs_to_one(self):
        first = self.with_address("owner-of-it", "shared@example.org")
        self.assertEqual(first.get("/api/profile")["email"], "shared@example.org")
        second = self.signed_up("wants-it")
        before = len(mails(self.head, "Confirm your address"))
        self.assertEqual(second.send("POST", "/api/settings/email", {"email": "shared@example.org"}).status, 200, "nobody learns that it is taken")
        text = wait_for_mail(self.head, "Confirm your address", before + 1)[-1][2]
        self.assertEqual(second.get("/api/profile")["email"], "")
        self.assertEqual(second.send("POST", "/api/settings/email/confirm", {"token": token_in(text)}).status, 409)
        moved = first.send("POST", "/api/settings/email", {"email": "elsewhere@example.org"})
        self.assertEqual(moved.status, 200)
        text = wait_for_mail(self.head, "Confirm your address", before + 2)[-1][2]
        self.assertEqual(first.send("POST", "/api/settings/email/confirm", {"token": token_in(text)}).status, 200)
        self.assertEqual(wait_for_mail(self.head, "Your address was changed")[-1][0], "shared@example.org")
        for wrong in ("nothing", "a@b\r\nBcc: c@d.org", "", 5):
            self.assertEqual(first.send("POST", "/api/settings/email", {"email": wrong}).status, 400, wrong)

    def test_an_address_of_a_signup_is_confirmed_too(self):
        anyone = self.head.anyone()
        before = len(mails(self.head, "Confirm your address"))
        answer = anyone.send("POST", "/api/signup", {"username": "newcomer", "password": USER_PASSWORD, "email": "newcomer@example.org"})
        self.assertEqual(answer.status, 201, answer)
        to, _, text = wait_for_mail(self.head, "Confirm your address", before + 1)[-1]
        self.assertEqual(to, "newcomer@example.org")
        anyone.send("POST", "/api/settings/email/confirm", {"token": token_in(text)})
        self.assertEqual(self.logged_in("newcomer").get("/api/profile")["email"], "newcomer@example.org")

    def test_a_login_takes_as_long_for_a_name_that_nobody_has(self):
        self.signed_up("timed")
        took = {"timed": [], "not-a-user": []}
        for _ in range(9):
            for name, times in took.items():
                begin = time.monotonic()
                self.assertEqual(self.head.anyone().send("POST", "/api/login", {"username": name, "password": "wrong password"}).status, 401)
                times.append(time.monotonic() - begin)
        known, unknown = (statistics.median(times) for times in took.values())
        print(f"a failed login takes {known * 1000:.0f} ms for a known name, {unknown * 1000:.0f} ms for an unknown one")
        self.assertLess(abs(known - unknown), max(0.35 * max(known, unknown), 0.02))

    def test_a_flood_of_logins_starves_nobody(self):
        user = self.signed_up("calm", key=True)

        def slowest(rounds):
            times = []
            for _ in range(rounds):
                begin = time.monotonic()
                self.assertEqual(user.send("GET", "/api/credits").status, 200)
                times.append(time.monotonic() - begin)
            return sorted(times)[int(rounds * 0.95)]

        alone = slowest(40)
        stop, seen = threading.Event(), []

        def flood():
            while not stop.is_set():
                seen.append(self.head.anyone().send("POST", "/api/login", {"username": "calm", "password": "wrong password"}).status)

        threads = [threading.Thread(target=flood, daemon=True) for _ in range(32)]
        for thread in threads:
            thread.start()
        wait_until(lambda: 503 in seen and 401 in seen, 20, "there are more logins than may wait")
        flooded = slowest(40)
        stop.set()
        for thread in threads:
            thread.join(60)
        print(f"95 % of other requests took {alone * 1000:.1f} ms alone, {flooded * 1000:.1f} ms in a flood of logins "
              f"({seen.count(401)} were checked, {seen.count(503)} turned away)")
        self.assertLess(flooded, max(20 * alone, 0.5))
        self.assertEqual(set(seen), {401, 503})

    # -- the profile

    def test_a_profile_is_changed_piece_by_piece(self):
        user = self.signed_up("profiled")
        self.assertEqual(user.get("/api/profile")["avatar"], None)
        user.post("/api/profile", {"display_name": "Jürgen 🎬", "bio": "films"})
        user.ask("PUT", "/api/profile", {"bio": "more films"})
        now = user.get("/api/profile")
        self.assertEqual((now["username"], now["display_name"], now["bio"], now["profile_public"]), ("profiled", "Jürgen 🎬", "more films", False))
        self.assertEqual(self.head.anyone().send("GET", "/api/profiles/profiled").status, 404)
        user.post("/api/profile", {"profile_public": True})
        shown = self.head.anyone().get("/api/profiles/profiled")
        self.assertEqual(shown, {"username": "profiled", "display_name": "Jürgen 🎬", "bio": "more films", "avatar": None})
        for body in ({"display_name": "x" * 81}, {"bio": 5}, {"profile_public": "yes"}):
            self.assertEqual(user.send("POST", "/api/profile", body).status, 400, body)
        self.assertEqual(user.send("POST", "/api/settings/theme", {"theme": "blue"}).status, 400)
        user.post("/api/settings/theme", {"theme": "light"})
        self.assertEqual(user.get("/api/auth/check")["theme"], "light")

    def picture(self, name, *more, size="640x360"):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-picture-"))
        self.addCleanup(subprocess.run, ["rm", "-rf", str(folder)])
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", f"testsrc=size={size}", "-frames:v", "1", *more, str(folder / name)], check=True)
        return (folder / name).read_bytes()

    def test_a_portrait_is_square_small_and_without_what_was_not_seen(self):
        user = self.signed_up("portrayed")
        for name, content in [("a.png", self.picture("a.png")), ("a.jpg", self.picture("a.jpg", "-metadata", "comment=SECRET-PLACE")), ("a.webp", self.picture("a.webp"))]:
            if name == "a.jpg":  # a comment segment, as cameras write
                content = content[:2] + b"\xff\xfe\x00\x0eSECRET-PLACE" + content[2:]
            form = (b"--frontier\r\nContent-Disposition: form-data; name=\"avatar\"; filename=\"../../etc/" + name.encode() +
                    b"\"\r\nContent-Type: text/html\r\n\r\n" + content + b"\r\n--frontier--\r\n")
            answer = user.send("POST", "/api/profile/avatar", content=form, content_type="multipart/form-data; boundary=frontier")
            self.assertEqual(answer.status, 200, f"{name}: {answer}")
            got = user.send("GET", answer.json["avatar"])
            self.assertEqual((got.status, got.headers["content-type"]), (200, "image/jpeg"))
            self.assertNotIn(b"SECRET-PLACE", got.bytes)
            self.assertLess(len(got.bytes), 100_000)
            said = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "stream=width,height,codec_name", "-of", "csv=p=0", "-"], input=got.bytes,
                                  capture_output=True, check=True).stdout.decode().strip()
            self.assertEqual(said, "mjpeg,256,256", name)
            self.assertEqual(user.send("GET", answer.json["avatar"], headers={"If-None-Match": got.headers["etag"]}).status, 304)
        raw = user.send("POST", "/api/profile/avatar", content=self.picture("b.png"), content_type="image/png")
        self.assertEqual(raw.status, 200, raw)

    def test_what_is_no_picture_is_no_portrait_and_hurts_nobody(self):
        user = self.signed_up("hostile")
        good = self.picture("a.png")
        bomb = good[:16] + (60000).to_bytes(4, "big") + (60000).to_bytes(4, "big") + good[24:]  # claims 3.6 gigapixels
        for content, status in [(b"", 415), (b"GIF89a" + b"x" * 100, 415), (b"<svg/>", 415), (b"#EXTM3U\nfile:///etc/passwd", 415),
                                (good[:100], 400), (b"\x89PNG\r\n\x1a\n" + b"\0" * 1000, 400), (bomb, 400), (b"\xff\xd8\xff" + b"\xff" * 5000, 400),
                                (b"RIFF\x10\0\0\0WEBPVP8 " + b"\xee" * 200, 400)]:
            answer = user.send("POST", "/api/profile/avatar", content=content, content_type="image/png")
            self.assertEqual(answer.status, status, f"{content[:20]}: {answer}")
        self.assertIn(user.send("POST", "/api/profile/avatar", content=b"--x\r\n", content_type="multipart/form-data; boundary=x").status, (400,))
        self.assertEqual(user.send("POST", "/api/profile/avatar", content=good + b"\0" * (11 << 20), content_type="image/png").status, 413)
        self.assertEqual(user.get("/api/profile")["avatar"], None)
        self.assertEqual(user.send("GET", "/api/profile/avatar").status, 404)

    def test_of_one_account_one_portrait_is_made_at_a_time(self):
        user = self.signed_up("eager")
        content, found = self.picture("a.png", size="3000x2000"), []
        threads = [threading.Thread(target=lambda: found.append(user.send("POST", "/api/profile/avatar", content=content, content_type="image/png")))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual({answer.status for answer in found}, {200, 429})
        self.assertTrue(all("retry-after" in answer.headers for answer in found if answer.status == 429))
        self.assertEqual(user.send("POST", "/api/profile/avatar", content=content, content_type="image/png").status, 200)

    def test_a_profile_that_does_not_change_writes_nothing(self):
        user = self.signed_up("steady")
        user.post("/api/profile", {"display_name": "Steady"})
        history = lambda: self.boss.get(f"/api/admin/actors/account/{account_of(user)}?events=500")["events"]
        before = history()
        for _ in range(3):
            self.assertEqual(user.post("/api/profile", {"display_name": "Steady"})["display_name"], "Steady")
            user.post("/api/settings/theme", {"theme": "dark"})
        self.assertEqual(history(), before)

    # -- the audit log

    def events(self, **filters):
        rows, cursor = [], ""
        while True:
            query = "&".join(f"{name}={value}" for name, value in dict(filters, cursor=cursor).items() if value != "")
            page = self.boss.get("/api/admin/audit?" + query)
            rows += page["events"]
            cursor = page["next_cursor"] or ""
            if not cursor:
                return rows

    def test_every_event_of_security_is_in_the_audit_log_with_who_and_from_where(self):
        user = self.with_address("audited", "audited@example.org")
        self.head.anyone().send("POST", "/api/login", {"username": "audited", "password": "wrong password"})
        self.logged_in("audited").post("/api/logout", {})
        keyed, made = self.with_key(user)
        user.ask("PATCH", f"/api/keys/{made['id']}", {"name": "renamed"})
        user.ask("DELETE", f"/api/keys/{made['id']}")
        user.send("POST", "/api/settings/change-password", {"current_password": "wrong password", "new_password": OTHER_PASSWORD})
        answer = user.send("POST", "/api/settings/change-password", {"current_password": USER_PASSWORD, "new_password": OTHER_PASSWORD})
        self.head.anyone().send("POST", "/api/password-reset/request", {"username": "audited"})
        self.boss.ask("PUT", "/api/admin/accounts/audited", {"tier": "pro", "grant_credits": 7, "reason": "a gift"})
        for _ in range(2):  # the second is a repeat
            self.boss.ask("POST", "/api/admin/accounts/audited/refunds", {"credits": 2, "reason": "it was dark", "reference": "complaint-1"})
        user.get("/api/account/export")
        rows = self.events(account="audited")
        kinds = [row["kind"] for row in rows]
        for kind in ("signup", "login", "login_failed", "logout", "key_created", "key_changed", "key_revoked", "password_failed", "password_changed",
                     "reset_asked", "email_change_asked", "email_changed", "account_changed", "credits_granted", "account_exported"):
            self.assertIn(kind, kinds)
        self.assertEqual([row["details"] for row in rows if row["kind"] == "refund"],
                         [{"credits": 2, "reason": "it was dark", "reference": "complaint-1"}])
        self.boss.ask("PUT", "/api/admin/accounts/audited", {"tier": "pro", "disabled": False, "reason": "as it is already"})
        self.assertEqual(len(self.events(account="audited", kind="account_changed")), 1, "what changes nothing is no change")
        for row in rows:
            self.assertEqual(row["address"], "127.0.0.1", row)
            self.assertRegex(row["request_id"], r"^[0-9a-f-]{36}$")
            self.assertEqual((row["account"], row["username"]), (account_of(user), "audited"))
        changed = next(row for row in rows if row["kind"] == "password_changed")
        self.assertEqual((changed["request_id"], changed["via"], changed["by_username"]), (answer.headers["x-request-id"], "session", "audited"))
        by_admin = next(row for row in rows if row["kind"] == "account_changed")
        self.assertEqual((by_admin["by_username"], by_admin["details"]), ("admin", {"tier": "pro", "reason": "a gift"}))
        self.assertEqual([row["at"] for row in rows], sorted((row["at"] for row in rows), reverse=True))

    def test_the_audit_log_is_read_in_pages_by_kind_and_by_time(self):
        for _ in range(5):
            self.head.anyone().send("POST", "/api/login", {"username": "not-a-user-either", "password": "wrong password"})
        whole = self.events(kind="login_failed", limit=1000)
        paged = self.events(kind="login_failed", limit=2)
        self.assertEqual([row["id"] for row in paged], [row["id"] for row in whole])
        self.assertEqual({row["kind"] for row in whole}, {"login_failed"})
        self.assertEqual(self.events(**{"from": "2099-01-01"}), [])
        self.assertEqual(self.events(to="2020-01-01T00:00:00Z"), [])
        self.assertGreater(len(self.events(**{"from": "2020-01-01", "to": "2099-01-01"})), 4)
        for query in ("from=yesterday", "kind=gossip", "limit=0", "limit=1001"):
            self.assertEqual(self.boss.send("GET", "/api/admin/audit?" + query).status, 400, query)
        self.assertEqual(self.boss.get("/api/admin/audit?account=nobody-of-that-name")["events"], [])
        self.assertEqual(self.signed_up("curious").send("GET", "/api/admin/audit").status, 403)


class Farewell(unittest.TestCase):
    def setUp(self):
        self.head = Head({"node.slots": 2}).start()
        self.addCleanup(self.head.destroy)
        self.boss = self.head.admin()

    def test_a_copy_of_all_and_then_nothing_is_left(self):
        self.head.wait_for_engines_of("null")
        user = self.head.user("goner", tier="creator", grant=100, key=False)
        user.post("/api/profile", {"display_name": "Gone Girl", "bio": "was here"})
        account = account_of(user)
        done = user.run("bench-chain", {"ms": 0})["job_id"]
        user.wait_for_job(done)
        copy = user.get("/api/account/export")
        self.assertEqual(copy["account"]["profile"]["display_name"], "Gone Girl")
        self.assertEqual([job["job_id"] for job in copy["jobs"]["rows"]], [done])
        self.assertTrue(copy["credits"]["rows"] and copy["audit"]["rows"] and copy["account"]["sessions"])
        self.assertIn("subscription", copy)
        page = user.get("/api/account/export?limit=1")
        rest = user.get(f"/api/account/export?limit=1000&credits_after={page['credits']['next']}")
        self.assertEqual(page["credits"]["rows"] + rest["credits"]["rows"], copy["credits"]["rows"])
        before = self.boss.get(f"/api/admin/actors/ledger/{account}?events=500")["events"]

        running = user.run("bench-chain", {"ms": 60000})["job_id"]
        self.assertEqual(user.send("POST", "/api/account/delete", {"password": "not the password"}).status, 403)
        refused = user.send("POST", "/api/account/delete", {"password": USER_PASSWORD})
        self.assertEqual((refused.status, refused.json["jobs"]), (409, [running]))
        stream = OpenStream(user)
        answer = user.send("POST", "/api/account/delete", {"password": USER_PASSWORD, "cancel_jobs": True})
        self.assertEqual(answer.status, 200, answer)
        self.assertTrue(stream.ends_within(5))
        self.assertEqual(user.send("GET", "/api/profile").status, 401)
        self.assertEqual(self.head.anyone().send("POST", "/api/login", {"username": "goner", "password": USER_PASSWORD}).status, 401)
        self.assertEqual(self.boss.send("GET", f"/api/admin/actors/job/{done}").status, 404, "the job's inputs are kept")
        self.head.restart()
        for look in (f"account/{account}",):
            told = self.boss.send("GET", f"/api/admin/actors/{look}?events=500").bytes.decode()
            for word in ("goner", "Gone Girl", "was here", "127.0.0.1"):
                self.assertNotIn(word, told)
        books = self.boss.get(f"/api/admin/actors/ledger/{account}?events=500")["events"]
        self.assertEqual(books[-len(before):], before, "the books are not as they were")
        self.assertEqual(self.boss.get(f"/api/admin/audit?account={account}")["events"][0]["kind"], "account_deleted")
        again = self.head.user("goner", tier="free", key=False)
        self.assertNotEqual(account_of(again), account, "the name is free, the account is another")
        self.assertEqual(again.get("/api/profile")["display_name"], "")


class PostOffice(threading.Thread):
    """A mail server of a few lines (RFC 5321) that keeps what it is given, and turns the first away when told so."""

    def __init__(self, refusals=0, refusal="451 come back later"):
        super().__init__(daemon=True)
        self.refusals = refusals
        self.refusal = refusal
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got = []

    def run(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rwb") as file:
                self.talk(file)

    def talk(self, file):
        def say(line):
            file.write(line.encode() + b"\r\n")
            file.flush()

        say("220 post office")
        letter = {}
        while line := file.readline().decode():
            word = line[:4].upper()
            if word in ("EHLO", "HELO"):
                say("250 post office")
            elif word == "MAIL":
                if self.refusals > 0:
                    self.refusals -= 1
                    say(self.refusal)
                else:
                    letter["from"] = line
                    say("250 ok")
            elif word == "RCPT":
                letter["to"] = line
                say("250 ok")
            elif word == "DATA":
                say("354 go on")
                text = b""
                while (part := file.readline()) != b".\r\n":
                    text += part
                letter["text"] = text.decode()
                self.got.append(letter)
                say("250 taken")
            elif word == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")


class Mail(unittest.TestCase):
    def test_mails_go_to_the_server_and_are_tried_again_when_it_turns_them_away(self):
        office = PostOffice(refusals=1)
        office.start()
        self.addCleanup(office.listener.close)
        head = Head({"node.local": False, "mail.smtp_url": f"smtp://127.0.0.1:{office.port}", "mail.require_tls": False, "mail.from": "studio@example.org",
                     "http.public_url": "https://studio.example.org"}).start()
        self.addCleanup(head.destroy)
        user = head.user("mailed", tier="free", key=False)
        user.post("/api/settings/email", {"email": "mailed@example.org"})
        letter = wait_until(lambda: office.got[0] if office.got else None, 30, "the mail arrives")
        self.assertIn("<studio@example.org>", letter["from"])
        self.assertIn("<mailed@example.org>", letter["to"])
        self.assertIn("https://studio.example.org/confirm-email#token=", letter["text"])
        self.assertEqual(user.send("POST", "/api/settings/email/confirm", {"token": token_in(letter["text"])}).status, 200)
        self.assertFalse((head.data / "outbox").exists())
        # Where the link leads there is a page; browsers come by https and must be taken for the studio's own.
        link = re.search(r"https://studio\.example\.org(/confirm-email)#token=", letter["text"]).group(1)
        for page in (link, "/reset"):
            shown = head.anyone().send("GET", page)
            self.assertEqual((shown.status, shown.headers["content-type"]), (200, "text/html; charset=utf-8"))
            self.assertIn("default-src 'none'; script-src 'self'", shown.headers["content-security-policy"])
            self.assertEqual(shown.headers["referrer-policy"], "no-referrer")
            files = re.findall(r'(?:src|href)="([^"]+)"', shown.bytes.decode())
            self.assertEqual(len(files), 2)
            for file in files:
                self.assertTrue(file.startswith("/mailed/"), file)
                self.assertEqual(head.anyone().send("GET", file).status, 200)
            path = re.search(r'data-path="([^"]+)"', shown.bytes.decode()).group(1)
            self.assertEqual(head.anyone().send("POST", path, {"token": "0" * 64, "new_password": USER_PASSWORD}).status, 400)
        login = head.anyone().send("POST", "/api/login", {"username": "mailed", "password": USER_PASSWORD})
        self.assertIn("; Secure", login.headers["set-cookie"])
        cookie = login.headers["set-cookie"].split(";")[0]
        for origin, status in (("https://studio.example.org", 200), ("https://elsewhere.example.org", 403)):
            answer = head.anyone().send("POST", "/api/settings/theme", {"theme": "dark"}, headers={"Cookie": cookie, "Origin": origin})
            self.assertEqual(answer.status, status, origin)

    def test_a_mail_that_waits_keeps_no_other_and_one_refused_for_good_is_not_tried_again(self):
        for refusal, tried_again in (("451 come back later", True), ("550 never", False)):
            office = PostOffice(refusals=1, refusal=refusal)
            office.start()
            self.addCleanup(office.listener.close)
            head = Head({"node.local": False, "mail.smtp_url": f"smtp://127.0.0.1:{office.port}", "mail.require_tls": False}).start()
            self.addCleanup(head.destroy)
            users = [head.user(name, tier="free", key=False) for name in ("first", "second")]
            users[0].post("/api/settings/email", {"email": "first@example.org"})
            wait_until(lambda: "the server did not take" in head.log_text(), 20, "the refusal is logged")
            users[1].post("/api/settings/email", {"email": "second@example.org"})
            wait_until(lambda: office.got, 20, "the second mail arrives")
            self.assertIn("second@", office.got[0]["to"])
            if tried_again:
                wait_until(lambda: len(office.got) == 2, 20, "the first mail arrives")
            else:
                self.assertIn("was not sent, after 1 tries", head.log_text())

    def test_no_mail_goes_over_a_line_that_is_not_encrypted_unless_allowed(self):
        office = PostOffice()
        office.start()
        self.addCleanup(office.listener.close)
        head = Head({"node.local": False, "mail.smtp_url": f"smtp://127.0.0.1:{office.port}"}).start()
        self.addCleanup(head.destroy)
        head.user("careful", tier="free", key=False).post("/api/settings/email", {"email": "careful@example.org"})
        wait_until(lambda: "the server did not take" in head.log_text(), 20, "the refusal is logged")
        self.assertEqual(office.got, [])
        self.assertNotIn("careful@example.org", head.log_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)

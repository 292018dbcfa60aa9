"""No secret leaves a trace. A whole life of an account over HTTP, with every kind of secret in it, with jobs that a node
runs and payments by Stripe; then all that can be looked at is searched for each of them: the log of head and node, all
answers, event streams, what admins can inspect, exports, and every file of the data directory (the journal's own log is
not compressed). Only the outbox may hold tokens: it stands for the mailbox."""
import json
import pathlib
import re
import shutil
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "support"))
from accounts_test import mails, token_in, wait_for_mail  # noqa: E402
from stripe_stand_in import Api, Events, Sdk  # noqa: E402
from studio import ADMIN_PASSWORD, Head, account_of, wait_until  # noqa: E402


WORK = {"prompt": "A quiet sea", "width": 96, "height": 64, "frames": 8, "seed": 5}
KEY_FILES = ("secret.key", "head.key", "node/curve.key")  # each holds one, as its purpose is


class Watched:
    """Asks on behalf of a user and keeps every answer, but for those that are meant to show a secret."""

    def __init__(self, user, answers):
        self.user = user
        self.answers = answers

    def __call__(self, method, path, body=None, shows=False, headers=None):
        answer = self.user.send(method, path, body, headers=headers)
        if not shows:
            self.answers.append((f"{method} {path}", answer))
        return answer


class Stream:
    """What a stream said, like an answer."""

    def __init__(self, events):
        self.bytes = json.dumps(list(events), default=str).encode()
        self.headers = {}


class Secrets(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        self.secrets = {"the admin's password": ADMIN_PASSWORD}
        self.answers = []
        stripe_key = self.keep("the key of Stripe's API", "sk_test_51SecretKeyOfAWholeLife")
        signing = self.keep("the secret of Stripe's webhook", "whsec_SecretOfAWholeLife")
        self.api, self.sdk = Api(stripe_key), Sdk(signing)
        self.addCleanup(self.api.close)
        self.addCleanup(self.sdk.close)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-secrets-"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "key").write_text(stripe_key)
        (folder / "webhook").write_text(signing)
        self.head = Head({"log.level": "trace", "payments.provider": "stripe", "payments.stripe_url": self.api.url, "payments.stripe_key_file": folder / "key",
                          "payments.stripe_webhook_secret_file": folder / "webhook", "payments.stripe_prices": "creator=price_creator"}).start()
        self.addCleanup(self.head.destroy)
        self.head.wait_for_engines()
        self.keep("the installation's key", (self.head.data / KEY_FILES[0]).read_text().strip())
        for name in KEY_FILES[1:]:
            self.keep(f"the secret half of {name}", (self.head.data / name).read_text().split()[1])

    def watched(self, user):
        return Watched(user, self.answers)

    def keep(self, what, secret):
        self.assertGreaterEqual(len(secret), 12, what)
        self.secrets[what] = secret
        return secret

    def session_of(self, name, password, what, path="/api/login"):
        user = self.head.anyone()
        answer = user.send("POST", path, {"username": name, "password": password})
        self.assertIn(answer.status, (200, 201), answer)
        self.assertNotIn(password.encode(), answer.bytes)
        cookie = answer.headers["set-cookie"].split(";")[0]
        self.keep(what, cookie.split("=")[1])
        user.headers = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{user.port}"}
        user.account = None
        return user

    def live(self):
        """The life; returns the account's id."""
        first = self.keep("the first password", "first-Passw0rd-of-watched")
        second = self.keep("the second password", "second-Passw0rd-of-watched")
        third = self.keep("the password after the reset", "third-Passw0rd-of-watched")
        typo = self.keep("a password typed wrong", "wrong-Passw0rd-of-watched")
        nobody = self.watched(self.head.anyone())

        user = self.session_of("watched", first, "the session of the signup", "/api/signup")
        ask = self.watched(user)
        account = account_of(user)
        # A password where a name should be: people do that.
        for body in ({"username": "watched", "password": typo}, {"username": typo, "password": "x"}, {"username": "watched", "password": [first]},
                     {"username": {"a": typo}, "password": typo}):
            nobody("POST", "/api/login", body)
        nobody("POST", "/api/signup", {"username": "watched", "password": first})
        made = ask("POST", "/api/keys", {"name": "watched key", "spend_limit": 50}, shows=True).json
        key = self.keep("an API key", made["key"])
        ended = ask("POST", "/api/keys", {"name": "ended", "family": "unified"}, shows=True).json
        self.keep("a revoked API key", ended["key"])
        bearer = self.head.anyone()
        bearer.headers = {"Authorization": "Bearer " + key}
        by_key = self.watched(bearer)
        for path in ("/api/credits", "/api/keys", "/api/auth/check", "/api/nothing", "/api/admin/audit", "/v1/nothing", "/api/v1/nothing"):
            by_key("GET", path)
        ask("DELETE", f"/api/keys/{ended['id']}")
        self.work_and_pay(ask, bearer, account)
        for authorization in ("Bearer " + ended["key"], "Basic " + key, key, "Bearer " + key + "x", "Bearer  " + key + " and more"):
            nobody("GET", "/api/credits", headers={"Authorization": authorization})
        nobody("GET", f"/api/credits?api_key={key}")
        nobody("POST", "/api/keys/" + key, {})
        ask("PATCH", f"/api/keys/{made['id']}", {"name": "renamed"})

        ask("POST", "/api/settings/email", {"email": "watched@example.org"})
        confirm = self.keep("the token of an address", token_in(wait_for_mail(self.head, "Confirm your address")[-1][2]))
        nobody("POST", "/api/password-reset/reset", {"token": confirm, "new_password": third})
        nobody("POST", "/api/settings/email/confirm", {"token": confirm})
        nobody("POST", "/api/settings/email/confirm", {"token": confirm})
        other = self.session_of("watched", first, "another session")
        ask("POST", "/api/settings/change-password", {"current_password": typo, "new_password": second})
        ask("POST", "/api/settings/change-password", {"current_password": first, "new_password": 5})
        self.assertEqual(ask("POST", "/api/settings/change-password", {"current_password": first, "new_password": second}).status, 200)
        self.watched(other)("GET", "/api/credits")
        nobody("POST", "/api/password-reset/request", {"username": "watched"})
        reset = self.keep("the token of a reset", token_in(wait_for_mail(self.head, "Reset your password")[-1][2]))
        nobody("POST", "/api/password-reset/request", {"username": "watched"})
        unused = self.keep("the token of a reset that was never used", token_in(wait_for_mail(self.head, "Reset your password", 2)[-1][2]))
        self.assertNotEqual(reset, unused)
        nobody("POST", "/api/password-reset/reset", {"token": reset, "new_password": "short"})
        self.assertEqual(nobody("POST", "/api/password-reset/reset", {"token": reset, "new_password": third}).status, 200)
        nobody("POST", "/api/password-reset/reset", {"token": unused, "new_password": third})
        back = self.session_of("watched", third, "the session after the reset")
        again = self.watched(back)
        for path in ("/api/sessions", "/api/keys", "/api/profile", "/api/account/export", "/api/credits", "/api/credits/history"):
            self.assertEqual(again("GET", path).status, 200, path)
        again("POST", "/api/account/delete", {"password": typo})
        # Broken JSON around a secret: the error names the position, not the text.
        for body in (b'{"username": "watched", "password": "' + third.encode() + b'"', b'{"password": ' + third.encode() + b'}'):
            answer = self.head.anyone().send("POST", "/api/login", content=body, content_type="application/json")
            self.answers.append(("POST /api/login, broken", answer))
        return account

    def work_and_pay(self, ask, bearer, account):
        """Jobs of a key and of a session, their stream; a key that is made twice by one Idempotency-Key; payments."""
        once = {"Idempotency-Key": self.keep("an Idempotency-Key", "once-and-for-ever-7315")}
        made = [ask("POST", "/api/keys", {"name": "made once"}, shows=True, headers=once) for _ in range(2)]
        self.assertEqual(made[0].json, made[1].json)
        self.keep("an API key that was shown twice", made[0].json["key"])
        by_key = self.watched(bearer)
        for asking, body in ((ask, WORK), (by_key, dict(WORK, prompt="Another quiet sea"))):
            answer = asking("POST", "/api/generate", body, headers={"Idempotency-Key": "work-" + body["prompt"].replace(" ", "-")})
            self.assertIn(answer.status, (200, 202), answer)
            job = answer.json["job_id"]
            self.answers.append((f"the stream of {job}", Stream(bearer.stream(f"/api/jobs/{job}/events"))))
            bearer.wait_for_job(job)
            asking("GET", f"/api/jobs/{job}")
        asking("POST", "/api/credits/topup", {"credits": 100})
        events = Events(account)
        for event in (events.topup(100, "pi_watched"), events.subscription("creator")):
            payload = json.dumps(event)
            signature = self.sdk.sign(payload)
            self.keep("a signature of Stripe's", signature.split("v1=")[1][:64])
            for header in (signature, signature[:-1], "t=1,v1=" + signature.split("v1=")[1]):
                answer = self.head.anyone().send("POST", "/api/stripe/webhook", content=payload.encode(), content_type="application/json",
                                                 headers={"Stripe-Signature": header})
                self.answers.append(("POST /api/stripe/webhook", answer))
        ask("POST", "/api/stripe/create-portal")

    def found_in(self, where, content):
        content = content if isinstance(content, bytes) else content.encode()
        return [f"{what} in {where}" for what, secret in self.secrets.items() if secret.encode() in content]

    def test_no_secret_is_found_anywhere_after_a_whole_life(self):
        account = self.live()
        boss = self.session_of("admin", ADMIN_PASSWORD, "the admin's session")
        ask = self.watched(boss)
        listed = ask("GET", "/api/admin/actors?limit=1000").json["actors"]
        self.assertIn(("account", account), {(entry["kind"], entry["id"]) for entry in listed})
        for entry in listed:
            seen = ask("GET", f"/api/admin/actors/{entry['kind']}/{entry['id']}?events=500")
            self.assertEqual(seen.status, 200)
            self.assertNotIn(b"$argon2", seen.bytes)
            if entry["kind"] == "job":
                continue  # the hash of its workflow's definition
            # Not even the hash of one: 64 hex digits under the name of a hash.
            self.assertEqual(re.findall(rb'"(?:hash|password_hash|token_hash)":"[0-9a-f$]', seen.bytes), [], entry)
        for path in ("/api/admin/actors/tree", "/api/admin/audit?limit=1000", "/api/admin/nodes", "/api/admin/devices", "/openapi.json"):
            self.assertEqual(ask("GET", path).status, 200, path)
        trail = ask("GET", "/api/admin/audit?limit=1000&account=watched").json["events"]
        self.assertTrue({"signup", "login", "login_failed", "key_created", "key_revoked", "password_changed", "reset_asked", "password_reset"} <=
                        {event["kind"] for event in trail})
        metrics = self.head.anyone().send("GET", "/metrics")
        self.answers.append(("GET /metrics", metrics))

        found = []
        for where, answer in self.answers:
            found += self.found_in(f"the answer to {where.split('?')[0]}", answer.bytes)
            found += self.found_in(f"the headers of {where.split('?')[0]}", json.dumps({k: v for k, v in answer.headers.items() if k != "set-cookie"}))
        found += self.found_in("the log", self.head.log_text())
        self.assertEqual(self.head.stop(), 0)  # all that was buffered is in the files
        found += self.found_in("the log", self.head.log_text())
        files = 0
        for path in sorted(self.head.data.rglob("*")):
            if path.is_file() and "outbox" not in path.parts and str(path.relative_to(self.head.data)) not in KEY_FILES:
                files += 1
                found += self.found_in(str(path.relative_to(self.head.data)), path.read_bytes())
        self.assertGreater(files, 3)
        self.assertEqual(found, [])
        # The search itself can find: what is no secret and was written is there.
        whole = b"".join(path.read_bytes() for path in self.head.data.rglob("*") if path.is_file() and "outbox" not in path.parts)
        self.assertIn(b"watched@example.org", whole)
        self.assertTrue(mails(self.head))

    def test_what_opens_doors_lies_in_files_that_only_their_owner_reads(self):
        self.head.user("careful", tier="free", key=False).post("/api/settings/email", {"email": "careful@example.org"})
        wait_for_mail(self.head, "Confirm your address")
        for path in [*(self.head.data / name for name in KEY_FILES), *(self.head.data / "outbox").iterdir()]:
            self.assertEqual(path.stat().st_mode & 0o777, 0o600, path)
        self.assertEqual((self.head.data / "outbox").stat().st_mode & 0o777, 0o700)
        wait_until(lambda: "outbox/" in self.head.log_text(), 20, "the log names the file")


if __name__ == "__main__":
    unittest.main(verbosity=2)

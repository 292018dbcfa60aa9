"""What the payment tests need of Stripe: events signed by its own SDK, and a server in place of its API that keeps what it
was sent and answers as Stripe documents."""
import http.server
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
PREFIX = pathlib.Path(os.environ.get("TROUPE_PREFIX") or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "troupe/prefix")
PRICES = {tier: f"price_{tier}" for tier in ("starter", "creator", "pro", "studio")}


class Sdk:
    """Stripe's npm package in a process of its own."""

    def __init__(self, secret):
        self.secret = secret
        folder = PREFIX / "stripe"
        assert (folder / "package.json").exists(), f"Stripe's SDK is not in {folder}: run scripts/deps"
        node = shutil.which("node") or shutil.which("nodejs")
        assert node, "there is no node: run scripts/deps"
        self.process = subprocess.Popen([node, str(HERE / "stripe_sdk.mjs"), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def sign(self, payload, secret=None, timestamp=None):
        ask = {"payload": payload, "secret": secret or self.secret}
        if timestamp is not None:
            ask["timestamp"] = timestamp
        self.process.stdin.write(json.dumps(ask) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert answer["problem"] is None, answer
        return answer["header"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


class Api:
    """A server in the place of api.stripe.com. `calls` is what it was sent; `fail_next` answers so many calls with 500."""

    def __init__(self, key):
        self.key = key
        self.calls = []
        self.fail_next = 0
        self.decline_next = 0
        self.ended = set()  # subscriptions
        self.gone = set()  # customers
        self.unpaid = set()  # subscriptions
        self.prices = {}  # of subscriptions
        self.answers = {}  # by Idempotency-Key, as Stripe keeps them
        self.number = itertools.count(1)
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer({})

            def do_DELETE(self):
                self.answer({})

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                self.answer(dict(urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=bool(body))))

            def answer(self, form):
                status, value, replayed = api.serve(self.command, self.path, form, self.headers)
                data = json.dumps(value).encode()
                self.send_response(status)
                if replayed:
                    self.send_header("Idempotent-Replayed", "true")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def serve(self, method, path, form, headers):
        once = headers.get("Idempotency-Key")
        replayed = once in self.answers
        status, value = self.answered(method, path, form, headers, once)
        return status, value, replayed

    def answered(self, method, path, form, headers, once):
        self.calls.append({"method": method, "path": path, "form": form, "once": once})
        if headers.get("Authorization") != f"Bearer {self.key}":
            return 401, {"error": {"type": "invalid_request_error", "message": f"Invalid API Key provided: {headers.get('Authorization')}"}}
        if self.fail_next > 0:
            self.fail_next -= 1
            return 500, {"error": {"type": "api_error", "message": "try again"}}
        if method == "POST" and not once:
            return 400, {"error": {"type": "invalid_request_error", "message": "the tests want an Idempotency-Key"}}
        if once in self.answers:
            return self.answers[once]
        if self.decline_next > 0 and form.get("proration_behavior") == "always_invoice":
            self.decline_next -= 1
            answer = 402, {"error": {"type": "card_error", "code": "card_declined", "message": "Your card was declined."}}
        elif form.get("customer") in self.gone:
            answer = 400, {"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "customer", "message": "No such customer"}}
        else:
            answer = self.made(method, path, form)
        if once:
            self.answers[once] = answer
        return answer

    def made(self, method, path, form):
        number = next(self.number)
        if path == "/v1/checkout/sessions":
            return 200, {"id": f"cs_test_{number}", "object": "checkout.session", "url": f"https://checkout.stripe.com/c/{number}", "mode": form["mode"]}
        if path == "/v1/billing_portal/sessions":
            return 200, {"id": f"bps_{number}", "object": "billing_portal.session", "url": f"https://billing.stripe.com/p/{number}"}
        if path.startswith("/v1/subscriptions/"):
            subscription = path.rsplit("/", 1)[1]
            if subscription in self.ended:
                return 404, {"error": {"type": "invalid_request_error", "code": "resource_missing", "message": f"No such subscription: '{subscription}'"}}
            if method == "DELETE":
                self.ended.add(subscription)
                return 200, {"id": subscription, "object": "subscription", "status": "canceled"}
            price = self.prices[subscription] = form.get("items[0][price]") or self.prices.get(subscription, "price_creator")
            return 200, {"id": subscription, "object": "subscription", "status": "past_due" if subscription in self.unpaid else "active", "cancel_at_period_end": False,
                         "items": {"object": "list", "data": [{"id": "si_1", "object": "subscription_item", "price": {"id": price, "object": "price"}}]}}
        return 404, {"error": {"type": "invalid_request_error", "message": "Unrecognized request URL"}}


class Events:
    """Events of Stripe's, as its documentation shows them, for one account."""

    def __init__(self, account):
        self.account = account
        self.number = itertools.count(1)

    def event(self, kind, thing, created=None):
        return {"id": f"evt_{self.account}_{next(self.number)}", "object": "event", "api_version": "2025-03-31.basil", "type": kind, "livemode": False,
                "created": int(created or time.time()), "data": {"object": thing}, "pending_webhooks": 1, "request": {"id": None, "idempotency_key": None}}

    def topup(self, credits, payment, paid=None, created=None, **more):
        session = {"id": f"cs_{payment}", "object": "checkout.session", "mode": "payment", "payment_status": "paid", "client_reference_id": self.account,
                   "payment_intent": payment, "customer": f"cus_{self.account}", "currency": "gbp", "amount_subtotal": credits if paid is None else paid,
                   "amount_total": credits, "metadata": {"kind": "topup", "credits": str(credits), "account": self.account}}
        session.update(more)
        return self.event("checkout.session.completed", session, created)

    def subscription(self, tier, status="active", created=None, start=None, end=None, kind="updated", number=1, ends=False, price=None):
        now = time.time()
        item = {"id": "si_1", "object": "subscription_item", "price": {"id": price or PRICES[tier], "object": "price"}, "quantity": 1,
                "current_period_start": int(start or now - 60), "current_period_end": int(end or now + 30 * 86400)}
        thing = {"id": f"sub_{self.account}_{number}", "object": "subscription", "customer": f"cus_{self.account}", "status": status, "cancel_at_period_end": ends,
                 "created": 1_700_000_000 + number, "metadata": {"account": self.account}, "items": {"object": "list", "data": [item]}}
        return self.event(f"customer.subscription.{kind}", thing, created)

    def invoice(self, kind, created=None, number=1):
        thing = {"id": "in_1", "object": "invoice", "customer": f"cus_{self.account}", "billing_reason": "subscription_cycle",
                 "parent": {"type": "subscription_details", "subscription_details": {"subscription": f"sub_{self.account}_{number}", "metadata": {"account": self.account}}}}
        return self.event(f"invoice.{kind}", thing, created)

    def refund(self, credits, payment, refund, created=None):
        return self.event("refund.created", {"id": refund, "object": "refund", "amount": credits, "currency": "gbp", "payment_intent": payment, "status": "succeeded"}, created)

    def dispute(self, credits, payment, dispute, kind="funds_withdrawn"):
        return self.event(f"charge.dispute.{kind}", {"id": dispute, "object": "dispute", "amount": credits, "currency": "gbp", "payment_intent": payment})

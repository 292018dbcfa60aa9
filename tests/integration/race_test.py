"""64 requests at the same moment on a balance that covers seven: seven pass, round after round.

The rounds are TROUPE_RACE_ROUNDS (100; the full run has 1,000). One thread writes to 64 kept connections, with the eight
keys of one account, before it reads any answer: the requests meet in the server, not in a client."""
import os
import pathlib
import socket
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import BINARY, PATIENCE, Head, RawConnection, clean_environment, wait_until  # noqa: E402

ROUNDS = int(os.environ.get("TROUPE_RACE_ROUNDS", "100"))
PARALLEL, COVERED, PRICE, KEYS = 64, 7, 4, 8


class Race(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.head = Head({"log.level": "warn", "scheduler.in_flight_per_account": 256, "node.slots": 16}).start()
        cls.addClassCleanup(cls.head.destroy)
        cls.head.wait_for_engines_of("null")
        cls.admin = cls.head.admin()

    def balance(self):
        return self.user.get("/api/credits")["credit_balance"]

    def grant(self, credits):
        self.admin.ask("PUT", "/api/admin/accounts/racer", {"grant_credits": credits, "reason": "race"})

    def requests(self):
        body = b'{"inputs":{"ms":0}}'
        for i in range(PARALLEL):
            key = self.keys[i % KEYS]
            yield (b"POST /api/workflows/bench-chain/runs HTTP/1.1\r\nHost: troupe\r\nContent-Type: application/json\r\n"
                   b"Authorization: Bearer " + key.encode() + b"\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)

    def test_exactly_as_many_pass_as_the_balance_covers(self):
        self.user = self.head.user("racer", tier="free", key=False)
        self.keys = [self.user.post("/api/keys", {"name": f"racer {i}"})["key"] for i in range(KEYS)]
        while self.balance() >= COVERED * PRICE:
            self.user.run("bench-chain", {"ms": 0})
        self.grant(COVERED * PRICE - self.balance())
        connections = [RawConnection(self.head.port) for _ in range(PARALLEL)]
        for connection in connections:
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wanted = list(self.requests())
        passed_in_all = 0
        for number in range(ROUNDS):
            for connection, request in zip(connections, wanted):
                connection.send(request)
            answers = [connection.response() for connection in connections]
            statuses = [answer.status for answer in answers]
            self.assertEqual(statuses.count(202), COVERED, f"round {number}: {statuses}")
            self.assertEqual(statuses.count(402), PARALLEL - COVERED, f"round {number}: {statuses}")
            passed_in_all += COVERED
            self.grant(COVERED * PRICE)
        for connection in connections:
            connection.socket.close()
        wait_until(lambda: self.user.get("/api/credits")["credits_held"] == 0, 300, "all jobs have ended")
        self.assertEqual(self.balance(), COVERED * PRICE)
        # The books, beside the running head.
        verified = subprocess.run([BINARY, "admin", "ledger", "verify", "--data", str(self.head.data)], capture_output=True,
                                  text=True, timeout=120 * PATIENCE, env=clean_environment())
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)
        print(f"{ROUNDS} rounds, {passed_in_all} of {ROUNDS * PARALLEL} requests passed")


if __name__ == "__main__":
    unittest.main()

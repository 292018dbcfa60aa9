"""A paid load over HTTP, clients that listen to event streams and cut their connections anywhere, and the proof that is
asked for when it is over: what the torture tests share."""
import http.client
import io
import json
import random
import socket
import struct
import subprocess
import threading
import time

from studio import BINARY, PATIENCE, assert_money_is_right, clean_environment, wait_until

RUN = "/api/workflows/bench-chain/runs"
STAGES = 4  # of that workflow, each with a price


class Payer(threading.Thread):
    """Submits one paid job after the other, each under a key of its own, and sends it again until it is acknowledged."""

    def __init__(self, user, name, ms=2, pause=0.01):
        super().__init__(daemon=True)
        self.user = user
        self.name = name
        self.ms = ms
        self.pause = pause
        self.jobs = {}  # key -> job
        self.refused = {}  # status -> how often
        self.wrong = None
        self.stop = threading.Event()
        self.start()

    def run(self):
        n = 0
        while not self.stop.is_set():
            key = f"{self.name}-{n}"
            try:
                answer = self.user.send("POST", RUN, {"inputs": {"ms": self.ms}}, {"Idempotency-Key": key})
            except OSError:  # the head is gone
                self.stop.wait(0.02)
                continue
            except Exception:  # cut off in the middle of an answer
                continue
            if answer.status == 202:
                self.jobs[key] = answer.json["job_id"]
                n += 1
                self.stop.wait(self.pause)
            elif answer.status in (429, 503):
                self.refused[answer.status] = self.refused.get(answer.status, 0) + 1
                self.stop.wait(0.02)
            else:
                self.wrong = answer
                return


class CutConnection:
    """A socket as http.client reads from it, of which only so many bytes arrive."""

    def __init__(self, port, bytes_max, patience):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience)
        self.left = bytes_max

    def makefile(self, _mode):
        outer = self

        class Wire(io.RawIOBase):
            def readable(self):
                return True

            def readinto(self, buffer):
                if outer.left <= 0:
                    return 0
                n = outer.socket.recv_into(memoryview(buffer)[:min(len(buffer), outer.left)])
                outer.left -= n
                return n

        return io.BufferedReader(Wire())

    def close(self, abruptly):
        if abruptly:  # RST: what is on its way is thrown away
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Listener(threading.Thread):
    """Reads an event stream over connections that it cuts after a random number of bytes — in the headers, in an event, in a
    line, in a character — and goes on after the last event that it has seen whole. `cuts` counts those connections of which
    the server was told by no more than their end."""

    SILENCE = 0.25  # seconds without a byte after which it cuts, too

    def __init__(self, user, path, seed=None, sizes=None):
        """Without a seed it does not cut. `sizes`: the fewest and the most bytes of a connection."""
        super().__init__(daemon=True)
        self.user = user
        self.path = path
        self.chance = random.Random(seed)
        self.patient = seed is None
        self.sizes = sizes
        self.cuts = 0
        self.inside = 0  # of them: with an event begun and not ended
        self.events = []
        self.problem = None
        self.stop = threading.Event()
        self.start()

    def last(self):
        return self.events[-1][0] if self.events else 0

    def run(self):
        while not self.stop.is_set() and self.problem is None:
            try:
                connection = CutConnection(self.user.port, self.size(), self.SILENCE)
            except OSError:  # the head is gone
                self.stop.wait(0.02)
                continue
            try:
                self.read(connection)
            except (OSError, http.client.HTTPException):  # silence, or cut off in one of the many ways
                pass
            finally:
                connection.close(abruptly=self.chance.random() < 0.5)

    def size(self):
        """Of the next connection. A third ends before the headers do or soon after; the others get some events through."""
        if self.patient:
            return 1 << 60
        if self.sizes:
            return self.chance.randint(*self.sizes)
        return self.chance.randint(1, 500) if self.chance.random() < 0.33 else self.chance.randint(300, 6000)

    def read(self, connection):
        query, headers = "", dict(self.user.headers)
        if self.chance.random() < 0.1:
            query = f"?last_event_id={self.last()}"
        else:
            headers["Last-Event-ID"] = str(self.last())
        lines = [f"GET {self.path}{query} HTTP/1.1", "Host: troupe"] + [f"{name}: {value}" for name, value in headers.items()]
        connection.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        begun = [False]
        try:
            self.take_events(connection, begun)
        finally:
            if connection.left <= 0:
                self.cuts += 1
                self.inside += begun[0]

    def take_events(self, connection, begun):
        response = http.client.HTTPResponse(connection)
        response.begin()
        if connection.left <= 0 and response.status != 200:
            return  # the cut went through the status line
        if response.status != 200:
            if response.status != 503:
                self.problem = f"{self.path}: {response.status} {response.read()}"
            self.stop.wait(0.02)
            return
        event = {}
        for raw in response:
            if not raw.endswith(b"\n"):
                return
            line = raw.decode().rstrip("\r\n")
            if line and not line.startswith(":"):
                name, value = line.split(": ", 1)
                event[name] = value
                begun[0] = "id" in event
            elif not line and "data" in event:
                self.take((int(event["id"]), event["event"], event["data"]))
                event = {}
                begun[0] = False

    def take(self, event):
        if event[0] <= self.last():
            self.problem = f"{self.path}: {event} came after {self.events[-1]}"
        self.events.append(event)

    def assert_told_all(self, test, events, seconds=60):
        """Each of `events` was told to it once, in their order, and nothing else."""
        wait_until(lambda: self.problem or not self.is_alive() or self.last() >= events[-1][0], seconds, f"{self.path} has been read to its end")
        self.stop.set()
        self.join(10 * PATIENCE)
        test.assertIsNone(self.problem)
        test.assertEqual([e[0] for e in self.events], [e[0] for e in events[:len(self.events)]], "lost or told twice")
        test.assertEqual(self.events, events[:len(self.events)], "told otherwise")
        return len(self.events)


def whole_log(test, user, jobs, seconds=180):
    """All events of the account, read in one go once `jobs` have ended: dense, each stage of each job charged once and done
    once, one `done` a job."""
    reader = Listener(user, "/api/events")
    ended = lambda: {json.loads(data)["job_id"] for _, name, data in list(reader.events) if name == "done"}  # noqa: E731
    wait_until(lambda: reader.problem or (len(reader.events) >= len(jobs) and ended() >= jobs), seconds, "each job's `done` is told")
    reader.stop.set()
    reader.join(10 * PATIENCE)
    test.assertIsNone(reader.problem)
    events = reader.events
    test.assertEqual([e[0] for e in events], list(range(1, len(events) + 1)), "event ids have gaps or repeats")
    told = {}
    for _, name, data in events:
        data = json.loads(data)
        what = (data["job_id"], name, data.get("stage"))
        if name in ("charge", "done") or (name == "stage" and data["status"] == "succeeded"):
            told[what] = told.get(what, 0) + 1
    test.assertEqual({what: n for what, n in told.items() if n != 1}, {}, "told more than once")
    test.assertEqual({job for job, name, _ in told if name == "done"}, jobs)
    return events


def jobs_of(user):
    total = user.get("/api/generations?limit=1")["total"]
    return {row["job_id"] for offset in range(0, total, 200)
            for row in user.get(f"/api/generations?limit=200&offset={offset}")["generations"]}


def wait_for_the_end(user, seconds=180):
    wait_until(lambda: user.get("/api/queue")["active_jobs"] == [], seconds, f"the jobs of {user.name} end")


def prove(test, head, users, payers, listeners=(), stranded=None):
    """Ends the load and proves that nothing was lost or doubled: all that was acknowledged is there and has ended, each stage
    was charged once, nothing is held, the events are dense, each listener was told each of them once, in order, and the books
    verify. `stranded` is called when a job does not end. Stops the head. Returns (jobs, events, cuts)."""
    for payer in payers:
        payer.stop.set()
    for payer in payers:
        payer.join(120 * PATIENCE)
        test.assertIsNone(payer.wrong)
    total_jobs = total_events = 0
    for user in users:
        try:
            wait_for_the_end(user)
        except AssertionError:
            head.keep = True
            if stranded:
                stranded(user)
            raise
        promised = [job for payer in payers if payer.user is user for job in payer.jobs.values()]
        test.assertEqual(len(promised), len(set(promised)), "two keys got one job")
        there = jobs_of(user)
        test.assertEqual(set(promised) - there, set(), "acknowledged jobs are gone")
        test.assertLessEqual(len(there) - len(promised), sum(payer.user is user for payer in payers), "jobs that no key asked for")
        wallet = assert_money_is_right(test, user, {job: user.wait_for_job(job, 60) for job in there})
        test.assertEqual(len(wallet.captures), STAGES * len(there))
        events = whole_log(test, user, there)
        for listener in listeners:
            if listener.user is user:
                listener.assert_told_all(test, events)
        total_jobs += len(there)
        total_events += len(events)
    cuts = sum(listener.cuts for listener in listeners)
    print(f"{total_jobs} jobs of {len(users)} accounts, {STAGES * total_jobs} charges, {total_events} events", flush=True)
    if listeners:
        told = sum(len(listener.events) for listener in listeners)
        print(f"{cuts} cuts of {len(listeners)} event streams ({sum(listener.inside for listener in listeners)} in the middle of an event), "
              f"{told} events told: 0 lost, 0 doubled", flush=True)
    test.assertEqual(head.stop(), 0)
    verify_books(test, head)
    return total_jobs, total_events, cuts


def verify_books(test, head):
    """`troupe admin ledger verify` on a head that has been stopped."""
    verified = subprocess.run([BINARY, "admin", "ledger", "verify", "--data", str(head.data)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=300 * PATIENCE, env=clean_environment(), check=False)
    print(verified.stdout.strip(), flush=True)
    test.assertEqual(verified.returncode, 0, "troupe admin ledger verify")

"""What the tests with real processes stand on: a head (and the node it starts) on a data directory of its own, users of
its API, raw connections for what no client library would send, and the questions about money that every test ends with.

The binary is that of the environment variable TROUPE_BINARY. All that is started is ended by its process id."""
import atexit
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))
from troupe_client import Studio  # noqa: E402

BINARY = os.environ.get("TROUPE_BINARY", str(ROOT / "build/dev/troupe"))
# A machine that does much else at the same time needs longer for everything.
PATIENCE = float(os.environ.get("TROUPE_PATIENCE", "1"))
ADMIN_PASSWORD = "the admin's own password"
USER_PASSWORD = "correct horse battery"
CREDIT = 1_000_000

NO_LIMITS = {
    "limits.signup_per_address_hour": 0,
    "limits.login_per_address_5min": 0,
    "limits.spend_per_user_minute": 0,
    "limits.payments_per_user_minute": 0,
    "limits.per_key_minute": 0,
    "limits.per_address_10min": 0,
}


def wait_until(found, seconds, what):
    """Asks `found` until it answers with something true, and returns that."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        answer = found()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds * PATIENCE:.0f} s: {what}")
        time.sleep(0.02)


def clean_environment(**more):
    """Ours without the tests' own variables: to the server each TROUPE_… is a setting, and these are none."""
    return dict({name: value for name, value in os.environ.items() if not name.startswith("TROUPE_")}, **more)


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Answer:
    """A response: `status`, `headers` (names in lower case), `bytes`; `json` when it is one."""

    def __init__(self, status, headers, data):
        self.status = status
        self.headers = headers
        self.bytes = data

    @property
    def json(self):
        return json.loads(self.bytes)

    def __repr__(self):
        return f"{self.status} {self.bytes[:500]!r}"


class User(Studio):
    """One user of the API. `ask` raises on an error; `send` returns whatever was answered."""

    def send(self, method, path, body=None, headers=None, content=None, content_type=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120 * PATIENCE)
        try:
            all_headers = dict(self.headers)
            if body is not None:
                content, content_type = json.dumps(body).encode(), content_type or "application/json"
            if content_type is not None:
                all_headers["Content-Type"] = content_type
            all_headers.update(headers or {})
            connection.request(method, path, content, all_headers)
            response = connection.getresponse()
            data = response.read()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, data)
        finally:
            connection.close()

    def get(self, path, headers=None):
        answer = self.send("GET", path, headers=headers)
        assert answer.status == 200, f"GET {path}: {answer}"
        return answer.json

    def post(self, path, body=None):
        return self.ask("POST", path, body)[0]

    def run(self, workflow, inputs):
        return self.post(f"/api/workflows/{workflow}/runs", {"inputs": inputs})

    def job(self, job):
        return self.get(f"/api/jobs/{job}")

    def wait_for_job(self, job, seconds=300, status="succeeded"):
        """Polls until it has ended; it must have ended as `status`."""
        view = wait_until(lambda: (lambda v: v if v["status"] in ("succeeded", "failed", "cancelled") else None)(self.job(job)),
                          seconds, f"the job {job} ends")
        assert view["status"] == status, f"the job ended as {view['status']}: {json.dumps(view, indent=1)}"
        return view

    def wait_for_stage(self, job, stage, status="running", seconds=120):
        def there():
            view = self.job(job)
            assert view["status"] in ("queued", "running"), f"{stage} never was {status}: {view}"
            return next((s for s in view["stages"] if s["name"] == stage and s["status"] == status), None)
        return wait_until(there, seconds, f"stage {stage} of {job} is {status}")

    def stream(self, path, after=None, timeout=120):
        """One connection's worth of events, as (id, name, data). Ends when the stream does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)
        try:
            headers = dict(self.headers, **({"Last-Event-ID": str(after)} if after is not None else {}))
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            assert response.status == 200, f"GET {path}: {response.status} {response.read()}"
            assert response.getheader("content-type").startswith("text/event-stream"), response.getheaders()
            event_id, name, data = None, None, []
            for raw in response:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("id:"):
                    event_id = int(line[3:].strip())
                elif line.startswith("event:"):
                    name = line[6:].strip()
                elif line.startswith("data:"):
                    data.append(line[5:].strip())
                elif not line and data:
                    yield event_id, name, json.loads("\n".join(data))
                    name, data = None, []
        finally:
            connection.close()

    def all_events(self, job):
        """The job's stream from its first event to its last, read in one go after the job has ended."""
        return list(self.stream(f"/api/jobs/{job}/events", after=0))

    def history(self):
        """The account's ledger, oldest first, all pages."""
        rows, before = [], 0
        while True:
            page = self.get(f"/api/credits/history?limit=200&before={before}")
            rows += page["transactions"]
            before = page["next_before"]
            if before is None or not page["transactions"]:
                break
        rows.sort(key=lambda row: row["id"])
        return rows


class Wallet:
    """The account's ledger, added up from its rows by our own arithmetic."""

    def __init__(self, rows):
        self.rows = rows
        self.granted = self.spent = self.held = 0
        self.captures = {}  # (job, stage name) -> how often
        for row in rows:
            micro = round(row["credits"] * CREDIT)
            kind = row["type"]
            if kind in ("grant", "allowance", "topup", "refund"):
                self.granted += micro
            elif kind == "hold":
                self.held += micro
            elif kind == "capture":
                self.held -= micro
                self.spent += micro
                key = (row["job_id"], row["description"])
                self.captures[key] = self.captures.get(key, 0) + 1
            elif kind == "release":
                self.held -= micro
            else:
                raise AssertionError(f"a ledger row of an unknown kind: {row}")


def assert_money_is_right(test, user, jobs_by_id=None, admin=None, held=0):
    """Every row adds up to what the server says; nothing is held; each stage of `jobs_by_id` (views of jobs that have
    ended) was captured exactly once where it succeeded at a price."""
    now = user.get("/api/credits")  # first: reading it is what gives a new month's allowance
    wallet = Wallet(user.history())
    ids = [row["id"] for row in wallet.rows]  # the end of a hold that was all charged has one too, and no row
    test.assertEqual(ids, sorted(set(ids)), "the history tells something twice")
    test.assertEqual(ids[:1], [1], "the history does not begin with the first transfer")
    test.assertEqual(now["held_micro_credits"], held, "held")
    test.assertEqual(wallet.held, held, "held, by the rows")
    test.assertEqual(now["balance_micro_credits"] + now["held_micro_credits"] + wallet.spent, wallet.granted,
                     "balance + held + spent = granted")
    for key, times in wallet.captures.items():
        test.assertEqual(times, 1, f"{key} was captured {times} times")
    for job, view in (jobs_by_id or {}).items():
        captured = {stage for (of, stage) in wallet.captures if of == job}
        charged = {stage["name"] for stage in view["stages"] if stage["charge_micro_credits"] > 0}
        test.assertEqual(captured, charged, f"what job {job} was charged for")
        used = sum(round(row["credits"] * CREDIT) for row in wallet.rows if row["type"] == "capture" and row["job_id"] == job)
        test.assertEqual(used, round(view["credits_used"] * CREDIT), f"what job {job} was charged")
    if admin is not None:
        account = account_of(user)

        def books_of():
            user.get("/api/credits")  # wakes it, should it have gone to sleep
            state = admin.get(f"/api/admin/actors/ledger/{account}?events=0").get("state", {})
            return (state.get("state") or state).get("books")

        books = wait_until(books_of, 20, "the ledger actor shows its books")
        test.assertEqual(sum(books.values()), 0, f"the books do not balance: {books}")
        test.assertEqual(books["wallet"], now["balance_micro_credits"])
        test.assertEqual(books["held"], held)
        test.assertEqual(books["revenue"], wallet.spent)
    return wallet


def account_of(user):
    """The id of the user's account: what an admin finds its actors by."""
    if getattr(user, "account", None) is None:
        user.account = user.get("/api/auth/check")["account_id"]
    return user.account


def outputs_of(admin, user, job):
    """The hash of everything each stage of a job made, and the engine that made it: {"join.video": (sha256, engine)}."""
    def look():
        user.job(job)  # wakes the actor
        return admin.get(f"/api/admin/actors/job/{job}?events=0").get("state")

    state = wait_until(look, 20, f"the actor of job {job} is awake")
    state = state.get("state") or state
    out = {}
    for stage, run in zip(state["stages"], state["run"]["stages"]):
        for output in run.get("outputs", []):
            out[f"{stage['name']}.{output['port']}"] = (output["sha256"], stage["engine"])
    return out


class Head:
    """A `troupe serve` and its local node, on a data directory that is removed at the end."""

    def __init__(self, settings=None, environment=None, workflows=None, config=None):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="troupe-test-"))
        self.settings = dict(NO_LIMITS, **{"log.level": "info"})
        if workflows is not None:
            self.settings["workflows.directory"] = workflows
        self.settings.update(settings or {})
        self.environment = clean_environment(TROUPE_ADMIN_PASSWORD=ADMIN_PASSWORD, **(environment or {}))
        self.config = config  # the text of a cluster.conf, for what has no key of its own
        self.process = None
        self.keep = False  # for whoever reads a failure
        self.port = None
        self.log = open(self.data.parent / (self.data.name + ".log"), "w+b")
        self.users = []
        atexit.register(self.destroy)

    # -- processes

    def arguments(self, listen="127.0.0.1:0"):
        out = [BINARY, "serve", "--data", str(self.data), "--listen", listen]
        for key, value in self.settings.items():
            out += ["--set", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
        if self.config is not None:
            (self.data / "cluster.conf").write_text(self.config)
            out += ["--config", str(self.data / "cluster.conf")]
        return out

    def start(self):
        """Returns once it says that it listens. Clients made before follow it to its new port."""
        self.process = subprocess.Popen(self.arguments(), stdout=subprocess.PIPE, stderr=self.log, env=self.environment)
        line = self._first_line(60 * PATIENCE)
        found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
        if not found:
            self.kill9()
            raise AssertionError(f"troupe serve did not start: {line!r}\n{self.log_tail()}")
        self.port = int(found.group(1))
        for user in self.users:
            user.move_to(self.port)
        return self

    def _first_line(self, seconds):
        got = []
        reader = threading.Thread(target=lambda: got.append(self.process.stdout.readline().decode()), daemon=True)
        reader.start()
        reader.join(seconds)
        return got[0] if got else ""

    def kill9(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def node_pid(self):
        """The local node's process id, or None when none lives that works in our folder."""
        try:
            pid = int((self.data / "node" / "lock").read_text().strip() or 0)
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        ours = b"node" in command and str(self.data / "node").encode() in command
        return pid if ours and is_alive(pid) else None

    def kill_node9(self):
        """Kills the node that lives now, if one does, and waits until the kernel has taken it away."""
        pid = self.node_pid()
        if pid is None:
            return None
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return None
        wait_until(lambda: not is_alive(pid), 20, f"the node {pid} is gone")
        return pid

    def stop(self, seconds=60):
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds * PATIENCE)
        finally:
            if self.process.poll() is not None:
                self.process.stdout.close()
                self.process = None

    def restart(self):
        if self.process is not None:
            self.kill9()
        return self.start()

    def destroy(self):
        """Ends what lives and removes what it wrote; can be called again. Fails when a sanitizer reported something."""
        atexit.unregister(self.destroy)
        self.kill9()
        # The node may be one that the head was just starting: look until there is none.
        deadline = time.monotonic() + 20
        quiet = 0
        while quiet < 5 and time.monotonic() < deadline:
            quiet = 0 if self.kill_node9() else quiet + 1
            if any(self._children_of_ours()):
                quiet = 0
            time.sleep(0.02)
        reported = self._sanitizer_report()
        if not self.log.closed:
            self.log.close()
        if self.keep:
            print(f"kept: the data directory {self.data} and the log {self.log.name}", flush=True)
            return
        if os.environ.get("TROUPE_KEEP_DATA") is None:
            shutil.rmtree(self.data, ignore_errors=True)
        if os.environ.get("TROUPE_KEEP_LOGS") is None:
            pathlib.Path(self.log.name).unlink(missing_ok=True)
        if reported:
            raise AssertionError(f"a sanitizer reported:\n{reported}")

    def _sanitizer_report(self):
        """The first one of the head and its node, or "": they are killed, so no exit status tells of it."""
        text = pathlib.Path(self.log.name).read_bytes() if not self.log.closed else b""
        found = re.search(rb"==\d+==ERROR: \w+Sanitizer|WARNING: ThreadSanitizer: |\.[ch]pp:\d+:\d+: runtime error: ", text)
        return text[max(0, found.start() - 100):found.start() + 6000].decode(errors="replace") if found else ""

    def nodes(self):
        """The processes of our binary that work in our data directory, or wait to."""
        folder = str(self.data / "node").encode()
        out = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if folder in command and b"node" in command and is_alive(int(entry.name)):
                out.append(int(entry.name))
        return out

    def _children_of_ours(self):
        """Nodes that are not yet in the lock file: each is killed."""
        for pid in self.nodes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            yield True

    def log_text(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def log_tail(self, lines=40):
        return "\n".join(self.log_text().splitlines()[-lines:])

    # -- users

    def anyone(self):
        user = MovingUser(self.port)
        user.name = None
        self.users.append(user)
        return user

    def admin(self):
        user = self.anyone()
        user.name = "admin"
        user.log_in("admin", ADMIN_PASSWORD)
        return user

    def user(self, name, tier="creator", grant=0, key=True):
        """A new user with a key (or, without one, with its session's cookie), on a tier, with credits on top."""
        user = self.anyone()
        user.name = name
        user.log_in(name, USER_PASSWORD, "/api/signup")
        if key:
            user.use_key()
        if tier != "free" or grant:
            change = {"tier": tier, "reason": "test"}
            if grant:
                change["grant_credits"] = grant
            self.admin().ask("PUT", f"/api/admin/accounts/{name}", change)
        return user

    def wait_for_engines(self, seconds=60):
        """Until the local node has said what it can run."""
        anyone = User(self.port)
        wait_until(lambda: any(m["available"] for m in anyone.get("/api/models")["models"]), seconds, "an engine is there")
        return self

    def wait_for_engines_of(self, name, seconds=60):
        """Until a node is there whose engine of this name is available."""
        admin = self.admin()
        wait_until(lambda: any(engine["name"] == name and engine["available"] for node in admin.get("/api/admin/nodes")["nodes"]
                               for engine in node.get("engines", [])), seconds, f"the engine {name} is there")
        return self

    def metrics(self):
        """The values of /metrics, by name with labels as written."""
        text = User(self.port).send("GET", "/metrics").bytes.decode()
        out = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                out[name] = float(value)
        return out

    def raw(self):
        return RawConnection(self.port)


class MovingUser(User):
    """A user that stays the same one when the head comes back on another port."""

    def move_to(self, port):
        self.port = port
        if "Origin" in self.headers:
            self.headers["Origin"] = f"http://127.0.0.1:{port}"


class RawConnection:
    """A TCP connection to the head on which anything can be said."""

    def __init__(self, port, timeout=30):
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout * PATIENCE)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method, path, headers=None, body=b""):
        lines = [f"{method} {path} HTTP/1.1".encode("latin-1", "surrogateescape"), b"Host: troupe"]
        for name, value in (headers or {}).items():
            lines.append(name.encode("latin-1") + b": " + (value if isinstance(value, bytes) else str(value).encode("latin-1")))
        if body or method in ("POST", "PUT"):
            lines.append(b"Content-Length: " + str(len(body)).encode())
        self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)
        return self.response(head=method == "HEAD")

    def response(self, head=False):
        """Reads one response to its end; None when the other side closed without one."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        top, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = top.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {}
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers[name.strip().lower()] = value.strip()
        length = 0 if head or status in (204, 304) else int(headers.get("content-length", 0))
        while len(self.buffer) < length:
            if not self._more():
                break
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(status, headers, data)

    def _more(self):
        try:
            got = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self.buffer += got
        return bool(got)

    def is_closed_by_the_server(self, seconds=30):
        self.socket.settimeout(seconds * PATIENCE)
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False


def quoted(text):
    return urllib.parse.quote(text, safe="")


def probe(path):
    """ffprobe's answer for a file: {"format", "streams"}."""
    out = subprocess.run(["ffprobe", "-v", "error", "-print_format", "json", "-show_format", "-show_streams", "-count_frames", str(path)],
                         capture_output=True, timeout=300 * PATIENCE, check=True)
    return json.loads(out.stdout)


def small_film(shots=2, seconds=0.5, width=96, height=64, upscale=1, narration="The sea is calm tonight."):
    """Inputs of the workflow short-film, as small as it may be, with fixed seeds: the same film every time."""
    prompts = ["A cinematic sunrise over misty mountains, slow pan", "A neon city at night in the rain, dolly forward",
               "A quiet sea under the stars with a full moon", "A desert at noon, dunes, heat"]
    return {
        "shots": [{"prompt": prompts[i % len(prompts)], "seed": 11 + i, "duration_s": seconds} for i in range(shots)],
        "narration": narration, "voice": "en_us_female", "width": width, "height": height, "upscale": upscale,
    }

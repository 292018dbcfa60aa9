"""Whatever comes in malformed is answered in words, harms nobody, and leaves the connection usable where it can be."""
import hashlib
import json
import pathlib
import random
import shutil
import sys
import time
import unittest

import msgpack
import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import PATIENCE, Head, assert_money_is_right, outputs_of, small_film, wait_until  # noqa: E402

GOOD = {"prompt": "A cinematic sunrise over mountains", "width": 96, "height": 64, "frames": 8, "seed": 5}


class BadHttp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.head = Head({"node.slots": 2}).start()
        cls.addClassCleanup(cls.head.destroy)
        cls.head.wait_for_engines()
        cls.user = cls.head.user("hostile")
        cls.key = {"Authorization": cls.user.headers["Authorization"]}

    def setUp(self):
        self.balance = self.user.get("/api/credits")["credit_balance"]
        self.total = self.user.get("/api/generations")["total"]
        self.connection = self.head.raw()
        self.addCleanup(self.connection.__exit__)

    def tearDown(self):
        """Nothing that was refused has cost or made anything."""
        self.assertEqual(self.user.get("/api/credits")["credit_balance"], self.balance)
        self.assertEqual(self.user.get("/api/credits")["credits_held"], 0)
        self.assertEqual(self.user.get("/api/generations")["total"], self.total)

    def assert_usable(self, connection=None):
        answer = (connection or self.connection).request("GET", "/api/auth/check", self.key)
        self.assertIsNotNone(answer, "the connection was closed")
        self.assertEqual((answer.status, answer.json["username"]), (200, "hostile"))

    def post(self, body, path="/api/generate", content_type="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = dict(self.key, **({"Content-Type": content_type} if content_type else {}))
        return self.connection.request("POST", path, headers, data)

    def refused(self, body, says, status=400, path="/api/generate", **how):
        """The body is refused with a message that holds `says`, and the same connection serves the next request."""
        answer = self.post(body, path, **how)
        self.assertIsNotNone(answer, f"no answer to {str(body)[:100]}")
        self.assertEqual(answer.status, status, f"{str(body)[:100]}: {answer}")
        self.assertEqual(answer.headers["content-type"].split(";")[0], "application/json")
        self.assertIsInstance(answer.json["error"], str)
        self.assertIn(says, answer.json["error"], f"{str(body)[:100]}")
        self.assertNotIn("/work", answer.json["error"])
        self.assertNotIn(str(self.head.data), answer.json["error"])
        self.assert_usable()
        return answer.json

    # -- JSON

    def test_broken_json_is_answered_with_its_position(self):
        for body, position in [(b'{"prompt": "x",}', 16), (b'{"prompt": "x"', 15), (b'{prompt: 1}', 2), (b'{"prompt": NaN}', 13),
                               (b'{"frames": Infinity, "prompt": "x"}', 12), (b'{"prompt": "x"} trailing', 18), (b'{"a": 01}', 8), (b"nonsense", 2)]:
            answer = self.refused(body, "byte")
            found = [int(word.rstrip(":")) for word in answer["error"].split() if word.rstrip(":").isdigit()]
            self.assertTrue(any(abs(at - position) <= 1 for at in found), f"{body}: {answer['error']}")

    def test_bytes_that_are_no_utf8_are_refused(self):
        for bad in (b"\xff\xfe", b"\xc3(", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"\xc0\xaf"):
            self.refused(b'{"prompt": "a' + bad + b'b"}', "UTF-8")
        self.refused(b'{"prompt": "a\\ud800b"}', "")  # half of a surrogate pair
        self.refused(b'{"prompt": "a\\u0000b"}', "prompt")

    def test_json_that_is_not_an_object_or_too_deep_is_refused(self):
        for body in (b"[]", b"1", b'"text"', b"null", b"true"):
            self.refused(body, "object")
        self.refused(b'{"prompt": ' + b"[" * 10000 + b"]" * 10000 + b"}", "deep")
        self.refused(b'{"prompt": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", "deep")

    def test_a_field_of_a_wrong_type_or_range_is_named(self):
        wrong = {
            "prompt": [None, 1, True, [], {}, "", "   ", "x" * 2001, "é" * 2001],
            "model": [1, "", "no-such-model", "../wan-t2v", "x" * 101],
            "negative_prompt": [1, "x" * 2001],
            "width": ["96", -96, 0, 63, 4097, 96.5, 1e308, -1e308, 2**63, 10**30, 97],
            "height": ["64", -1, 63, 65],
            "frames": ["8", -1, 0, 1000, 1.5, 1e308, 2**64, [8], True],
            "steps": [0, -1, 201, "4"],
            "cfg": ["1", -0.1, 30.1, 1e308],
            "seed": [-2, 2**31, "5", 0.5],
            "frame_rate": [0, -24, 61],
            "shift": [-1, 1e308, "8"],
            "sampler": [1, "x" * 101],
        }
        for field, values in wrong.items():
            for value in values:
                with self.subTest(field=field, value=str(value)[:30]):
                    self.refused(dict(GOOD, **{field: value}), field)

    def test_a_missing_prompt_is_named_and_unknown_fields_are_not_minded(self):
        self.refused({}, "prompt")
        self.refused(b"", "prompt")
        self.refused({"frames": 8, "unknown": {"a": [1]}}, "prompt")

    def test_numbers_beyond_all_bounds_are_refused(self):
        for text in (b"1e309", b"-1e309", b"1" * 400, b"1e-400000000000"):
            answer = self.post(b'{"prompt": "x", "frames": ' + text + b"}")
            self.assertEqual(answer.status, 400, f"{text[:20]}: {answer}")
            self.assert_usable()

    def test_frames_beyond_the_tier_are_a_403_and_beyond_all_tiers_a_400(self):
        self.refused(dict(GOOD, frames=202), "frames", status=403)  # Creator: 201
        self.refused(dict(GOOD, frames=999), "frames", status=403)
        self.refused(dict(GOOD, frames=1000), "frames", status=400)

    def test_workflow_inputs_are_refused_with_the_path_of_the_field(self):
        film = small_film()
        shot = film["shots"][0]
        path = "/api/workflows/short-film/runs"
        for change, says in [({"shots": []}, "shots"), ({"shots": "x"}, "shots"), ({"shots": [shot] * 13}, "shots"), ({"shots": [1]}, "shots[0]"),
                             ({"shots": [shot, {}]}, "shots[1].prompt"), ({"shots": [dict(shot, prompt="")]}, "prompt"),
                             ({"shots": [dict(shot, duration_s=-1)]}, "shots[0].duration_s"), ({"shots": [dict(shot, seed="x")]}, "shots[0].seed"),
                             ({"narration": ""}, "narration"), ({"narration": 5}, "narration"), ({"voice": "robot"}, "voice"),
                             ({"width": 97}, "width"), ({"width": 1e308}, "width"), ({"upscale": 5}, "upscale"), ({"model": "nothing"}, "model")]:
            with self.subTest(change=str(change)[:60]):
                self.refused({"inputs": dict(film, **change)}, says, path=path)
        self.refused({"inputs": {"shots": [shot]}}, "narration", path=path)
        self.refused({"inputs": [1]}, "inputs", path=path)
        self.refused({}, "required", path=path)
        self.refused({"inputs": film}, "nothing-like-it", status=404, path="/api/workflows/nothing-like-it/runs")

    def test_query_parameters_are_checked_like_fields(self):
        for path, says in [("/api/generations?limit=-1", "limit"), ("/api/generations?limit=201", "limit"), ("/api/generations?limit=many", "limit"),
                           ("/api/generations?offset=-1", "offset"), ("/api/generation-cost?model=wan-t2v&frames=0", "frames"),
                           ("/api/generation-cost?frames=1e308", "frames"), ("/api/generation-cost?frames=%FF", ""), ("/api/status", "job_id"),
                           ("/api/credits/history?limit=0", "limit"), ("/api/generations?limit=1%", "")]:
            answer = self.connection.request("GET", path, self.key)
            self.assertEqual(answer.status, 400, f"{path}: {answer}")
            self.assertIn(says, answer.json["error"], path)
            self.assert_usable()

    # -- content types, sizes, HTTP itself

    def test_content_that_is_no_json_is_a_415(self):
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "image/png",
                     "application/json; charset=latin-1", "nonsense"):
            self.refused(GOOD, "json", status=415, content_type=kind)

    def test_a_body_that_is_too_large_is_refused_without_being_read(self):
        begin = time.monotonic()
        for size in (2 << 20, 11 << 20, 10 << 30, 10**18):
            with self.head.raw() as connection:
                connection.send(f"POST /api/generate HTTP/1.1\r\nHost: troupe\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n"
                                f"Authorization: {self.key['Authorization']}\r\n\r\n".encode() + b"{")
                if size > 4 << 20:  # said at once, though next to nothing of it was sent
                    answer = connection.response()
                    self.assertEqual((answer.status, answer.headers["connection"].lower()), (413, "close"))
                    self.assertIn("error", answer.json)
        self.assertLess(time.monotonic() - begin, 20 * PATIENCE)

    def test_a_body_that_is_a_little_too_large_leaves_the_connection_usable(self):
        self.refused(b'{"prompt": "' + b"x" * (1 << 20) + b'"}', "larger", status=413)

    def test_an_endless_chunked_body_is_cut_off(self):
        with self.head.raw() as connection:
            connection.send(f"POST /api/generate HTTP/1.1\r\nHost: troupe\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                            f"Authorization: {self.key['Authorization']}\r\n\r\n".encode())
            chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
            sent = 0
            try:
                while sent < 64 << 20:
                    connection.send(chunk)
                    sent += len(chunk)
            except OSError:
                pass
            self.assertLess(sent, 64 << 20, "64 MiB of a JSON body were taken")
        self.assert_usable()

    def test_floods_of_headers_are_refused(self):
        for flood in (b"X-Long: " + b"a" * 100_000 + b"\r\n", b"".join(b"X-%d: a\r\n" % i for i in range(10_000))):
            with self.head.raw() as connection:
                try:
                    connection.send(b"GET /livez HTTP/1.1\r\nHost: troupe\r\n" + flood + b"\r\n")
                except OSError:
                    pass
                answer = connection.response()
                self.assertIsNotNone(answer)
                self.assertEqual(answer.status, 431)
                self.assertIn("error", answer.json)
                self.assertTrue(connection.is_closed_by_the_server())
        with self.head.raw() as connection:
            connection.send(b"GET /" + b"a" * 50_000 + b" HTTP/1.1\r\nHost: troupe\r\n\r\n")
            self.assertEqual(connection.response().status, 414)
        self.assert_usable()

    def test_what_is_no_http_is_refused(self):
        for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
                         b"GET /livez HTTP/1.1\r\n\r\n", b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                         b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                         b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", b"POST /api/login HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxxx",
                         b"GET /livez HTTP/1.1\r\nHost: a\r\nBad Header: x\r\n\r\n"):
            with self.head.raw() as connection:
                connection.send(nonsense)
                answer = connection.response()
                self.assertIsNotNone(answer, f"no answer to {nonsense[:60]}")
                self.assertEqual(answer.status, 400, f"{nonsense[:60]}: {answer}")
                self.assertIn("error", answer.json)
        self.assert_usable()

    def test_pipelined_requests_are_answered_in_order(self):
        with self.head.raw() as connection:
            one = b"GET /api/nothing HTTP/1.1\r\nHost: a\r\n\r\n"
            two = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"
            connection.send((one + two) * 5)
            self.assertEqual([connection.response().status for _ in range(10)], [404, 200] * 5)

    def test_file_names_never_become_paths(self):
        for name in ("../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2fsecret.key", "....//secret.key", "/etc/passwd",
                     "%2fetc%2fpasswd", "..%5c..%5csecret.key", "..\\secret.key", "webgen%00.mp4", "x" * 5000, "%2e", "%2e%2e", ".", "..", "%", "%zz", "%C0%AE",
                     "webgen_*", "secret.key", "blobs"):
            answer = self.connection.request("GET", "/api/video/" + name, self.key)
            self.assertIsNotNone(answer, name[:50])
            self.assertIn(answer.status, (400, 404), f"{name[:50]}: {answer}")
            self.assertNotIn(b"root:", answer.bytes)
            self.assert_usable()
        for name in ("%2e%2e%2f%2e%2e%2fREADME.md", "..%2f..%2fsecret.key", "../../../../../etc/passwd"):
            answer = self.connection.request("GET", "/docs/assets/" + name)
            self.assertIn(answer.status, (400, 404), f"{name}: {answer}")

    def test_random_bytes_as_requests_harm_nobody(self):
        chance = random.Random(5)
        words = [b"GET ", b"POST ", b"/api/generate", b"/../", b" HTTP/1.1\r\n", b"Host: a\r\n", b"Content-Length: 10\r\n", b"\r\n\r\n",
                 b"Transfer-Encoding: chunked\r\n", b"{", b'"prompt":', b"\x00", b"\xff\xff", b"%00", b"Authorization: Bearer pk_", b"Range: bytes=5-1\r\n"]
        for _ in range(150):
            with self.head.raw() as connection:
                connection.send(b"".join(chance.choice(words) if chance.random() < 0.8 else chance.randbytes(chance.randrange(40)) for _ in range(20)))
        self.assert_usable()

    def test_signup_refuses_bad_names_passwords_and_addresses(self):
        good = {"username": "someone", "password": "long enough", "email": "a@example.org"}
        for field, values in {"username": ["", "ab", "x" * 33, "a b", "a/b", "ä" * 4, 5, None], "password": ["short", "", 12345678, "x" * 257],
                              "email": ["nothing", "a@", 5]}.items():
            for value in values:
                self.refused(dict(good, **{field: value}), field, path="/api/signup")
        self.refused({"username": "HOSTILE", "password": "long enough"}, "taken", status=409, path="/api/signup")


class BadNode(unittest.TestCase):
    """What comes from the node socket is trusted no more."""

    @classmethod
    def setUpClass(cls):
        cls.head = Head({"node.slots": 2}).start()
        cls.addClassCleanup(cls.head.destroy)
        cls.head.wait_for_engines()
        cls.user = cls.head.user("neighbour")
        cls.context = zmq.Context()
        cls.addClassCleanup(cls.context.destroy, linger=0)
        cls.server_key = (cls.head.data / "head.key").read_text().split()[0].encode()
        cls.public, cls.secret = (word.encode() for word in (cls.head.data / "node" / "curve.key").read_text().split())

    def dial(self, public=None, secret=None):
        socket = self.context.socket(zmq.DEALER)
        socket.curve_serverkey = self.server_key
        socket.curve_publickey, socket.curve_secretkey = public or self.public, secret or self.secret
        socket.linger = 0
        socket.connect(f"ipc://{self.head.data}/node.sock")
        self.addCleanup(socket.close)
        return socket

    def answer(self, socket, seconds):
        if not socket.poll(int(1000 * seconds)):
            return None
        return msgpack.unpackb(socket.recv())

    def counter(self, name):
        return self.head.metrics()[name]

    def assert_all_is_well(self):
        made = self.user.post("/api/generate", GOOD)["job_id"]
        view = self.user.wait_for_job(made, 60)
        self.assertEqual(view["stages"][0]["attempts"], 1, "the real node lost its work")

    def test_a_malformed_frame_closes_its_peer_and_is_counted(self):
        deep = b"\x81\xa1t" + b"\x91" * 1000 + b"\x01"
        hello = {"t": "hello", "version": 1, "node": "local", "session": "x", "devices": [], "engines": [], "running": [], "unacknowledged": [],
                 "unacknowledged_failures": []}
        frames = [b"", b"\xc1", b"garbage", b"\x93\x01\x02\x03", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", deep,
                  b"\x00" * (3 << 20), msgpack.packb({}), msgpack.packb({"t": 5}), msgpack.packb({"t": "no such type"}), msgpack.packb({"t": "hello"}),
                  msgpack.packb({"t": "heartbeat", "at": -5}), msgpack.packb({"t": "heartbeat", "at": "now"}), msgpack.packb(dict(hello, devices=5)),
                  msgpack.packb(dict(hello, node="x" * 1000)), msgpack.packb(dict(hello, devices=[{"name": "cpu0"}])), msgpack.packb({"t": "heartbeat", "at": 1}) + b"more",
                  msgpack.packb({"t": "put_chunk", "sha256": "../../etc/passwd", "offset": 0, "data": b""}),
                  msgpack.packb({"t": "finished", "ref": {"job": "x", "stage": 2**40, "attempt": 1}, "device": "cpu0", "engine": "", "preview": False, "run_ms": 0, "outputs": []}),
                  msgpack.packb({"t": "put", "sha256": "a" * 64, "bytes": 2**60})]
        for frame in frames:
            with self.subTest(frame=frame[:40]):
                before = self.counter("troupe_link_malformed_total")
                socket = self.dial()
                socket.send(frame)
                wait_until(lambda: self.counter("troupe_link_malformed_total") == before + 1, 20, "the frame is counted")
                told = self.answer(socket, 10 * PATIENCE)
                self.assertEqual(told and told["t"], "refused")
                socket.send(msgpack.packb({"t": "heartbeat", "at": 1}))
                self.assertIsNone(self.answer(socket, 0.2), "the head still talks to it")
                socket.close()
        with self.subTest("two parts"):
            before = self.counter("troupe_link_malformed_total")
            self.dial().send_multipart([msgpack.packb({"t": "heartbeat", "at": 1}), b"more"])
            wait_until(lambda: self.counter("troupe_link_malformed_total") == before + 1, 20, "the frame is counted")
        self.assert_all_is_well()

    def test_reports_before_a_hello_are_not_heard(self):
        socket = self.dial()
        socket.send(msgpack.packb({"t": "heartbeat", "at": 1}))
        self.assertEqual(self.answer(socket, 20 * PATIENCE)["t"], "refused")
        self.assert_all_is_well()

    def test_a_key_that_is_not_allowed_gets_no_conversation(self):
        before = self.counter("troupe_link_denied_total")
        frames = self.counter("troupe_link_frames_in_total")
        public, secret = zmq.curve_keypair()
        socket = self.dial(public, secret)
        socket.send(msgpack.packb({"t": "heartbeat", "at": 1}))
        wait_until(lambda: self.counter("troupe_link_denied_total") > before, 20, "the key is denied")
        self.assertIsNone(self.answer(socket, 0.3))
        plain = self.context.socket(zmq.DEALER)  # no CURVE at all
        plain.linger = 0
        self.addCleanup(plain.close)
        plain.connect(f"ipc://{self.head.data}/node.sock")
        plain.send(msgpack.packb({"t": "heartbeat", "at": 1}))
        self.assertIsNone(self.answer(plain, 0.3))
        self.assertGreaterEqual(self.counter("troupe_link_frames_in_total"), frames)
        self.assert_all_is_well()

    def test_random_bytes_from_an_allowed_key_never_end_the_head(self):
        chance = random.Random(9)
        base = msgpack.packb({"t": "hello", "version": 1, "node": "local", "session": "fuzz", "devices": [{"name": "cpu9", "type": "cpu", "model": "", "slots": 1, "vram_mib": 0, "kinds": []}],
                              "engines": [], "running": [], "unacknowledged": [], "unacknowledged_failures": []})
        before = self.counter("troupe_link_malformed_total")
        for _ in range(60):
            frame = bytearray(base)
            for _ in range(chance.randrange(1, 6)):
                frame[chance.randrange(20)] = chance.randrange(256)  # the envelope, so that it never is a hello that counts
            socket = self.dial()
            socket.send(bytes(frame[:chance.randrange(len(base))]))
            socket.close(linger=1000)
        wait_until(lambda: self.counter("troupe_link_malformed_total") > before + 20, 30, "malformed frames are counted")
        self.assert_all_is_well()


class BadBlob(unittest.TestCase):
    """A file that is not what its name says is never handed out, and can be made again at no charge."""

    def setUp(self):
        self.head = Head({"node.slots": 2}).start()
        self.addCleanup(self.head.destroy)
        self.head.wait_for_engines()
        self.user = self.head.user("careful")
        self.admin = self.head.admin()

    def blob(self, sha256):
        path = self.head.data / "blobs" / sha256[:2] / sha256[2:4] / sha256
        self.assertTrue(path.exists(), path)
        return path

    def flip(self, sha256):
        path = self.blob(sha256)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x40
        path.chmod(0o600)
        path.write_bytes(data)

    def assert_damaged(self, artifact, job):
        answer = self.user.send("GET", artifact["url"])
        self.assertEqual(answer.status, 503, answer)
        self.assertIn("damaged", answer.json["error"])
        self.assertEqual(answer.json["job_id"], job)

    def assert_repaired(self, artifact, job, balance):
        repaired = self.user.send("POST", f"/api/jobs/{job}/repair", {})
        self.assertEqual(repaired.status, 200, repaired)
        self.assertEqual(repaired.json["files_made_again"], [artifact["filename"]])
        view = self.user.wait_for_job(job)
        answer = self.user.send("GET", artifact["url"])
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(hashlib.sha256(answer.bytes).hexdigest(), artifact["sha256"])
        self.assertEqual(self.user.get("/api/credits")["credit_balance"], balance, "the repair was charged")
        assert_money_is_right(self, self.user, {job: view}, self.admin)
        again = self.user.post(f"/api/jobs/{job}/repair", {})
        self.assertEqual(again["files_made_again"], [], "what is whole is not made again")

    def test_a_damaged_video_is_reported_and_made_again(self):
        job = self.user.post("/api/generate", GOOD)["job_id"]
        artifact = self.user.wait_for_job(job)["artifacts"][0]
        balance = self.user.get("/api/credits")["credit_balance"]
        self.flip(artifact["sha256"])
        self.assert_damaged(artifact, job)
        self.assert_repaired(artifact, job, balance)

    def test_a_film_is_made_again_though_what_it_was_made_from_is_damaged_too(self):
        job = self.user.run("short-film", small_film())["job_id"]
        view = self.user.wait_for_job(job)
        film = next(a for a in view["artifacts"] if a["name"] == "video")
        balance = self.user.get("/api/credits")["credit_balance"]
        made = outputs_of(self.admin, self.user, job)
        self.assertEqual(made["subtitle.video"][0], film["sha256"])
        self.assertEqual(self.head.stop(), 0)
        shutil.rmtree(self.head.data / "node" / "cache")
        self.flip(film["sha256"])
        self.flip(made["mix.video"][0])
        self.blob(made["join.video"][0]).unlink()
        self.head.start()
        self.head.wait_for_engines()
        self.assert_damaged(film, job)
        self.assert_repaired(film, job, balance)
        attempts = {stage["name"]: stage["attempts"] for stage in self.user.job(job)["stages"]}
        self.assertEqual([attempts[name] for name in ("generate[0]", "narrate", "transcribe")], [1, 1, 1], "what was whole was made again")


if __name__ == "__main__":
    unittest.main(verbosity=2)

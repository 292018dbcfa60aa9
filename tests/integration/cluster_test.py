"""Machines come and go by the operator's commands: a node joins with a token, is drained, given another key, removed; devices are
drained and quarantined. All through `troupe admin`, on a head that serves."""
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import FakeNode  # noqa: E402
from studio import BINARY, PATIENCE, Head, clean_environment, wait_until  # noqa: E402

RUN = "/api/workflows/bench-chain/runs"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Cluster(unittest.TestCase):
    def setUp(self):
        self.head = Head({"node.local": False, "cluster.listen": f"tcp://127.0.0.1:{free_port()}", "node.heartbeat_ms": 100, "node.timeout_ms": 2000,
                          "scheduler.quarantine_s": 0}).start()
        self.addCleanup(self.head.destroy)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-nodes-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.admin = self.head.admin()
        self.key = self.admin.post("/api/keys", {"name": "operator"})["key"]
        self.user = self.head.user("worker", tier="studio", grant=10_000)

    def troupe(self, *words, key=None, status=0):
        """`troupe admin …`: what it prints. A list is asked for as JSON."""
        environment = clean_environment(TROUPE_API_KEY=self.key if key is None else key, TROUPE_URL=f"http://127.0.0.1:{self.head.port}")
        done = subprocess.run([BINARY, "admin", *words], capture_output=True, text=True, timeout=120 * PATIENCE, check=False, env=environment)
        self.assertEqual(done.returncode, status, f"{words}: {done.stdout}{done.stderr}")
        return done.stdout if status == 0 else done.stderr

    def node(self, name):
        return next((n for n in json.loads(self.troupe("node", "list", "--json"))["nodes"] if n["name"] == name), None)

    def device(self, name):
        return next((d for d in json.loads(self.troupe("device", "list", "--json"))["devices"] if d["id"] == name), None)

    def join(self, token, folder, *words, environment=None):
        """Starts a node with what `node add` printed."""
        file = self.folder / f"{folder}.token"
        file.touch(0o600)
        file.write_text(token)
        process = subprocess.Popen([BINARY, "node", "--join", str(file), "--folder", str(self.folder / folder), "--slots", "2", *words], stderr=self.head.log,
                                   env=clean_environment(**(environment or {})))

        def end():
            process.kill()
            process.wait()
        self.addCleanup(end)
        return process

    def wait_for(self, name, status):
        wait_until(lambda: (self.node(name) or {}).get("status") == status, 20, f"node {name} is {status}")

    def test_a_machine_joins_works_is_drained_and_removed(self):
        self.assertIn("NODE", self.troupe("node", "list"))
        token = self.troupe("node", "add", "gpu2")
        self.assertEqual((self.node("gpu2")["status"], self.node("gpu2")["state"]), ("never seen", "enabled"))
        process = self.join(token, "first")
        self.wait_for("gpu2", "connected")
        self.assertRegex(self.troupe("node", "list"), r"gpu2 +connected +enabled +1 +")
        self.head.wait_for_engines()
        self.user.wait_for_job(self.user.post(RUN, {"inputs": {"ms": 2}})["job_id"], 60)

        long = self.user.post(RUN, {"inputs": {"ms": 1500}})["job_id"]
        wait_until(lambda: self.device("gpu2/cpu0")["slots_used"] == 1, 20, "a stage runs")
        self.assertIn(long, self.troupe("device", "list"))
        self.troupe("node", "drain", "gpu2", "--wait")
        drained = self.device("gpu2/cpu0")
        self.assertEqual((drained["state"], drained["status"], drained["slots_used"]), ("draining", "draining", 0))
        waiting = self.user.job(long)
        self.assertEqual([s["attempts"] for s in waiting["stages"]][0], 1, "what ran was let end")
        self.assertEqual(waiting["status"], "running")
        why = next(s["waiting"] for s in waiting["stages"] if s.get("waiting"))
        self.assertEqual(why["code"], "draining")

        self.head.restart()
        self.wait_for("gpu2", "connected")
        self.assertEqual(self.device("gpu2/cpu0")["status"], "draining", "a restart forgets nothing that the operator said")
        self.troupe("node", "enable", "gpu2")
        self.user.wait_for_job(long, 60)

        self.troupe("node", "remove", "gpu2")
        self.assertIsNone(self.node("gpu2"))
        denied = self.head.metrics()["troupe_link_denied_total"]
        process.send_signal(signal.SIGTERM)
        process.wait(30 * PATIENCE)
        self.join(token, "second")
        wait_until(lambda: self.head.metrics()["troupe_link_denied_total"] > denied, 20, "its key is denied")
        self.assertIsNone(self.node("gpu2"))

    def works(self):
        self.user.wait_for_job(self.user.post(RUN, {"inputs": {"ms": 2}})["job_id"], 30)

    def test_what_was_said_of_a_node_is_forgotten_with_it(self):
        for last_words in (("node", "drain", "gpu2", "--wait"), ("device", "quarantine", "gpu2/cpu0"), ("node", "list")):
            process = self.join(self.troupe("node", "add", "gpu2"), "gpu2")
            self.wait_for("gpu2", "connected")
            self.head.wait_for_engines()
            self.works()
            self.troupe(*last_words)
            self.troupe("node", "remove", "gpu2")
            process.kill()
            process.wait()

    def test_a_head_ends_well_while_machines_are_joined(self):
        # Heartbeats go out until the last moment: what they are sent through must still be there.
        for n in range(3):
            self.join(self.troupe("node", "add", f"far{n}"), f"far{n}")
            self.wait_for(f"far{n}", "connected")
        for _ in range(5):
            self.assertEqual(self.head.stop(), 0, self.head.log_tail())
            self.head.start()
            self.wait_for("far2", "connected")

    def test_a_removed_node_is_cut_at_once_and_its_stages_run_elsewhere(self):
        self.join(self.troupe("node", "add", "one"), "one")
        self.wait_for("one", "connected")
        self.head.wait_for_engines()
        job = self.user.post(RUN, {"inputs": {"ms": int(3000 * PATIENCE)}})["job_id"]
        wait_until(lambda: self.device("one/cpu0")["slots_used"] == 1, 20, "a stage runs")
        self.join(self.troupe("node", "add", "two"), "two")
        self.wait_for("two", "connected")
        self.troupe("node", "remove", "one")
        wait_until(lambda: self.device("two/cpu0")["slots_used"] == 1, 5, "it runs on the other node")
        self.assertEqual(self.user.wait_for_job(job, 60)["stages"][0]["attempts"], 2)

    def test_another_key_cuts_off_who_has_the_earlier_one(self):
        old = self.troupe("node", "add", "gpu3")
        self.join(old, "old")
        self.wait_for("gpu3", "connected")
        before = self.node("gpu3")["public_key"]
        new = self.troupe("node", "rotate", "gpu3")
        self.wait_for("gpu3", "lost")
        self.assertNotEqual(self.node("gpu3")["public_key"], before)
        self.join(new, "new")
        self.wait_for("gpu3", "connected")
        self.assertNotEqual(json.loads(old)["secret_key"], json.loads(new)["secret_key"])

    def test_a_device_that_is_not_trusted_gets_no_work_until_it_is_enabled(self):
        self.join(self.troupe("node", "add", "odd"), "odd")
        self.wait_for("odd", "connected")
        self.head.wait_for_engines()
        self.troupe("device", "quarantine", "odd/none", status=1)
        self.assertNotIn("odd/none is set to", self.head.log_text(), "it was refused")
        self.troupe("device", "quarantine", "odd/cpu0")
        self.assertIn("odd/cpu0 is set to quarantined by", self.head.log_text())
        self.assertEqual(self.device("odd/cpu0")["state"], "quarantined")
        self.assertEqual(self.device("odd/cpu0")["status"], "quarantined")
        job = self.user.post(RUN, {"inputs": {"ms": 2}})["job_id"]
        waiting = lambda: [s["waiting"]["code"] for s in self.user.job(job)["stages"] if s.get("waiting")]
        wait_until(waiting, 20, "it says why it waits")
        self.assertEqual(waiting(), ["quarantined"])
        self.assertEqual(self.device("odd/cpu0")["slots_used"], 0)
        self.troupe("device", "enable", "odd/cpu0")
        self.user.wait_for_job(job, 60)
        self.troupe("device", "drain", "odd/cpu0", "--wait")
        self.assertEqual(self.device("odd/cpu0")["state"], "draining")
        self.assertEqual(self.device("odd/cpu0")["status"], "draining")

    def fake(self, name, *devices):
        node = FakeNode(json.loads(self.troupe("node", "add", name)), devices=devices)
        self.addCleanup(node.close)
        node.wait_welcome()
        return node

    def test_what_a_node_says_of_itself_drives_no_terminal_and_writes_no_line_of_the_log(self):
        node = self.fake("odd", "gpu")
        node.send({"t": "x\n\x1b[2J\x7f\x9b2J 2026-11-23T00:00:00.000Z C head: forged"})
        wait_until(lambda: "C head: forged" in self.head.log_text(), 20, "it is in the log")
        self.assertIn("x??[2J??2J 2026", self.head.log_text())
        wait_until(lambda: "x??[2J??2J 2026" in self.troupe("node", "list"), 20, "it is in the table")
        self.assertIn('x\\n\\u001b[2J\\u007f\\u009b2J 2026', self.troupe("node", "list", "--json"))

    def broken(self, *devices):
        """A node on which everything fails."""
        node = self.fake("odd", *devices)
        node.work = lambda assigned: node.send(node.failed(assigned, "device"))
        self.head.wait_for_engines_of("fake")
        self.let_fail()
        return node

    def let_fail(self):
        """Until the head has its device in quarantine for it."""
        for _ in range(4):
            self.user.post(RUN, {"inputs": {"ms": 2}})
        wait_until(lambda: self.status_of("odd/gpu") == ("enabled", "quarantined", True), 30, "it is in quarantine")
        self.assertIn("in a row failed on it", self.device("odd/gpu")["quarantined_for"])

    def status_of(self, name):
        """What the operator wants, how it is, and whether the head has it in quarantine."""
        device = self.device(name)
        return device and (device["state"], device["status"], "quarantined_for" in device)

    def test_who_is_enabled_though_something_holds_it_back_is_told_what_and_a_quarantine_after_failures_is_over(self):
        node = self.broken("gpu")
        self.assertEqual(self.troupe("node", "drain", "odd"), "odd is draining\n")
        self.assertEqual(self.troupe("device", "enable", "odd/gpu"), "odd/gpu is enabled\nbut odd/gpu gets no work: its node is draining\n")
        wait_until(lambda: self.status_of("odd/gpu") == ("draining", "draining", False), 20, "the quarantine is over")
        self.assertEqual(self.troupe("node", "enable", "odd"), "odd is enabled\n")
        self.let_fail()
        self.troupe("device", "drain", "odd/gpu")
        self.assertEqual(self.troupe("node", "enable", "odd"), "odd is enabled\nbut odd/gpu gets no work: it is draining itself\n")
        wait_until(lambda: self.status_of("odd/gpu") == ("draining", "draining", False), 20, "the quarantine is over")
        self.assertEqual(json.loads(self.troupe("device", "enable", "odd/gpu", "--json"))["held_back"], [])
        node.close()
        wait_until(lambda: self.device("odd/gpu")["status"] == "lost", 20, "it is lost")
        self.assertEqual(self.troupe("node", "enable", "odd"), "odd is enabled\nbut odd gets no work: it is not connected\n")

    def test_a_device_in_quarantine_is_seen_and_enabled_while_it_is_away(self):
        for state in ("enabled", "quarantined"):
            node = self.broken("gpu", {"name": "other", "kinds": ["upscale.video"]}) if state == "enabled" else node
            if state == "quarantined":
                self.troupe("device", "quarantine", "odd/gpu")
            gpu, *node.devices = node.devices
            node.dial()
            wait_until(lambda: self.device("odd/gpu")["status"] == "lost", 20, "it is away")
            self.assertEqual(self.status_of("odd/gpu"), (state, "lost", True))
            self.assertRegex(self.troupe("device", "list"), rf"odd/gpu +- +- +- +\S+ +{state} +lost, quarantined +-\n")
            self.assertEqual(self.troupe("device", "enable", "odd/gpu"), "odd/gpu is enabled\nbut odd/gpu gets no work: its node has no such device now\n")
            self.assertIsNone(self.device("odd/gpu"))
            self.assertIn("no device", self.troupe("device", "enable", "odd/gpu", status=1))
            node.devices.insert(0, gpu)
            node.dial()
            wait_until(lambda: self.status_of("odd/gpu"), 20, "it is back")
            self.let_fail()

    def test_a_quarantine_of_a_device_that_is_away_is_forgotten_with_its_node(self):
        node = self.broken("gpu", {"name": "other", "kinds": ["upscale.video"]})
        del node.devices[0]
        node.dial()
        wait_until(lambda: self.device("odd/gpu")["status"] == "lost", 20, "it is away")
        self.troupe("node", "remove", "odd")
        node.close()
        self.fake("odd", "gpu")
        wait_until(lambda: self.status_of("odd/gpu") == ("enabled", "up", False), 20, "it is there, and trusted")

    def test_whatever_they_are_named_the_one_that_is_meant_is_reached(self):
        names = ["gpu", "gpu 0", "gpu#1", "gpu?2", "gpu/3", "gpu%34", "gpü+5&6=7;8", "...", "a..b", "/9", "10/", "a\\b"]
        self.fake("odd", *names)
        wait_until(lambda: all(self.device(f"odd/{name}") for name in names), 20, "they are there")
        for name in reversed(names):
            self.assertEqual(self.device(f"odd/{name}")["state"], "enabled", name)
            self.assertEqual(self.troupe("device", "drain", f"odd/{name}"), f"odd/{name} is draining\n")
            self.assertEqual(self.device(f"odd/{name}")["state"], "draining", name)
        for words in (("remove", "odd?"), ("drain", "odd#1")):
            self.assertIn("no node", self.troupe("node", *words, status=1))
        self.assertEqual(self.node("odd")["state"], "enabled")

    def gpu(self, *words):
        """A node on a machine where a library with the calls of NVIDIA's driver says that there are two cards, cuda0 and cuda2."""
        driver = pathlib.Path(__file__).resolve().parents[1] / "unit/gpu/node/fake_cuda_driver.cpp"
        if not (self.folder / "libcuda.so.1").exists():
            subprocess.run(["c++", "-shared", "-fPIC", "-o", str(self.folder / "libcuda.so.1"), str(driver)], check=True)
        token = self.folder / "gpu.token"
        process = self.join(token.read_text() if token.exists() else self.troupe("node", "add", "gpu"), "gpu", *words, environment={"LD_LIBRARY_PATH": str(self.folder)})

        def end():
            process.send_signal(signal.SIGTERM)
            process.wait(30 * PATIENCE)
        return end

    def test_a_device_that_is_enabled_while_it_is_away_works_when_it_is_back(self):
        end = self.gpu()
        wait_until(lambda: self.device("gpu/cuda2"), 20, "it is there")
        self.troupe("device", "drain", "gpu/cuda2", "--wait")
        end()
        end = self.gpu("--set", "devices.disabled=cuda2")
        wait_until(lambda: self.status_of("gpu/cuda2") == ("draining", "lost", False), 20, "it is away")
        self.troupe("device", "enable", "gpu/cuda2")
        self.assertIsNone(self.device("gpu/cuda2"))
        end()
        self.gpu()
        wait_until(lambda: self.device("gpu/cuda2"), 20, "it is back")
        wait_until(lambda: self.device("gpu/cuda2")["status"] == "up", 5, "it gets work")

    def configure(self, text):
        file = self.folder / "cluster.conf"
        file.write_text(text)
        return "--config", str(file)

    def test_a_node_offers_what_its_own_configuration_leaves_it(self):
        end = self.gpu()
        self.wait_for("gpu", "connected")
        wait_until(lambda: self.device("gpu/cuda2"), 20, "all that there is is offered")
        self.assertEqual([self.device("gpu/cuda0")[key] for key in ("slots", "vram_mib")], [1, 24 << 10])
        self.assertIn("scene.video", self.device("gpu/cpu0")["kinds"])
        end()
        self.gpu(*self.configure("[devices]\ndisabled = ['cuda2']\nslots = ['cuda=2']\nvram_reserved_mib = ['cuda0=4096']\n[engines]\ndisabled = ['speech', 'scene.video']\n"))
        wait_until(lambda: self.device("gpu/cuda2") is None, 20, "it is not offered any more")
        wait_until(lambda: (self.device("gpu/cuda0") or {}).get("status") == "up", 20, "the other one is")
        self.assertEqual([self.device("gpu/cuda0")[key] for key in ("slots", "vram_mib")], [2, 20 << 10])
        kinds = self.device("gpu/cpu0")["kinds"]
        self.assertIn("null.work", kinds)
        self.assertEqual([kind for kind in kinds if kind == "scene.video" or kind.startswith("speech.")], [])
        speech = next(e for e in self.node("gpu")["engines"] if e["name"] == "speech")
        self.assertIn("engines.disabled", speech["reason"])

    def test_a_node_does_not_start_with_a_device_or_an_engine_that_it_does_not_have(self):
        token = self.troupe("node", "add", "typo")
        for text, said in (("[devices]\ndisabled = ['gpu0']\n", "devices.disabled names `gpu0`, which this machine does not have; it has cpu0"),
                           ("[engines]\ndisabled = ['scenes']\n", "engines.disabled names `scenes`, which this machine does not have; it has scene"),
                           ("[devices]\ndisable = ['cpu0']\n", "unknown key `devices.disable`; the nearest known one is `devices.disabled`")):
            process = self.join(token, "typo", *self.configure(text))
            self.assertEqual(process.wait(30 * PATIENCE), 78)
            self.assertIn(said, self.head.log_text())

    def test_the_local_node_has_its_offer_from_the_head(self):
        head = Head({"node.slots": 3, "engines.disabled": "speech,scene.video", "devices.disabled": ""}).start()
        self.addCleanup(head.destroy)
        head.wait_for_engines_of("null")
        admin = head.admin()
        local = wait_until(lambda: admin.get("/api/admin/devices")["devices"], 20, "it is there")[0]
        self.assertEqual((local["id"], local["slots"]), ("local/cpu0", 3))
        self.assertEqual([kind for kind in local["kinds"] if kind == "scene.video" or kind.startswith("speech.")], [])

    def test_a_head_does_not_start_whose_local_node_has_no_such_device(self):
        data = self.folder / "studio"
        done = subprocess.run([BINARY, "serve", "--data", str(data), "--listen", "127.0.0.1:0", "--set", "devices.disabled=gpu0"],
                              capture_output=True, text=True, timeout=60 * PATIENCE, check=False, env=clean_environment())
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("devices.disabled names `gpu0`, which this machine does not have; it has cpu0", done.stderr)

    def test_what_cannot_be_is_said(self):
        self.troupe("node", "add", "here")
        for words, said in ((("node", "add", "here"), "there is a node of that name"), (("node", "add", "A B"), "name"), (("node", "rotate", "nobody"), "no node"),
                            (("node", "remove", "nobody"), "no node"), (("node", "drain", "nobody"), "no node"), (("device", "drain", "here/cpu9"), "no device"),
                            (("device", "drain", "here"), "NODE/DEVICE"), (("node", "add", "local"), "local"), (("node", "remove", "local"), "local")):
            self.assertIn(said, self.troupe(*words, status=1), words)
        self.assertIn("API key of an admin", self.troupe("node", "list", key="", status=1))
        self.assertIn("401", self.troupe("node", "list", key="troupe_nobody", status=1))
        self.assertIn("403", self.troupe("node", "list", key=self.user.post("/api/keys", {"name": "mine"})["key"], status=1))
        broken = self.folder / "broken.token"
        broken.write_text('{"troupe_node": 1, "name": "x"}')
        done = subprocess.run([BINARY, "node", "--join", str(broken), "--folder", str(self.folder / "x")], capture_output=True, text=True, timeout=60, check=False,
                              env=clean_environment())
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("not whole", done.stderr)
        kinds = [event["kind"] for event in self.admin.get("/api/admin/audit")["events"]]
        self.assertIn("node_added", kinds)


if __name__ == "__main__":
    unittest.main(verbosity=2)

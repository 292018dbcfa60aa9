"""What an operator does: start, stop, configure, watch, reload."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import BINARY, PATIENCE, Head, User, account_of, assert_money_is_right, clean_environment, is_alive, wait_until  # noqa: E402

EXIT_FAILURE, EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_TEMPORARY, EXIT_CONFIGURATION = 1, 64, 69, 75, 78


def troupe(*arguments, given="", environment=None):
    """Runs the program to its end: (exit status, stdout and stderr)."""
    done = subprocess.run([BINARY, *arguments], input=given, capture_output=True, text=True, timeout=120 * PATIENCE,
                          env=clean_environment(**(environment or {})))
    return done.returncode, done.stdout + done.stderr


def chain(version, stages, name="chain", credits=2, milliseconds=1500):
    """A workflow of stages of nothing, one after the other."""
    made = []
    for i in range(stages):
        stage = {"id": f"step{i}", "kind": "null.work", "params": {"ms": milliseconds, "bytes": 10}, "price": {"rule": "flat", "credits": credits}}
        if i:
            stage["after"] = [f"step{i - 1}"]
        made.append(stage)
    return {"name": name, "version": version, "title": "Chain", "description": "Stages of nothing", "inputs": {}, "stages": made,
            "result": {"data": {"from": f"step{stages - 1}.data", "filename": "chain_{job}.bin"}}}


class Starting(unittest.TestCase):
    def setUp(self):
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="troupe-test-"))
        self.addCleanup(shutil.rmtree, self.data, ignore_errors=True)

    def serve(self, *more, environment=None):
        return troupe("serve", "--data", str(self.data), "--set", "http.listen=127.0.0.1:0", *more, environment=environment)

    def test_a_setting_that_is_unknown_or_wrong_ends_the_start_with_words(self):
        for more, says in [(["--set", "http.listn=1"], "http.listen"), (["--set", "http.threads=many"], "http.threads"),
                           (["--set", "node.timeout_ms=1"], "node.timeout_ms"), (["--set", "log.level=loud"], "log.level")]:
            status, said = self.serve(*more)
            self.assertEqual(status, EXIT_CONFIGURATION, said)
            self.assertIn(says, said)
        status, said = self.serve(environment={"TROUPE_HTTP__LISTN": "x"})
        self.assertEqual(status, EXIT_CONFIGURATION, said)
        self.assertIn("TROUPE_HTTP__LISTEN", said)
        config = self.data / "cluster.conf"
        for text, says in [("[http]\nlistn = 1\n", "http.listen"), ("[http\n", "cluster.conf:1"), ("[node]\nslots = \"x\"\n", "node.slots")]:
            config.write_text(text)
            status, said = self.serve("--config", str(config))
            self.assertEqual(status, EXIT_CONFIGURATION, said)
            self.assertIn(says, said)

    def test_a_wrong_command_line_is_told(self):
        for arguments in ([], ["serve", "--nonsense"], ["nonsense"], ["serve", "--config", "/nowhere/cluster.conf"]):
            status, said = troupe(*arguments)
            self.assertEqual(status, EXIT_USAGE, f"{arguments}: {said}")

    def test_definitions_with_mistakes_end_the_start_naming_file_stage_and_field(self):
        folder = self.data / "workflows"
        folder.mkdir()
        broken = chain(1, 2)
        broken["stages"][1]["kind"] = "null.play"
        (folder / "broken.json").write_text(json.dumps(broken))
        status, said = self.serve("--set", f"workflows.directory={folder}")
        self.assertEqual(status, EXIT_CONFIGURATION, said)
        self.assertIn("broken.json", said)
        self.assertIn("step1", said)
        self.assertIn("kind", said)

    def test_an_address_that_is_in_use_or_another_machine_s_is_told(self):
        head = Head({"node.local": False}).start()
        self.addCleanup(head.destroy)
        for setting, address in (("http.listen", f"127.0.0.1:{head.port}"), ("cluster.listen", f"tcp://127.0.0.1:{head.port}"),
                                 ("http.listen", "192.0.2.1:7707"), ("cluster.listen", "tcp://192.0.2.1:7707")):
            status, said = self.serve("--set", f"{setting}={address}")
            self.assertEqual(status, EXIT_UNAVAILABLE, said)
            self.assertIn(address, said)

    def test_the_first_admin_is_made_offline(self):
        make = lambda name, password: troupe("admin", "create", "--username", name, "--password-stdin", "--data", str(self.data), given=password + "\n")
        status, said = make("root", "short")
        self.assertEqual(status, EXIT_FAILURE, said)
        status, said = make("root", "a long enough password")
        self.assertEqual(status, 0, said)
        status, said = make("root", "another long password")
        self.assertEqual(status, EXIT_FAILURE, f"made twice: {said}")
        head = Head({"node.local": False})
        self.addCleanup(head.destroy)
        shutil.rmtree(head.data)
        shutil.copytree(self.data, head.data)
        head.environment.pop("TROUPE_ADMIN_PASSWORD")
        head.start()
        admin = head.anyone()
        self.assertEqual(admin.log_in("root", "a long enough password")["role"], "admin")
        self.assertIn("counts", admin.get("/api/admin/actors"))
        status, said = troupe("admin", "create", "--username", "late", "--password-stdin", "--data", str(head.data), given="a long enough password\n")
        self.assertEqual(status, EXIT_TEMPORARY, f"the head has the folder: {said}")
        self.assertIn(str(head.process.pid), said)


    def test_a_secret_key_that_is_lost_is_not_made_anew_under_the_accounts(self):
        head = Head({"node.local": False}).start()
        self.addCleanup(head.destroy)
        user = head.user("keyed")
        self.assertEqual(head.stop(), 0)
        kept = (head.data / "secret.key").read_bytes()
        (head.data / "secret.key").unlink()
        lost = subprocess.run(head.arguments(), capture_output=True, text=True, timeout=60 * PATIENCE, env=head.environment)
        self.assertEqual(lost.returncode, EXIT_CONFIGURATION, lost.stderr)
        self.assertIn("restore it", lost.stderr)
        self.assertFalse((head.data / "secret.key").exists())
        (head.data / "secret.key").write_bytes(kept)
        head.start()
        self.assertEqual(user.send("GET", "/api/credits").status, 200)

    def test_a_user_called_admin_who_is_none_is_warned_of(self):
        head = Head({"node.local": False}).start()
        self.addCleanup(head.destroy)
        head.user("other", tier="free", key=False)
        boss = head.admin()
        boss.ask("PUT", "/api/admin/accounts/other", {"role": "admin"})
        boss.ask("PUT", "/api/admin/accounts/admin", {"role": "user"})
        self.assertNotIn("NOT an admin", head.log_text())
        head.restart()
        wait_until(lambda: "the user 'admin' is NOT an admin" in head.log_text(), 20, "the warning")


class Running(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-workflows-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.write("chain.json", chain(1, 3))
        self.head = Head({"node.slots": 2}, workflows=self.folder).start()
        self.addCleanup(self.head.destroy)
        self.admin = self.head.admin()

    def write(self, name, definition):
        (self.folder / name).write_text(definition if isinstance(definition, str) else json.dumps(definition))

    def reload(self):
        return self.admin.send("POST", "/api/admin/workflows/reload", {})

    # -- starting and stopping

    def test_a_second_head_on_the_same_data_is_refused_with_the_firsts_pid(self):
        second = subprocess.run(self.head.arguments(), capture_output=True, text=True, timeout=60 * PATIENCE, env=self.head.environment)
        self.assertEqual(second.returncode, EXIT_TEMPORARY, second.stderr)
        self.assertIn(str(self.head.process.pid), second.stderr)
        self.assertEqual(self.admin.send("GET", "/livez").status, 200)

    def test_sigterm_ends_streams_and_the_node_and_loses_nothing(self):
        self.head.wait_for_engines_of("null")
        user = self.head.user("patient")
        job = user.run("chain", {})["job_id"]
        user.wait_for_stage(job, "step0")
        ended = threading.Event()

        def read():
            for _ in user.stream("/api/events", after=0):
                pass
            ended.set()

        threading.Thread(target=read, daemon=True).start()
        wait_until(lambda: self.head.metrics().get("troupe_http_streams", 0) > 0, 20, "the stream is open")
        node = wait_until(self.head.node_pid, 20, "the node lives")
        self.assertEqual(self.head.stop(), 0)
        self.assertTrue(ended.wait(20 * PATIENCE), "the stream was not ended")
        self.assertFalse(is_alive(node), "the node outlived its head")
        self.head.start()
        view = user.wait_for_job(job)
        assert_money_is_right(self, user, {job: view})
        self.assertEqual(view["stages"][0]["status"], "succeeded")

    def test_a_node_that_dies_is_started_again(self):
        self.head.wait_for_engines_of("null")
        first = wait_until(self.head.node_pid, 30, "the node lives")
        self.head.kill_node9()
        second = wait_until(lambda: (lambda pid: pid if pid not in (None, first) else None)(self.head.node_pid()), 30, "another node lives")
        self.assertNotEqual(first, second)
        self.assertIn("signal 9", self.head.log_text())

    # -- definitions

    def test_a_reload_with_a_mistake_changes_nothing_and_names_it(self):
        def two(first, second):
            out = chain(2, 2)
            out["stages"][0].update(first)
            out["stages"][1].update(second)
            return out

        for broken, says in [('{"name": "chain", ', "chain.json"), (two({"after": ["step1"]}, {}), "circle"), (two({}, {"kind": "null.play"}), "step1"),
                             (two({}, {"after": ["nobody"]}), "nobody"), (two({}, {"price": {"rule": "haggle"}}), "price"),
                             (two({}, {"params": {"ms": "$inputs.nothing"}}), "nothing"), (dict(chain(2, 1), version="two"), "version"),
                             (dict(chain(2, 1), stages=[]), "stages")]:
            self.write("chain.json", broken)
            answer = self.reload()
            self.assertEqual(answer.status, 400, f"{broken}: {answer}")
            told = "\n".join(answer.json["problems"])
            self.assertIn("chain.json", told)
            self.assertIn(says, told)
            self.assertNotIn(str(self.folder), told, "a path in an answer")
            kept = self.admin.get("/api/workflows/chain")
            self.assertEqual((kept["version"], len(kept["stages"])), (1, 3))
        self.write("chain.json", chain(1, 3))
        self.assertEqual(self.reload().status, 200)
        told = self.admin.get("/api/admin/audit?kind=workflows_reloaded")["events"]
        self.assertEqual([(row["by_username"], row["account"]) for row in told], [("admin", "")], "reloads that failed changed nothing")
        plain = self.head.user("plain")
        self.assertEqual(plain.send("POST", "/api/admin/workflows/reload", {}).status, 403)

    def test_a_run_ends_under_the_definition_it_began_with(self):
        self.head.wait_for_engines_of("null")
        user = self.head.user("runner")
        old = user.run("chain", {})
        self.assertEqual((old["workflow_version"], old["credits_held"]), (1, 6))
        user.wait_for_stage(old["job_id"], "step0")
        self.write("chain.json", chain(2, 4, credits=5, milliseconds=10))
        self.assertEqual(self.reload().status, 200)
        self.assertEqual(self.admin.get("/api/workflows/chain")["version"], 2)
        new = user.run("chain", {})
        self.assertEqual((new["workflow_version"], new["credits_held"]), (2, 20))
        self.head.kill9()  # what it began with must come from the disk
        self.head.start()
        views = {run["job_id"]: user.wait_for_job(run["job_id"]) for run in (old, new)}
        self.assertEqual([(v["workflow_version"], len(v["stages"]), v["credits_used"]) for v in views.values()], [(1, 3, 6), (2, 4, 20)])
        assert_money_is_right(self, user, views)

    def test_sighup_reloads_too(self):
        self.write("second.json", chain(1, 1, name="second"))
        self.head.process.send_signal(signal.SIGHUP)
        wait_until(lambda: self.admin.send("GET", "/api/workflows/second").status == 200, 20, "the definition is loaded")

    # -- watching

    def test_it_says_how_it_is(self):
        anyone = User(self.head.port)
        self.assertEqual(anyone.send("GET", "/livez").status, 200)
        self.assertEqual(anyone.send("GET", "/readyz").status, 200)
        metrics = anyone.send("GET", "/metrics")
        self.assertTrue(metrics.headers["content-type"].startswith("text/plain"))
        for line in metrics.bytes.decode().splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) \w+ .+|\w+(\{[^}]*\})? [-+0-9.eEinfNa]+)$')
        values = self.head.metrics()
        for name in ("troupe_journal_syncs_total", "troupe_link_malformed_total", "troupe_http_connections", 'troupe_actors{kind="scheduler"}'):
            self.assertIn(name, values)

    def test_the_reference_page_needs_nothing_from_elsewhere(self):
        anyone = User(self.head.port)
        page = anyone.send("GET", "/docs")
        self.assertEqual(page.status, 200)
        self.assertTrue(page.headers["content-type"].startswith("text/html"))
        text = page.bytes.decode()
        links = re.findall(r'(?:src|href)="([^"]+)"', text)
        self.assertTrue(links)
        for link in links:
            if link == "data:,":  # no icon
                continue
            self.assertTrue(link.startswith("/"), f"{link} is elsewhere")
            self.assertEqual(anyone.send("GET", link).status, 200, link)

    def test_an_admin_sees_every_actor(self):
        self.head.wait_for_engines_of("null")
        user = self.head.user("watched")
        job = user.run("chain", {})["job_id"]
        user.wait_for_stage(job, "step0")
        listed = self.admin.get("/api/admin/actors?limit=1000")
        kinds = {entry["kind"] for entry in listed["actors"]}
        self.assertEqual(kinds, {"account", "ledger", "job", "start_timer", "scheduler", "device", "cluster", "directory"})
        self.assertEqual(listed["counts"], {kind: sum(e["kind"] == kind for e in listed["actors"]) for kind in kinds})
        for entry in listed["actors"]:
            self.assertGreaterEqual(entry["messages"], 0)
            one = self.admin.get(f"/api/admin/actors/{entry['kind']}/{entry['id']}")
            self.assertEqual((one["kind"], one["id"], one["active"]), (entry["kind"], entry["id"], True))
            self.assertIsInstance(one["state"], dict, one)
            if entry["kind"] in ("account", "ledger", "job"):
                self.assertTrue(one["events"], f"{entry['kind']} has no events")
        pages, after = [], ""
        while True:
            page = self.admin.get(f"/api/admin/actors?limit=3&after={after}")
            pages += page["actors"]
            after = page.get("next_after")
            if not after:
                break
        self.assertEqual({(e["kind"], e["id"]) for e in pages}, {(e["kind"], e["id"]) for e in listed["actors"]})
        tree = self.admin.get("/api/admin/actors/tree")["tree"]

        def walk(nodes):
            for node in nodes:
                yield node["kind"], node["id"]
                yield from walk(node["children"])

        self.assertEqual(set(walk(tree)), {(e["kind"], e["id"]) for e in listed["actors"]})
        self.assertEqual(self.admin.send("GET", "/api/admin/actors/job/nothing").status, 404)
        account = account_of(user)
        told = json.dumps(self.admin.get(f"/api/admin/actors/account/{account}?events=100"))
        self.assertNotIn("argon2", told, "a password's hash is shown")
        user.post(f"/api/jobs/{job}/cancel", {})

    def test_an_admin_sees_nodes_and_devices(self):
        self.head.wait_for_engines_of("null")
        nodes = self.admin.get("/api/admin/nodes")["nodes"]
        self.assertEqual([node["name"] for node in nodes], ["local"])
        engines = {engine["name"]: engine for engine in nodes[0]["engines"]}
        self.assertEqual(set(engines), {"scene", "upscale", "speech", "transcribe", "ffmpeg", "null"})
        for engine in engines.values():
            self.assertTrue(engine["available"] or engine["reason"], engine)
        devices = self.admin.get("/api/admin/devices")["devices"]
        self.assertTrue(any("cpu" in json.dumps(device) for device in devices))

    def test_an_admin_changes_accounts(self):
        user = self.head.user("changed", tier="free")
        answer = self.admin.ask("PUT", "/api/admin/accounts/changed", {"tier": "pro", "grant_credits": 7, "reason": "a gift"})[0]
        self.assertEqual((answer["tier"], answer["credit_balance"]), ("pro", 5007))
        self.assertEqual(user.get("/api/auth/check")["tier"], "pro")
        self.assertEqual(user.send("PUT", "/api/admin/accounts/changed", {"tier": "studio"}).status, 403)
        self.assertEqual(self.admin.send("PUT", "/api/admin/accounts/nobody", {"tier": "studio"}).status, 404)
        for body in ({"tier": "emperor"}, {"grant_credits": -5}, {"grant_credits": 1.5}, {"disabled": "yes"}):
            self.assertEqual(self.admin.send("PUT", "/api/admin/accounts/changed", body).status, 400, body)
        self.admin.ask("PUT", "/api/admin/accounts/changed", {"disabled": True})
        self.assertIn(user.send("GET", "/api/credits").status, (401, 403))
        self.admin.ask("PUT", "/api/admin/accounts/changed", {"disabled": False})
        assert_money_is_right(self, user)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Nodes of other versions of the protocol: served where there is a version that both speak, else refused with a word that the
node, the head's log and the operator all get. What this head does not know is never passed over in silence."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import Machines  # noqa: E402
from studio import wait_until  # noqa: E402


class Versions(Machines):
    def refused(self, node, word):
        wait_until(lambda: any(word in reason for reason in node.refusals), 20, f"the node is told {word!r}")
        wait_until(lambda: word in self.node(node.token["name"]).get("last_problem", ""), 20, "the operator is told")
        wait_until(lambda: word in self.head.log_text(), 20, "the log says so")
        self.assertIsNone(node.welcomed)

    def test_a_newer_node_that_still_speaks_our_version_is_served_in_it(self):
        node = self.fake("newer", version=2, oldest_version=1)
        self.assertEqual(node.wait_welcome()["version"], 1)
        node.work = node.honest
        self.assertEqual(self.node("newer")["protocol_version"], 1)
        self.check([self.submit()])

    def test_a_newer_node_that_does_not_is_refused_and_told_why(self):
        self.refused(self.fake("newer", version=3, oldest_version=2), "this head speaks version 1 of the node protocol, the node versions 2 to 3")
        self.assertEqual(self.node("newer")["status"], "never seen")

    def test_an_older_node_is_refused_and_told_why(self):
        self.refused(self.fake("older", version=0), "this head speaks version 1 of the node protocol, the node version 0")

    def test_a_refusal_is_logged_once_though_the_node_asks_again_and_again(self):
        node = self.fake("newer", version=7)
        wait_until(lambda: len(node.refusals) >= 5, 20, "it has asked five times")
        self.assertEqual(self.head.log_text().count("node newer is refused"), 1)

    def test_a_node_that_is_refused_may_be_upgraded_and_is_served(self):
        node = self.fake("slow", version=0)
        self.refused(node, "version 0")
        node.hello_fields = {}
        node.wait_welcome()
        node.work = node.honest
        self.check([self.submit()])

    def test_unknown_fields_are_ignored_and_told(self):
        node = self.fake("chatty", devices=[{"tensor_cores": 4}], colour="green", devices_of_tomorrow=[1, 2, 3])
        node.wait_welcome()
        node.work = lambda a: node.send(node.finished(a, [node.bring(b"chatty %d" % a["ref"]["stage"])], energy_j=5))
        job = self.submit()
        self.check([job])
        told = self.node("chatty")["unknown_fields"]
        for field in ("colour", "devices_of_tomorrow", "tensor_cores", "energy_j"):
            self.assertIn(field, told)
            self.assertEqual(self.head.log_text().count(f"{field}"), 1, "once is enough")
        self.assertGreaterEqual(self.head.metrics()["troupe_link_unknown_fields_total"], 3)

    def test_an_unknown_message_is_refused_by_name(self):
        node = self.fake("odd")
        node.wait_welcome()
        node.send({"t": "telemetry", "watts": 300})
        wait_until(lambda: any('a frame of the unknown type "telemetry"' in reason for reason in node.refusals), 20, "the node is told")
        wait_until(lambda: "telemetry" in self.node("odd").get("last_problem", ""), 20, "the operator is told")
        self.assertIn("telemetry", self.head.log_text())
        node.wait_welcome()
        node.work = node.honest
        self.check([self.submit()])


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""The promised endpoints against those that a running head declares. endpoints.tsv is the promise; not_yet.txt is what of it is
not served yet, and may only become shorter: an endpoint that is served must not be on it, one that is not served must."""
import csv
import pathlib
import re
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from studio import Head  # noqa: E402


def shape(path):
    """Parameters may be called differently: /a/{id} and /a/{job} are one path."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def promised():
    with open(HERE / "endpoints.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def not_yet():
    lines = (HERE / "not_yet.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def parameters_of(row):
    """The names in a row's column `parameters`, which is written as a body, a query or a list of names."""
    text = (row["parameters"] or "").strip()
    if text.startswith("{"):
        return re.findall(r'"(\w+)"', re.sub(r':\s*("[^"]*"|[^,}]*)', "", text))
    if text.startswith("?"):
        return re.findall(r"[?&](\w+)=", text)
    return re.findall(r"\w+", text) if re.fullmatch(r"[a-z_ ]+", text) else []


def some_path(path):
    return re.sub(r"\{[^}]*\}", "0", path)


class Contract(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.head = Head({"node.local": False}).start()
        cls.addClassCleanup(cls.head.destroy)
        cls.user = cls.head.user("contractor")
        cls.nobody = cls.head.anyone()
        cls.document = cls.nobody.get("/openapi.json")
        cls.served = {}
        for path, methods in cls.document["paths"].items():
            for method, operation in methods.items():
                if method in ("get", "post", "put", "patch", "delete"):
                    cls.served[f"{method.upper()} {shape(path)}"] = operation

    def test_what_is_promised_is_served_or_on_the_list_of_what_is_not_yet(self):
        listed = {shape(line) for line in not_yet()}
        keys = {f"{row['method']} {shape(row['path'])}": f"{row['method']} {row['path']}" for row in promised()}
        self.assertEqual(sorted(set(listed) - set(keys)), [], "not_yet.txt names what nobody promised")
        served = set(self.served)
        self.assertEqual(sorted(keys[k] for k in set(keys) & served & listed), [], "served now: take these off not_yet.txt")
        self.assertEqual(sorted(keys[k] for k in set(keys) - served - listed), [], "no longer served")

    def test_what_is_not_yet_served_is_a_404_in_the_words_of_its_family(self):
        for line in not_yet():
            method, path = line.split(" ", 1)
            answer = self.user.send(method, some_path(path), {} if method in ("POST", "PUT") else None)
            self.assertIn(answer.status, (404, 405), line)
            self.assertIn("error", answer.json, line)

    def test_served_endpoints_want_a_key_where_the_promise_says_so(self):
        for row in promised():
            if f"{row['method']} {shape(row['path'])}" not in self.served:
                continue
            with self.subTest(path=row["path"], method=row["method"]):
                answer = self.nobody.send(row["method"], some_path(row["path"]), {} if row["method"] in ("POST", "PUT") else None)
                if row["auth"] == "key":
                    self.assertEqual(answer.status, 401)
                elif row["auth"] == "public":
                    self.assertNotIn(answer.status, (401, 403))

    def test_served_endpoints_declare_the_promised_parameters(self):
        checked = 0
        for row in promised():
            operation = self.served.get(f"{row['method']} {shape(row['path'])}")
            if not operation:
                continue
            declared = {p["name"] for p in operation.get("parameters", [])}
            for content in operation.get("requestBody", {}).get("content", {}).values():
                declared |= set(self.resolved(content["schema"]).get("properties", {}))
            with self.subTest(path=row["path"], method=row["method"]):
                self.assertEqual([name for name in parameters_of(row) if name not in declared], [])
                checked += len(parameters_of(row))
        self.assertGreater(checked, 10)

    def resolved(self, schema):
        while "$ref" in schema:
            node = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                node = node[part]
            schema = node
        return schema

    def test_the_description_is_whole(self):
        self.assertTrue(self.document["openapi"].startswith("3."))
        names = [operation["operationId"] for operation in self.served.values()]
        self.assertEqual(len(names), len(set(names)), "operation ids repeat")
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                self.assertTrue(operation.get("summary"), f"{method} {path}")
                self.assertTrue(operation.get("responses"), f"{method} {path}")
                declared = {p["name"] for p in operation.get("parameters", []) + methods.get("parameters", []) if p["in"] == "path"}
                self.assertEqual(declared, set(re.findall(r"\{(\w+)\}", path)), f"path parameters of {method} {path}")
        self.check_references(self.document)

    def check_references(self, node):
        if isinstance(node, dict):
            if "$ref" in node:
                self.resolved(node)
            for value in node.values():
                self.check_references(value)
        elif isinstance(node, list):
            for value in node:
                self.check_references(value)

    def test_errors_have_the_shape_of_the_family_that_is_asked(self):
        def keyed(key):
            return {"Authorization": "Bearer " + key}

        studio = self.nobody.send("GET", "/api/nothing-like-it")
        self.assertEqual(studio.status, 404)
        self.assertEqual(studio.json, {"error": "Not found"})
        studio = self.nobody.send("GET", "/api/credits")
        self.assertEqual(studio.status, 401)
        self.assertIsInstance(studio.json["error"], str)

        for path, headers in [("/api/v1/nothing", {}), ("/api/v1/models/x/y", keyed("sp_live_wrong")), ("/api/v1/chat/completions/x", keyed("sp_live_wrong"))]:
            unified = self.nobody.send("GET", path, headers=headers)
            self.assertEqual(unified.status, 404, path)
            self.assertIsInstance(unified.json["error"], str)
            self.assertEqual(unified.json["details"], {"code": "NOT_FOUND", "details": {}}, path)

        for path, headers in [("/api/v1/nothing", keyed("sk_live_wrong")), ("/api/v1/chat/completions/nothing", {})]:
            platform = self.nobody.send("GET", path, headers=headers)
            self.assertEqual(platform.status, 404, path)
            self.assertEqual(set(platform.json["error"]) >= {"message", "type", "code"}, True, platform)

        for path in ("/v1/nothing", "/v1"):
            openai = self.nobody.send("GET", path, headers=keyed("pk_wrong"))
            self.assertEqual(openai.status, 404, path)
            self.assertEqual(set(openai.json["error"]), {"message", "type", "param", "code"}, openai)
            self.assertEqual(openai.json["error"]["type"], "invalid_request_error")


if __name__ == "__main__":
    unittest.main(verbosity=2)

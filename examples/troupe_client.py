"""A small client of Troupe's API, with the standard library only: log in, ask, follow events, download.

    studio = Studio(8080)
    studio.log_in("alice", "correct horse")
    run, _ = studio.ask("POST", "/api/workflows/short-film/runs", {"inputs": {...}})
    for event_id, name, data in studio.events(run["events_url"]):
        ...
"""
import http.client
import json
import shutil
import time


class Refused(RuntimeError):
    """The server said no: `status` and its JSON `body`."""

    def __init__(self, what, status, body):
        super().__init__(f"{what}: {status} {body}")
        self.status = status
        self.body = body


class Studio:
    """One user of the API: a base address and the headers that say who asks."""

    def __init__(self, port):
        self.port = port
        self.headers = {}

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = dict(self.headers)
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        response = connection.getresponse()
        data = response.read()
        cookie = response.getheader("Set-Cookie")
        connection.close()
        answer = json.loads(data) if data else {}
        if response.status >= 400:
            raise Refused(f"{method} {path}", response.status, answer)
        return answer, cookie

    def log_in(self, username, password, path="/api/login"):
        answer, cookie = self.ask("POST", path, {"username": username, "password": password})
        self.headers = {"Cookie": cookie.split(";")[0], "Origin": f"http://127.0.0.1:{self.port}"}
        return answer

    def use_key(self):
        key, _ = self.ask("POST", "/api/keys", {"name": "demo"})
        self.headers = {"Authorization": "Bearer " + key["key"]}

    def events(self, path):
        """Yields (id, event, data). A stream that breaks is resumed where it was."""
        last = None
        while True:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
                headers = dict(self.headers, **({"Last-Event-ID": last} if last else {}))
                connection.request("GET", path, headers=headers)
                response = connection.getresponse()
                name, data = None, []
                for raw in response:
                    line = raw.decode().rstrip("\r\n")
                    if line.startswith("id:"):
                        last = line[3:].strip()
                    elif line.startswith("event:"):
                        name = line[6:].strip()
                    elif line.startswith("data:"):
                        data.append(line[5:].strip())
                    elif not line and data:
                        yield last, name, json.loads("\n".join(data))
                        name, data = None, []
            except (OSError, http.client.HTTPException):
                pass
            time.sleep(0.5)

    def download(self, path, to):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path, headers=self.headers)
        response = connection.getresponse()
        if response.status != 200:
            raise Refused(f"GET {path}", response.status, response.read().decode(errors="replace"))
        with open(to, "wb") as out:
            shutil.copyfileobj(response, out)

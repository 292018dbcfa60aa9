#!/usr/bin/env python3
"""Starts `troupe serve`, signs a user up, has the admin put it on the Creator tier, runs the workflow `short-film`,
follows it by its event stream, and downloads the film. Standard library only: this is also how a client looks."""
import argparse
import os
import pathlib
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "examples"))
from troupe_client import Studio  # noqa: E402

SHOTS = [
    "A cinematic sunrise over misty mountains, slow pan",
    "A neon city at night in the rain, dolly forward",
    "A quiet sea under the stars with a full moon",
]
NARRATION = ("Every morning begins in the mountains. By night the city shines in the rain. "
             "And when all is quiet, the sea keeps the stars.")


def start(binary, data, log, password, extra):
    environment = dict(os.environ, TROUPE_ADMIN_PASSWORD=password)
    process = subprocess.Popen([str(binary), "serve", "--data", str(data), "--listen", "127.0.0.1:0", *extra],
                               stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    line = process.stdout.readline()
    found = re.search(r"listening on http://127\.0\.0\.1:(\d+)", line)
    if not found:
        process.wait()
        raise RuntimeError(f"troupe serve did not start; its log is {log.name}")
    return process, int(found.group(1))


def wait_until_served(studio):
    """The local node needs a moment to say what it can do."""
    for _ in range(300):
        models, _ = studio.ask("GET", "/api/models")
        if any(model["available"] for model in models["models"]):
            return
        time.sleep(0.1)
    raise RuntimeError("no engine came up within 30 s")


def bar(fraction, text):
    width = 30
    done = int(width * fraction)
    line = f"[{'#' * done}{'.' * (width - done)}] {100 * fraction:5.1f} %  {text}"
    if sys.stdout.isatty():
        print("\r" + line.ljust(100)[:100], end="", flush=True)
    else:
        print(line, flush=True)


def follow(studio, job):
    fraction = 0.0
    for _, name, data in studio.events(f"/api/jobs/{job}/events"):
        fraction = max(fraction, data.get("job_fraction", 0.0))
        if name == "stage":
            bar(fraction, f"{data['stage']}: {data['status']}")
        elif name == "progress":
            bar(fraction, f"{data['stage']}: {data['step']}")
        elif name == "done":
            bar(1.0 if data["status"] == "succeeded" else fraction, data["status"])
            print()
            return data
    return None


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--binary", default=ROOT / "build/release/troupe", help="the troupe binary")
    options.add_argument("--out", default=ROOT / "demo", help="where the film goes")
    options.add_argument("--duration", type=float, default=3.0, help="seconds a shot")
    options.add_argument("--width", type=int, default=424)
    options.add_argument("--height", type=int, default=240)
    options.add_argument("--voice", default="en_us_female")
    options = options.parse_args()
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    data = tempfile.mkdtemp(prefix="troupe-demo-")
    password = secrets.token_urlsafe(12)
    log = open(out / "troupe.log", "w")
    process, port = start(options.binary, data, log, password, [])
    try:
        print(f"studio: http://127.0.0.1:{port}  (log: {log.name})")
        admin, maker = Studio(port), Studio(port)
        maker.log_in("filmmaker", password, "/api/signup")
        maker.use_key()
        admin.log_in("admin", password)
        granted, _ = admin.ask("PUT", "/api/admin/accounts/filmmaker", {"tier": "creator", "reason": "demo"})
        print(f"signed up: filmmaker, tier {granted['tier']}, {granted['credit_balance']} credits")
        wait_until_served(maker)
        begin = time.time()
        run, _ = maker.ask("POST", "/api/workflows/short-film/runs", {"inputs": {
            "shots": [{"prompt": prompt, "duration_s": options.duration, "seed": 7 + i} for i, prompt in enumerate(SHOTS)],
            "narration": NARRATION, "voice": options.voice, "width": options.width, "height": options.height, "upscale": 2}})
        print(f"job {run['job_id']}: {len(run['stages'])} stages, {run['credits_held']} credits held")
        end = follow(maker, run["job_id"])
        job, _ = maker.ask("GET", "/api/jobs/" + run["job_id"])
        print(f"\n{'stage':<14}{'device':<14}{'engine':<16}{'seconds':>8}{'credits':>9}")
        for stage in job["stages"]:
            print(f"{stage['name']:<14}{stage['device'] or '-':<14}{stage['engine'] or '-':<16}"
                  f"{stage['run_ms'] / 1000:>8.1f}{stage['charge_credits']:>9.0f}")
        print(f"{'all':<14}{'':<14}{'':<16}{time.time() - begin:>8.1f}{job['credits_used']:>9.0f}")
        if end["status"] != "succeeded":
            raise RuntimeError(f"the job ended as {end['status']}: {end.get('error')}")
        for artifact in job["artifacts"]:
            to = out / artifact["filename"]
            maker.download(artifact["url"], to)
            print(f"{artifact['name']:<10} {to}  ({artifact['bytes']} bytes)")
        balance, _ = maker.ask("GET", "/api/credits")
        print(f"balance: {balance['credit_balance']} credits, {balance['credits_held']} held")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()
        shutil.rmtree(data, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except RuntimeError as error:
        sys.exit(f"demo: {error}")

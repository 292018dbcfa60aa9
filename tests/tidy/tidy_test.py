#!/usr/bin/env python3
"""Holds the source tree to its own rules: floors, pure cores, formatting, file sizes. Prints every breach."""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ["common", "storage", "workflows", "gpu", "actors", "http", "app", "bench", "tests", "examples"]
# What a folder's files may include, besides itself: the floors from the ground up.
FLOORS = {
    "common": [],
    "storage": ["common"],
    "workflows": ["common"],
    "gpu/wire": ["common"],
    "gpu/link": ["common", "storage", "gpu/wire"],
    "gpu/media": ["common"],
    "gpu/engines": ["common", "gpu/media"],
    "gpu/node": ["common", "storage", "gpu/wire", "gpu/link", "gpu/engines", "gpu/media"],
    "actors": ["common", "storage", "workflows", "gpu/wire", "gpu/link"],
    "http": ["common", "storage", "workflows", "gpu/wire", "gpu/link", "actors"],
}
# Pure: no actors, sockets, disks, clocks.
PURE = re.compile(r"(_core\.(cpp|hpp)$)|(^workflows/run)|(^workflows/expand)|(^common/catalog/)|(^actors/scheduler/(?!scheduler_(actor|messages)))")
IMPURE = re.compile(r'#include\s+[<"](caf/|boost/asio|rocksdb/|zmq|storage/|sys/|unistd|fstream|thread|chrono|random|filesystem)')
LINES_MAX = 800
OURS = sorted({top.split("/")[0] for top in FLOORS})


def sources():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for path in listed.stdout.split():
        if path.split("/")[0] in FOLDERS and path.endswith((".cpp", ".hpp")) and os.path.exists(os.path.join(ROOT, path)):
            yield path


def floor_of(path):
    best = ""
    for floor in FLOORS:
        if (path == floor or path.startswith(floor + "/")) and len(floor) > len(best):
            best = floor
    return best


def breaches_in(path, text):
    floor = floor_of(path)
    for number, line in enumerate(text.splitlines(), 1):
        included = re.match(r'#include\s+"([^"]+)"', line)
        if included and floor and included.group(1).split("/")[0] in OURS:
            target = floor_of(included.group(1))
            if target and target != floor and target not in FLOORS[floor]:
                yield f"{path}:{number}: {floor} must not include {included.group(1)}"
        if PURE.search(path) and not path.startswith("app/") and IMPURE.match(line):
            yield f"{path}:{number}: a core is pure, and must not say {line.strip()}"
    if text.count("\n") > LINES_MAX:
        yield f"{path}: {text.count(chr(10))} lines; a file of more than {LINES_MAX} is a redesign"
    name = os.path.basename(path)
    if re.match(r"(utils?|helpers?|manager|misc)\b", name):
        yield f"{path}: a name that says nothing"


def shared_tables():
    """Two tables with one number would be one table, and the compiler says nothing."""
    with open(os.path.join(ROOT, "storage/journal.hpp"), encoding="utf-8") as f:
        body = re.search(r"enum class table [^{]*\{(.*?)\};", f.read(), re.S).group(1)
    seen = {}
    for name, number in re.findall(r"^\s*(\w+) = (\d+),", body, re.M):
        if number in seen:
            yield f"storage/journal.hpp: the tables {seen[number]} and {name} have the same number, {number}"
        seen[number] = name
    if not seen:
        yield "storage/journal.hpp: no tables were found"


def main():
    found = list(shared_tables())
    paths = list(sources())
    for path in paths:
        with open(os.path.join(ROOT, path), encoding="utf-8") as f:
            found.extend(breaches_in(path, f.read()))
    for start in range(0, len(paths), 50):
        check = subprocess.run(["clang-format-14", "--dry-run", "-Werror", *paths[start:start + 50]], cwd=ROOT, capture_output=True, text=True)
        found.extend(line for line in check.stderr.splitlines() if "error:" in line)
    for line in found:
        print(line)
    print(f"{len(paths)} files, {len(found)} breaches")
    sys.exit(1 if found or not paths else 0)


if __name__ == "__main__":
    main()

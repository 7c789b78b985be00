#!/usr/bin/env python3
"""How fast documents come in and are found, and how that grows with the collection. Everything over HTTP, one worker.

    python3 bench/knowledge.py [--sizes 1000,10000,100000]

Documents are made up: words by Zipf's law, about 250 tokens each, one passage a document, a hundred tags of 1 % each.
Questions have eight words, none of the hundred most frequent: a language's are its function words. The processor time
is the service's own, which a busy machine changes little.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from bisect import bisect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any

VOCABULARY = 50_000
WORDS = 150
QUERIES = 100
BATCH = 100
CONFIG = """
[access]
api_keys = "key-of-bench:bench:open"
[tiers.open]
"""


class Texts:
    """Words whose frequencies fall as those of a language do."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        letters = "bcdfghklmnprstvwz"
        self._words = [
            "".join(self._random.choice(letters) + self._random.choice("aeiou") for _ in range(2 + n % 3))
            for n in range(VOCABULARY)
        ]
        self._weights = list(accumulate(1 / (rank + 10) for rank in range(VOCABULARY)))

    def words(self, count: int, least: int = 0) -> str:
        """So many words, without the `least` most frequent ones."""
        low, high = self._weights[least - 1] if least else 0.0, self._weights[-1]
        return " ".join(self._words[bisect(self._weights, self._random.uniform(low, high))] for _ in range(count))


def ask(port: int, path: str, body: Any) -> tuple[float, Any]:
    """Seconds and JSON of one POST."""
    headers = {"authorization": "Bearer key-of-bench", "content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), headers)
    begun = time.perf_counter()
    with urllib.request.urlopen(request, timeout=120) as answer:
        raw = answer.read()
    return time.perf_counter() - begun, json.loads(raw)


def serving(folder: Path, port: int) -> subprocess.Popen[bytes]:
    """A service of one worker."""
    (folder / "headgate.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "headgate", "serve", "--port", str(port)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent / "src")}
    service = subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).read()
        except OSError:
            time.sleep(0.1)
        else:
            return service
    raise SystemExit("the service does not start")


def batches(texts: Texts, first: int, last: int) -> Iterator[dict[str, Any]]:
    """Documents in batches."""
    for at in range(first, last, BATCH):
        numbers = range(at, min(at + BATCH, last))
        documents = [
            {"id": f"d{n}", "title": texts.words(4), "text": texts.words(WORDS), "metadata": {"tag": n % 100}}
            for n in numbers
        ]
        yield {"collection": "bench", "documents": documents}


def ingested(port: int, made: list[dict[str, Any]]) -> float:
    """Seconds for all batches, four at once."""
    begun = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda body: ask(port, "/documents", body), made))
    return time.perf_counter() - begun


def processor(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def searched(port: int, pid: int, texts: Texts, **how: Any) -> str:
    """One search after the other: median, 95th percentile, and processor time of one, in ms."""
    taken, before = [], processor(pid)
    for _ in range(QUERIES):
        seconds, _ = ask(port, "/search", {"query": texts.words(8, 100), "collections": ["bench"], **how})
        taken.append(seconds * 1000)
    taken.sort()
    used = (processor(pid) - before) / QUERIES * 1000
    return f"{statistics.median(taken):.1f}, {taken[int(len(taken) * 0.95)]:.1f}, {used:.1f}"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--port", type=int, default=8790)
    arguments = parser.parse_args()
    texts = Texts(1)
    print("Searches: p50, p95, processor time, all in ms.\n")
    print("| passages | documents/s | unchanged documents/s | searches | searches with a 1 % filter |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        service = serving(Path(folder), arguments.port)
        try:
            first = 0
            for size in map(int, arguments.sizes.split(",")):
                made = list(batches(texts, first, size))
                new = (size - first) / ingested(arguments.port, made)
                some = made[-20:]
                again = sum(len(body["documents"]) for body in some) / ingested(arguments.port, some)
                plain = searched(arguments.port, service.pid, texts)
                part = searched(arguments.port, service.pid, texts, filters={"tag": 7})
                first = size
                print(f"| {size:,} | {new:,.0f} | {again:,.0f} | {plain} | {part} |", flush=True)
        finally:
            service.terminate()
            service.wait()


if __name__ == "__main__":
    main()

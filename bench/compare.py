"""Compare states of Headgate's own code, closely enough to see a few percent.

    python bench/compare.py before=../before/src after=src
    python bench/compare.py --stream before=../before/src after=src compiled=build/compiled

Each NAME=PATH is a folder that holds the package. All of them run at once on one core, and are driven in short bursts,
one at a time and in random order; what a burst of single answers left to be done counts too. That is repeated with new
processes, since two starts of the very same code differ by a few percent: name a folder twice to see by how much.
Prints the CPU time of each over that of the first, and over nginx's. Needs what run.py needs.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import harness
from harness import BenchError, Process, Window
from targets import Headgate, Nginx, Target


class State(Headgate):
    """The package as it is in one folder."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__()
        self.name = name
        self.environment = {**self.environment, "PYTHONPATH": str(folder)}
        if not name or not (folder / "headgate" / "__init__.py").exists():
            raise BenchError(f"{name}={folder}: a state is NAME=PATH, and the path holds the package headgate")


def burst(target: Target, process: Process, port: int, seconds: float, *, stream: bool) -> float:
    """CPU seconds a request, or an event of a stream."""
    drive: dict[str, Any] = {"headers": target.headers, "process": process}
    if stream:
        window = Window(seconds=seconds, warm_up=2.0)
        report = harness.load(port, window, connections=target.load.streams, stream=True, **drive)
        return float(report["cpu_ns"] / 1e9 / report["events"])
    before = process.cpu()
    report = harness.load(port, Window(seconds, warm_up=0.0), connections=target.load.connections, **drive)
    time.sleep(harness.REST)
    return float((process.cpu() - before) / report["ok"])


def one_start(targets: list[Target], bursts: int, seconds: float, *, stream: bool) -> dict[str, list[float]]:
    """Start all, drive them in turns, stop them; what each burst cost."""
    costs: dict[str, list[float]] = {target.name: [] for target in targets}
    cores = harness.choose_cores()
    os.sched_setaffinity(0, {cores.load})
    with ExitStack() as stack:
        upstream = stack.enter_context(harness.upstream(cores.load))
        running = {t.name: stack.enter_context(harness.running(t, upstream, cores.target))[:2] for t in targets}
        for number in range(bursts + 1):
            for target in random.sample(targets, len(targets)):
                cost = burst(target, *running[target.name], seconds, stream=stream)
                if number:  # the first one warms up
                    costs[target.name].append(cost)
    return costs


def over(costs: list[dict[str, list[float]]], name: str, other: str) -> list[float]:
    """For each start the median of what `name` cost over what `other` did in the same turn."""
    return [statistics.median(mine / its for mine, its in zip(one[name], one[other], strict=True)) for one in costs]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("states", nargs="+", metavar="NAME=PATH", help="what to compare, the first with each other one")
    parser.add_argument("--starts", type=int, default=4, help="how often all are started anew (default: %(default)s)")
    parser.add_argument("--bursts", type=int, default=4, help="of each, a start (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=1.5, help="length of a burst (default: %(default)s)")
    parser.add_argument("--stream", action="store_true", help="drive streams instead of single answers")
    chosen = parser.parse_args()
    costs = []
    try:
        named = [state.partition("=") for state in chosen.states]
        states = [State(name, Path(folder).resolve()) for name, _, folder in named]
        if len({"nginx", *(state.name for state in states)}) <= len(states):
            raise BenchError("each state needs a name of its own")
        if missing := Nginx().missing:
            raise BenchError(missing)
        for number in range(chosen.starts):
            print(f"start {number + 1} of {chosen.starts}", file=sys.stderr, flush=True)
            costs.append(one_start([Nginx(), *states], chosen.bursts, chosen.seconds, stream=chosen.stream))
    except BenchError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 1
    for state in states:
        ratios = over(costs, state.name, states[0].name)
        spread = f" ({min(ratios):.3f} to {max(ratios):.3f})" if state is not states[0] else ""
        nginx = statistics.median(over(costs, state.name, "nginx"))
        print(f"{state.name:12} {statistics.mean(ratios):.3f} x {states[0].name}{spread}, {nginx:.2f} x nginx")
    return 0


if __name__ == "__main__":
    sys.exit(main())

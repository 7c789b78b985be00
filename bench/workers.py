"""One process to four: what `serve --workers N` gains, with limits in Redis.

    python bench/workers.py             five rounds, about three minutes
    python bench/workers.py --quick     two short ones

With six cores or more the load generator and the upstream have two of them for themselves. With fewer, all share all:
then the answers a second stop growing where the cores are used up, and the CPU a request is what to look at. It says
what the processes cost each other.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from functools import partial

import harness
import report
from harness import BenchError, Cores, Window
from published import publish
from report import Metric, Round
from rounds import say
from targets import Fleet

from stores import stores

ONE = "1 process"
NUMBERS = (1, 2, 3, 4)
ENOUGH = 6
METRICS = (
    Metric("answers", "answers a second", "/s"),
    Metric("cpu_request", "CPU per request", "µs"),
    Metric("memory_load", "memory, under load", "MB"),
)


def shares() -> tuple[Sequence[int], Sequence[int]]:
    """The cores of the target and those of the load."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[:-2], cores[-2:]) if len(cores) >= ENOUGH else (cores, cores)


def measure(fleet: Fleet, upstream: int, cores: Sequence[int], window: Window) -> dict[str, float]:
    """A fleet at full load."""
    with harness.running(fleet, upstream, *cores) as (process, port, _):
        deadline = time.monotonic() + fleet.patience
        while fleet.workers > 1 and len(process.pids()) <= fleet.workers:
            if time.monotonic() > deadline:
                raise BenchError(f"{fleet.name}: the workers do not start:\n{process.log()}")
            time.sleep(0.1)
        time.sleep(1.0)  # all of them serve
        full = harness.load(port, window, connections=fleet.load.connections, headers=fleet.headers, process=process)
    return {
        "answers": full["ok"] / full["elapsed"],
        "cpu_request": full["cpu_ns"] / full["ok"] / 1e3,
        "memory_load": full["memory"] / 1e6,
    }


def rounds_of(window: Window, count: int) -> list[Round]:
    """Each round measures every number of processes, each time another one first."""
    target, load = shares()
    os.sched_setaffinity(0, load)
    done: list[Round] = []
    with stores(Cores(target=target[0], load=load[-1])) as (redis, _), harness.upstream(*load) as upstream:
        fleets = [Fleet(ONE if n == 1 else f"{n} processes", shared=redis, workers=n) for n in NUMBERS]
        for turn in range(count):
            figures: dict[str, dict[str, float]] = {}
            for fleet in (*fleets[turn % len(fleets) :], *fleets[: turn % len(fleets)]):
                say(f"round {turn + 1} of {count}: {fleet.name}")
                figures[fleet.name] = measure(fleet, upstream, target, window)
            done.append(figures)
    return done


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="every number once a round (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two rounds of 1.5 seconds")
    parser.add_argument("--raw", action="store_true", help="print this machine's own figures beside the ratios")
    parser.add_argument("--publish", action="store_true", help="write the table into bench/RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 1.5
    target, load = shares()
    try:
        rounds = rounds_of(Window(seconds=options.seconds), options.rounds)
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    names = sorted(rounds[0])
    table = partial(report.table, rounds, names, yardstick=ONE, metrics=METRICS)
    told = f"Median of {len(rounds)} interleaved rounds; in brackets the smallest and the largest ratio of a round."
    if target == load:
        note = f"{told} The processes, the load generator and the upstream shared {len(target)} cores."
    else:
        note = f"{told} The processes had {len(target)} cores, the load {len(load)} others."
    print(table(show_raw=options.raw, markdown=False))
    print(f"\n{note}")
    if options.publish:
        publish("workers", table(show_raw=False, markdown=True), note)
    return 0


if __name__ == "__main__":
    sys.exit(main())

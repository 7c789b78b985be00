"""What is measured of each target, and in which order."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple

import harness
from harness import Cores, Process, Window
from report import Round
from targets import Target

MEGABYTE = 1_000_000
WARM_UP = 0.5  # seconds at the beginning of a burst that do not count
SPREAD = 2.0  # the same for streams, which start spread over them: long enough that each has met its successor's start

Figures = dict[str, float]


def say(text: str) -> None:
    """Progress goes to standard error, so that standard output is the table alone."""
    print(text, file=sys.stderr, flush=True)


class Up(NamedTuple):
    """A target that is up, and the upstream behind it."""

    target: Target
    process: Process
    port: int
    upstream: int

    def load(self, seconds: float, warm_up: float = WARM_UP, **how: Any) -> dict[str, Any]:
        """The load generator's report of one burst."""
        window = Window(seconds, warm_up)
        return harness.load(self.port, window, headers=self.target.headers, process=self.process, **how)

    def full(self, seconds: float) -> Figures:
        """As many requests as it can answer. What they leave to be done is not left to the next target's burst."""
        full = self.load(seconds, connections=self.target.load.connections)
        time.sleep(harness.REST)
        return {
            "cpu_request": full["cpu_ns"] / full["ok"] / 1e3,
            "busy": full["cpu_ns"] / 1e9 / full["elapsed"],  # below about 0.9 the load, not the target, was the limit
        }

    def steady(self, seconds: float) -> Figures:
        """Requests at a steady pace, and right before that the same without it."""
        pace = {"connections": self.target.load.connections, "rate": self.target.load.rate}
        bare = harness.load(self.upstream, Window(seconds, WARM_UP), **pace)
        paced = self.load(seconds, **pace)
        return {
            "cpu_paced": paced["cpu_ns"] / paced["ok"] / 1e3,
            "added_latency": paced["latency_us"]["p50"] - bare["latency_us"]["p50"],
        }

    def streams(self, seconds: float) -> Figures:
        """Steady streams, and right before that the same without it."""
        connections = self.target.load.streams
        bare = harness.load(self.upstream, Window(seconds, SPREAD), connections=connections, stream=True)
        streams = self.load(seconds, SPREAD, connections=connections, stream=True)
        return {
            "cpu_chunks": 100 * streams["cpu_ns"] / streams["events"] / 1e3,
            "added_first": streams["first_us"]["p50"] - bare["first_us"]["p50"],
            "added_transit": streams["transit_us"]["p50"] - bare["transit_us"]["p50"],
        }


def alone(target: Target, upstream: int, cores: Cores) -> Figures:
    """One target by itself: its start, and its memory, of which programs that run at once may share some."""
    with harness.running(target, upstream, cores.target) as (process, port, startup):
        time.sleep(0.5)  # what a start leaves to be done is done
        idle = process.memory()
        up = Up(target, process, port, upstream)
        full = up.load(1.5, connections=target.load.connections)
        streams = up.load(1.0, SPREAD, connections=target.load.streams, stream=True)
    return {
        "memory_idle": idle / MEGABYTE,
        "memory_load": max(full["memory"], streams["memory"]) / MEGABYTE,
        "startup": startup * 1e3,
    }


def in_turns(targets: Sequence[Target], upstream: int, cores: Cores, seconds: float) -> dict[str, Figures]:
    """The medians of bursts, all targets up at once: each is driven for a moment, then the next."""
    bursts: dict[str, dict[str, list[float]]] = {target.name: {} for target in targets}
    with ExitStack() as stack:
        ups = []
        for target in targets:
            process, port, _ = stack.enter_context(harness.running(target, upstream, cores.target))
            ups.append(Up(target, process, port, upstream))
            ups[-1].full(1.0)
        taken = stack.enter_context(harness.intruders([up.process for up in ups], cores.target))
        for turn in range(max(target.load.turns for target in targets)):
            order = [up for up in (*ups[turn % len(ups) :], *ups[: turn % len(ups)]) if turn < up.target.load.turns]
            for drive in (Up.full, Up.steady, Up.streams):
                for up in order:
                    for key, figure in drive(up, seconds / up.target.load.turns).items():
                        bursts[up.target.name].setdefault(key, []).append(figure)
    medians = {name: {key: median(figures) for key, figures in found.items()} for name, found in bursts.items()}
    return {name: {**figures, "intruders": taken[0]} for name, figures in medians.items()}


def rounds_of(chosen: Sequence[Target], cores: Cores, seconds: float, count: int) -> list[Round]:
    """Each round measures every target: by itself first, then in turns with the others, each time another one first."""
    done: list[Round] = []
    with harness.upstream(cores.load) as port:
        for n in range(count):
            shift = n % len(chosen)
            order = [*chosen[shift:], *chosen[:shift]]
            figures: dict[str, Figures] = {}
            for target in order:
                say(f"round {n + 1} of {count}: {target.name}")
                figures[target.name] = alone(target, port, cores)
            say(f"round {n + 1} of {count}: {', '.join(figures)} in turns")
            driven = in_turns(order, port, cores, seconds)
            done.append({name: {**found, **driven[name]} for name, found in figures.items()})
    return done

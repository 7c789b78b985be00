"""What is measured of each target, and in which order."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import harness
from harness import Cores, Process, Window
from report import Round
from targets import Target

MEGABYTE = 1_000_000
TURNS = 4  # of each load, a round
WARM_UP = 0.3  # seconds at the beginning of a burst that do not count
SPREAD = 2.0  # the same for streams, which start spread over them


def say(text: str) -> None:
    """Progress goes to standard error, so that standard output is the table alone."""
    print(text, file=sys.stderr, flush=True)


@dataclass
class Driven:
    """A target that is up, and what its bursts cost so far."""

    target: Target
    process: Process
    port: int
    request: list[float] = field(default_factory=list)
    paced: list[float] = field(default_factory=list)
    chunks: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    transit: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def load(self, window: Window, **how: Any) -> dict[str, Any]:
        """The load generator's report of one burst."""
        return harness.load(self.port, window, headers=self.target.headers, process=self.process, **how)

    def full(self, seconds: float) -> None:
        """As many requests as it can answer. What they leave to be done is not left to the next target's burst."""
        full = self.load(Window(seconds, WARM_UP), connections=self.target.load.connections)
        self.request.append(full["cpu_ns"] / full["ok"] / 1e3)
        self.busy.append(full["cpu_ns"] / 1e9 / full["elapsed"])
        time.sleep(harness.REST)

    def steady(self, seconds: float, bare: dict[str, Any]) -> None:
        """Requests at a steady pace, against the same without the target."""
        paced = self.load(
            Window(seconds, WARM_UP), connections=self.target.load.connections, rate=self.target.load.rate
        )
        self.paced.append(paced["cpu_ns"] / paced["ok"] / 1e3)
        self.latency.append(paced["latency_us"]["p50"] - bare["latency_us"]["p50"])

    def streams(self, seconds: float, bare: dict[str, Any]) -> None:
        """Steady streams, against the same without the target."""
        streams = self.load(Window(seconds, SPREAD), connections=self.target.load.streams, stream=True)
        self.chunks.append(100 * streams["cpu_ns"] / streams["events"] / 1e3)
        self.first.append(streams["first_us"]["p50"] - bare["first_us"]["p50"])
        self.transit.append(streams["transit_us"]["p50"] - bare["transit_us"]["p50"])

    def figures(self) -> dict[str, float]:
        """The medians of the bursts."""
        return {
            "cpu_request": median(self.request),
            "cpu_paced": median(self.paced),
            "cpu_chunks": median(self.chunks),
            "added_latency": median(self.latency),
            "added_first": median(self.first),
            "added_transit": median(self.transit),
            "busy": median(self.busy),  # below about 0.9 the load, not the target, was the limit
        }


def alone(target: Target, upstream: int, cores: Cores) -> dict[str, float]:
    """One target by itself: its start, and its memory, of which programs that run at once may share some."""
    with harness.running(target, upstream, cores.target) as (process, port, startup):
        time.sleep(0.5)  # what a start leaves to be done is done
        idle = process.memory()
        driven = Driven(target, process, port)
        full = driven.load(Window(1.5, WARM_UP), connections=target.load.connections)
        streams = driven.load(Window(1.0, SPREAD), connections=target.load.streams, stream=True)
    return {
        "memory_idle": idle / MEGABYTE,
        "memory_load": max(full["memory"], streams["memory"]) / MEGABYTE,
        "startup": startup * 1e3,
    }


def in_turns(targets: Sequence[Target], upstream: int, cores: Cores, seconds: float) -> dict[str, dict[str, float]]:
    """All targets up at once, each driven for a moment, then the next: a slow minute of the machine hits all alike."""
    with ExitStack() as stack:
        up = [
            Driven(target, *stack.enter_context(harness.running(target, upstream, cores.target))[:2])
            for target in targets
        ]
        for driven in up:
            driven.load(Window(1.0, WARM_UP), connections=driven.target.load.connections)
        time.sleep(harness.REST)
        taken = stack.enter_context(harness.intruders([driven.process for driven in up], cores.target))
        for turn in range(TURNS):
            order = [*up[turn % len(up) :], *up[: turn % len(up)]]
            for driven in order:
                driven.full(seconds / TURNS)
            for load in dict.fromkeys(driven.target.load for driven in up):
                window = Window(seconds / TURNS, WARM_UP)
                bare = harness.load(upstream, window, connections=load.connections, rate=load.rate)
                for driven in order:
                    if driven.target.load == load:
                        driven.steady(seconds / TURNS, bare)
                # The streams start spread over the warm-up: long enough that each has met its successor's start.
                bare = harness.load(upstream, Window(seconds / TURNS, SPREAD), connections=load.streams, stream=True)
                for driven in order:
                    if driven.target.load == load:
                        driven.streams(seconds / TURNS, bare)
        found = {driven.target.name: driven.figures() for driven in up}
    return {name: {**figures, "intruders": taken[0]} for name, figures in found.items()}


def rounds_of(chosen: Sequence[Target], cores: Cores, seconds: float, count: int) -> list[Round]:
    """Each round measures every target: by itself first, then in turns with the others, each time another one first."""
    done: list[Round] = []
    with harness.upstream(cores.load) as port:
        for n in range(count):
            shift = n % len(chosen)
            order = [*chosen[shift:], *chosen[:shift]]
            by_itself: dict[str, dict[str, float]] = {}
            for target in order:
                say(f"round {n + 1} of {count}: {target.name}")
                by_itself[target.name] = alone(target, port, cores)
            say(f"round {n + 1} of {count}: {', '.join(target.name for target in order)} in turns")
            driven = in_turns(order, port, cores, seconds)
            done.append({name: {**by_itself[name], **driven[name]} for name in by_itself})
    return done

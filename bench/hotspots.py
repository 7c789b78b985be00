"""Where Headgate's time goes under load: the top functions, in microseconds a request.

    python bench/hotspots.py              samples the stack on the process's CPU clock; next to no distortion
    python bench/hotspots.py --calls      counts every call (cProfile): exact counts, small functions look too dear
    python bench/hotspots.py --stream     a stream's work instead, in microseconds per 100 chunks

Sampling sees Python frames only: time in C (parsing, sockets, the event loop) counts for the Python function that
called it, or, for what the event loop did before it called anything, for the first function it called after.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import runpy
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import harness
from harness import BenchError, Window
from targets import KEY, OUT, Headgate

TICK = 0.001  # seconds of CPU between samples; the kernel may make it up to 10 ms
Function = tuple[str, int, str]


class Cost(NamedTuple):
    """A function's part: seconds in itself, seconds with what it called, and how often it was called or seen."""

    own: float
    total: float
    count: int


class Sampler:
    """Notes the stack of the main thread at every tick of its CPU time."""

    def __init__(self) -> None:
        self.own: Counter[Function] = Counter()
        self.total: Counter[Function] = Counter()
        self.began = 0.0

    def start(self) -> None:
        """Begin to sample."""
        self.began = time.process_time()
        signal.signal(signal.SIGPROF, self.tick)
        signal.setitimer(signal.ITIMER_PROF, TICK, TICK)

    def tick(self, _: int, frame: FrameType | None) -> None:
        """Note one stack; a recursive function counts once in it."""
        stack: list[Function] = []
        while frame:
            code = frame.f_code
            stack.append((code.co_filename, code.co_firstlineno, code.co_qualname))
            frame = frame.f_back
        self.own[stack[0]] += 1
        self.total.update(set(stack))

    def stop(self) -> dict[Function, Cost]:
        """End, and share the CPU seconds that passed out among the functions seen."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        each = (time.process_time() - self.began) / max(1, self.own.total())
        return {seen: Cost(self.own[seen] * each, n * each, n) for seen, n in self.total.items()}


class Counted:
    """cProfile: every call of every function, in C too."""

    def __init__(self) -> None:
        self.profile = cProfile.Profile()

    def start(self) -> None:
        """Begin to count."""
        self.profile.enable()

    def stop(self) -> dict[Function, Cost]:
        """End, and say what was counted."""
        self.profile.disable()
        stats: dict[Function, Any] = vars(pstats.Stats(self.profile))["stats"]
        return {function: Cost(row[2], row[3], row[1]) for function, row in stats.items()}


def inside(how: str, file: str, module: str, *arguments: str) -> None:
    """Run a module as `python -m` would, profiled from SIGUSR1 to SIGUSR2; the costs are then in `file`."""
    profiler = Counted() if how == "calls" else Sampler()

    def write(*_: object) -> None:
        rows = (f"{c.own}\t{c.total}\t{c.count}\t{f[0]}\t{f[1]}\t{f[2]}\n" for f, c in profiler.stop().items())
        Path(f"{file}.part").write_text("".join(rows), encoding="utf-8")
        Path(f"{file}.part").rename(file)

    signal.signal(signal.SIGUSR1, lambda *_: profiler.start())
    signal.signal(signal.SIGUSR2, write)
    sys.argv = [module, *arguments]
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` has it: a string
    runpy.run_module(module, run_name="__main__", alter_sys=True)


class Profiled(Headgate):
    """Headgate, started through `inside`."""

    how = "sample"
    file = OUT / "hotspots.tsv"

    def command(self, place: harness.Place) -> list[str]:
        """See the base class."""
        command = list(super().command(place))
        at = command.index("-m")
        return [*command[:at], __file__, "--inside", self.how, str(self.file), *command[at + 1 :]]


def await_file(file: Path) -> dict[Function, Cost]:
    """The costs that the target wrote, once it has."""
    for _ in range(500):
        if file.exists():
            break
        time.sleep(0.02)
    else:
        raise BenchError(
            "the target wrote no profile: does it run in one process, and leave SIGUSR1 and SIGUSR2 alone?"
        )
    costs: dict[Function, Cost] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        own, total, count, name, number, function = line.split("\t")
        costs[name, int(number), function] = Cost(float(own), float(total), int(count))
    return costs


def profile(target: Profiled, window: Window, *, stream: bool) -> tuple[dict[Function, Cost], float]:
    """Drive the target; the costs of its functions, and how many units of work they are the costs of."""
    cores = harness.choose_cores()
    os.sched_setaffinity(0, {cores.load})
    target.file.unlink(missing_ok=True)
    connections = target.load.streams if stream else target.load.connections
    drive: dict[str, Any] = {"connections": connections, "stream": stream, "headers": target.headers}
    with harness.upstream(cores.load) as upstream, harness.running(target, upstream, cores.target) as started:
        process, port, _ = started
        harness.load(port, Window(seconds=1.0, warm_up=2.0), process=process, **drive)
        process.popen.send_signal(signal.SIGUSR1)
        report = harness.load(port, window, process=process, **drive)
        process.popen.send_signal(signal.SIGUSR2)
        costs = await_file(target.file)
    return costs, report["events"] / 100 if stream else report["ok"]


def show(costs: dict[Function, Cost], units: float, top: int, unit: str, counted: str) -> None:
    """Print the dearest functions."""
    print(f"µs per {unit}\n{'own':>8} {'total':>8} {counted:>9}  function")
    for (file, line, name), cost in sorted(costs.items(), key=lambda item: -item[1].own)[:top]:
        number = f"{cost.count / units:.2f}" if counted == "calls" else str(cost.count)
        place = "/".join(Path(file).parts[-2:])
        print(f"{cost.own / units * 1e6:8.2f} {cost.total / units * 1e6:8.2f} {number:>9}  {name}  {place}:{line}")
    print(f"{sum(cost.own for cost in costs.values()) / units * 1e6:8.2f}  in all")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", action="store_true", help="count every call instead of sampling")
    parser.add_argument("--stream", action="store_true", help="profile streams instead of single answers")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (default: %(default)s)")
    parser.add_argument("--top", type=int, default=30, help="how many functions (default: %(default)s)")
    parser.add_argument("--command", default="", help="as in run.py; must hold `-m MODULE`")
    parser.add_argument("--key", default=KEY, help="the API key to call it with")
    options = parser.parse_args()
    target = Profiled(options.command, options.key)
    target.how = "calls" if options.calls else "sample"
    try:
        # No warm-up: what is profiled and what is counted are the same seconds.
        costs, units = profile(target, Window(seconds=options.seconds, warm_up=0.0), stream=options.stream)
    except BenchError as error:
        print(f"hotspots: {error}", file=sys.stderr)
        return 1
    show(
        costs,
        units,
        options.top,
        "100 chunks" if options.stream else "request",
        "calls" if options.calls else "samples",
    )
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside(*sys.argv[2:])
    else:
        sys.exit(main())

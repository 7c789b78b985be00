"""What a request costs in instructions, counted by valgrind: a busy machine hardly changes it.

    python bench/instructions.py              instructions a request, of Headgate's own process, outside the kernel
    python bench/instructions.py --stream     the same per 100 streamed chunks

Time also depends on the kernel and the caches; this says only how much there is to do. It is for comparing two states
of the code where clocks are too coarse. Needs valgrind beside what run.py needs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys

import harness
from harness import BenchError, Window
from targets import KEY, Headgate

_TOTAL = re.compile(r"^totals: (\d+)", re.MULTILINE)


class Counted(Headgate):
    """Headgate under valgrind, which counts nothing until it is told to."""

    def command(self, place: harness.Place) -> list[str]:
        """See the base class."""
        self.home = place.home
        counts = f"--callgrind-out-file={self.home / 'counts'}"
        return ["valgrind", "--tool=callgrind", "--instr-atstart=no", counts, *super().command(place)]


def count(target: Counted, seconds: float, *, stream: bool) -> tuple[int, float]:
    """Drive the target; its instructions, and of how many requests (or hundreds of chunks) they are."""
    cores = harness.choose_cores()
    os.sched_setaffinity(0, {cores.load})
    with harness.upstream(cores.load) as upstream, harness.running(target, upstream, cores.target) as started:
        process, port, _ = started
        drive = {"connections": 16, "stream": stream, "headers": target.headers, "process": process}
        harness.load(port, Window(seconds=2.0, warm_up=1.0), **drive)
        _tell(process.popen.pid, "--instr", "on")
        report = harness.load(port, Window(seconds=seconds, warm_up=0.0), **drive)
        _tell(process.popen.pid, "--instr", "off")
        _tell(process.popen.pid, "--dump")
    files = target.home.glob("counts*")
    counted = sum(int(found[1]) for file in files if (found := _TOTAL.search(file.read_text(encoding="utf-8"))))
    return counted, report["events"] / 100 if stream else report["ok"]


def _tell(pid: int, *what: str) -> None:
    subprocess.run(["callgrind_control", *what, str(pid)], check=True, capture_output=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stream", action="store_true", help="count streams instead of single answers")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long (default: %(default)s)")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        print("instructions: valgrind is not installed (Debian, Ubuntu: apt-get install valgrind)", file=sys.stderr)
        return 1
    target = Counted("", KEY)
    target.patience = 120.0  # seconds: under valgrind a start takes long
    try:
        counted, units = count(target, options.seconds, stream=options.stream)
    except BenchError as error:
        print(f"instructions: {error}", file=sys.stderr)
        return 1
    if not units:
        print("instructions: nothing was answered in that time: take more --seconds", file=sys.stderr)
        return 1
    print(f"{counted / units:,.0f} instructions per {'100 chunks' if options.stream else 'request'}, of {units:,.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Measure Headgate against nginx, and against LiteLLM where it is found, on this machine.

    python bench/run.py              about a quarter of an hour; prints ratios to nginx, writes bench/out/result.json
    python bench/run.py --quick      two short rounds: enough to see a regression, not to publish
    python bench/run.py --markdown   the table as Markdown
    python bench/run.py --publish    and into bench/RESULTS.md

Needs Linux, Python 3.11, a C compiler and nginx; LiteLLM comes with bench/peers.sh. bench/README.md tells the method.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import sys
import time
from collections.abc import Sequence

import harness
import report
from harness import BenchError
from published import publish
from rounds import rounds_of, say
from targets import KEY, OUT, Target, targets


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="of all targets (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=4.0, help="length of each measurement, in turns (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="two rounds of 1.5 seconds")
    parser.add_argument("--only", metavar="NAMES", default="", help="targets to measure, e.g. nginx,headgate")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--publish", action="store_true", help="write the table into bench/RESULTS.md")
    parser.add_argument("--raw", action="store_true", help="print this machine's own figures beside the ratios")
    parser.add_argument(
        "--command",
        default="",
        metavar="TEXT",
        help="measure this command in Headgate's place; {port}, {upstream} and {config} are filled in",
    )
    parser.add_argument("--key", default=KEY, help="the API key to call it with")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds = 2, 1.5
    return chosen


def choose(everything: Sequence[Target], only: str) -> list[Target]:
    """The targets that are wanted and can run; says which are left out and why."""
    names = [name for name in only.split(",") if name]
    unknown = set(names) - {target.name for target in everything}
    if unknown:
        raise BenchError(f"no such target: {', '.join(sorted(unknown))}")
    wanted = [target for target in everything if not names or target.name in names]
    for target in wanted:
        if target.missing:
            say(f"left out: {target.name}: {target.missing}")
    found = [target for target in wanted if not target.missing]
    if not found:
        raise BenchError("nothing to measure")
    if report.YARDSTICK not in {target.name for target in found}:
        say(f"no {report.YARDSTICK}, so no ratios: the table shows this machine's own figures")
    return found


def main() -> int:
    """Measure, print, write."""
    options = arguments()
    try:
        cores = harness.choose_cores()
        chosen = choose(targets(options.command, options.key), options.only)
        os.sched_setaffinity(0, {cores.load})
        if cores.shared:
            say("one core only: CPU and memory hold, delays do not")
        rounds = rounds_of(chosen, cores, options.seconds, options.rounds)
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    names = [target.name for target in chosen]
    about = {
        "rounds": options.rounds,
        "seconds": options.seconds,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "targets": {target.name: {"note": target.note, "load": dataclasses.asdict(target.load)} for target in chosen},
    }
    text = json.dumps(report.result(rounds, names, about), indent=2)
    (OUT / "result.json").write_text(text + "\n", encoding="utf-8")
    print(report.table(rounds, names, show_raw=options.raw or report.YARDSTICK not in names, markdown=options.markdown))
    print(f"\n{report.footnote(rounds)}")
    if options.publish:
        publish("gateways", report.table(rounds, names, show_raw=False, markdown=True), report.footnote(rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())

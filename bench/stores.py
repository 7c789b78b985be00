"""What shared stores cost: Headgate with limits in Redis or the ledger in PostgreSQL, against both embedded.

    python bench/stores.py              five rounds, about a quarter of an hour
    python bench/stores.py --quick      two short ones

The servers are those of the tests' wheels (Valkey, PostgreSQL without waiting for the disk) on the load's core; their
own work is not counted. BENCH_REDIS and BENCH_POSTGRES name others.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import harness
import report
from harness import BenchError, Cores
from published import publish
from rounds import rounds_of, say
from targets import ROOT, Fleet

sys.path.insert(0, str(ROOT / "tests"))

import servers

EMBEDDED = "embedded"


@contextmanager
def stores(cores: Cores) -> Iterator[tuple[str, str]]:
    """The addresses of a Redis and a PostgreSQL server."""
    redis, postgres = os.environ.get("BENCH_REDIS", ""), os.environ.get("BENCH_POSTGRES", "")
    with ExitStack() as stack, harness.pinned(cores.load):
        if not redis:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="headgate-bench-"))
            redis = stack.enter_context(servers.valkey(Path(folder))).url
        if not postgres:
            postgres = stack.enter_context(servers.postgres()).url
        yield redis, postgres


def fleets(redis: str, postgres: str) -> Sequence[Fleet]:
    """What is compared."""
    return (
        Fleet(EMBEDDED),
        Fleet("Redis limits", shared=redis),
        Fleet("PostgreSQL ledger", store=postgres),
        Fleet("both", shared=redis, store=postgres),
    )


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="every target once a round (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="two rounds of 1.5 seconds")
    parser.add_argument("--raw", action="store_true", help="print this machine's own figures beside the ratios")
    parser.add_argument("--publish", action="store_true", help="write the table into bench/RESULTS.md")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 1.5
    try:
        cores = harness.choose_cores()
        os.sched_setaffinity(0, {cores.load})
        with stores(cores) as (redis, postgres):
            compared = fleets(redis, postgres)
            rounds = rounds_of(compared, cores, options.seconds, options.rounds)
    except BenchError as error:
        say(f"bench: {error}")
        return 1
    names = [target.name for target in compared]
    print(report.table(rounds, names, show_raw=options.raw, markdown=False, yardstick=EMBEDDED))
    print(f"\n{report.footnote(rounds)}")
    if options.publish:
        table = report.table(rounds, names, show_raw=False, markdown=True, yardstick=EMBEDDED)
        publish("stores", table, report.footnote(rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Ask a growing ledger who used what, on SQLite and on PostgreSQL.

    python bench/usage.py               10,000 to 10,000,000 calls of one year; about ten minutes and 8 GB of disk
    python bench/usage.py --most 100000 fewer
    python bench/usage.py --plans       how the databases find it, besides

The year stays, its calls grow denser. Prints each question's time divided by that of the smallest ledger; beside it,
for comparison, the same totals read from the rows themselves, as they were before there were sums.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from statistics import median

import psycopg
from harness import fresh
from published import publish
from report import as_markdown, as_text, number
from targets import ROOT

sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]

from headgate.core.entry import Entry  # noqa: E402 - found by the line above
from headgate.stores import usage  # noqa: E402
from headgate.stores.ledger import LedgerTable  # noqa: E402
from headgate.stores.postgres import PostgresDatabase  # noqa: E402
from headgate.stores.sqlite import SqliteDatabase  # noqa: E402
from servers import postgres  # noqa: E402

DAY = 86_400
END = 1_800_000_000 // DAY * DAY + 12_345.6  # in the middle of an hour, so that spans cut hours and days
YEAR = 365 * DAY
CALLERS, MODELS = 200, 3
KINDS = ("SQLite", "PostgreSQL")
SMALLEST = 10_000
TIMES = 7
PATIENCE = 3600.0

# A caller's calls come at all hours; multiplying by a prime spreads callers, models and failures over the year.
FILL = f"""
INSERT INTO entries (
    id, at, request_id, kind, principal, key_id, tier, address, surface, stream, model, provider, target, tries,
    tokens_in, tokens_out, cached, cache_write, reasoning, estimated, cost, price, cache, first_ms, total_ms, status,
    finish, error
)
WITH RECURSIVE n (i) AS (SELECT CAST(? AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < ?)
SELECT
    'call-' || (1000000000 + i), {END - YEAR} + {YEAR}.0 * i / ?, 'req-' || i, 'key', 'user' || (i * 7919 % {CALLERS}),
    'key' || (i * 7919 % {CALLERS}), 'standard', '10.0.0.1', 'chat', CAST(0 AS BOOLEAN), 'model' || (i % {MODELS}),
    'openai', 'gpt-4o-mini', 1, 100 + i % 900, i % 500, 0, 0, 0, CAST(0 AS BOOLEAN), 1000 + i % 9000, 'snapshot',
    'off', 100.0, 200.0, CASE WHEN i % 50 = 7 THEN 'failed' ELSE 'ok' END, 'stop', ''
FROM n
"""

Question = Callable[[LedgerTable], object]
QUESTIONS: Mapping[str, Question] = {
    "30 days by model": lambda table: table.totals("model", END - 30 * DAY),
    "30 days by user": lambda table: table.totals("user", END - 30 * DAY),
    "the year by day": lambda table: table.totals("day", END - YEAR),
    "one caller's 30 days": lambda table: table.totals("all", END - 30 * DAY, tenant="user:user7"),
    "the newest 100 calls": lambda table: table.entries(limit=100),
    "what limits of a month go on from": lambda table: table.past(END - 30 * DAY, DAY),
}
FROM_ROWS = (
    "SELECT model, COUNT(*), SUM(tokens_in), SUM(tokens_out), SUM(cost) FROM entries WHERE at >= ? GROUP BY model"
)


def say(text: str) -> None:
    """Progress goes to standard error, so that standard output is the table alone."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def empty(kind: str) -> Iterator[tuple[SqliteDatabase | PostgresDatabase, str]]:
    """A new database with its tables, and the address of its server, if it has one."""
    home = fresh("usage")
    with postgres() if kind == "PostgreSQL" else nullcontext() as server:
        database = (
            SqliteDatabase(home / "headgate.db")
            if server is None
            else PostgresDatabase(server.url, home, patience=PATIENCE)
        )
        try:
            database.migrate()
            yield database, server.url if server else ""
        finally:
            database.close()
            shutil.rmtree(home)


def fill(database: SqliteDatabase | PostgresDatabase, number: int, server: str) -> None:
    """So many calls, evenly over the year; the sums are what inserts would have made."""
    database.run((FILL, (0, number - 1, number)), *(sums_of(table, length) for table, length in usage.LENGTHS.items()))
    if server:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")  # as the server itself would, sooner or later
    else:
        database.run(("ANALYZE", ()))


def sums_of(table: str, length: int) -> tuple[str, tuple[()]]:
    """What fills a table of sums from the rows."""
    names, sums = ", ".join(usage.NAMES), ", ".join(f"SUM({name})" for name in usage.SUMS)
    places = ", ".join(str(place + 1) for place in range(1 + len(usage.NAMES)))
    select = f"SELECT start - start % {length}, {names}, {sums} FROM {usage.ROWS} GROUP BY {places}"
    return f"INSERT INTO {table} ({', '.join(usage.COLUMNS)}) {select}", ()


def seconds(ask: Callable[[], object]) -> float:
    """The median of several times that a question took, the first not counted."""
    ask()
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        ask()
        took.append(time.perf_counter() - began)
    return median(took)


def writing(table: LedgerTable) -> float:
    """Seconds to write a batch of new calls of many callers."""
    turns = iter(range(TIMES + 1))

    def write() -> None:
        turn = next(turns)
        table.write([call(f"new-{turn}-{n}", n) for n in range(512)])

    return seconds(write)


def call(name: str, n: int) -> Entry:
    """A call that has just ended."""
    who, model = n % CALLERS, f"model{n % MODELS}"
    return Entry(
        id=name, at=END - n, request_id="r", kind="key", principal=f"user{who}", key_id=f"key{who}", model=model, cost=1
    )


def measure(kind: str, sizes: Sequence[int]) -> dict[str, list[float]]:
    """Seconds by question, for each size."""
    found: dict[str, list[float]] = {}
    for size in sizes:
        with empty(kind) as (database, server):
            say(f"{kind}: making {size:,} calls")
            fill(database, size, server)
            say(f"{kind}: asking")
            table = LedgerTable(database)
            for title, ask in QUESTIONS.items():
                found.setdefault(title, []).append(seconds(partial(ask, table)))
            rows = seconds(partial(database.rows, FROM_ROWS, (END - 30 * DAY,)))
            found.setdefault("for comparison: 30 days by model, from the rows", []).append(rows)
            found.setdefault("writing a call", []).append(writing(table))
    return found


def plans(kind: str) -> str:
    """How a database finds the totals of 30 days, over the smallest ledger."""
    with empty(kind) as (database, server):
        fill(database, SMALLEST, server)
        words = "EXPLAIN QUERY PLAN" if kind == "SQLite" else "EXPLAIN (COSTS OFF)"
        sql, values = usage.totals("model", END - 30 * DAY, None, None)
        return "\n".join(str(row[-1]) for row in database.rows(f"{words} {sql}", values))


def rows_of(found: Mapping[str, Sequence[float]], kind: str, sizes: Sequence[int]) -> list[list[str]]:
    """A table: a row a question, a column a size, each cell the time divided by that of the smallest ledger."""
    header = [f"{kind}, times {sizes[0]:,} calls", *(f"{size:,}" for size in sizes[1:])]
    return [header, *([title, *(number(each / took[0]) for each in took[1:])] for title, took in found.items())]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--most", type=int, default=10_000_000, help="calls of the largest ledger (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="up to 100,000 calls")
    parser.add_argument("--only", choices=KINDS, help="one of the databases")
    parser.add_argument("--plans", action="store_true", help="print how the databases find the totals of 30 days")
    parser.add_argument("--publish", action="store_true", help="write the tables into bench/RESULTS.md")
    parser.add_argument("--raw", action="store_true", help="print this machine's own times besides, in milliseconds")
    return parser.parse_args()


def main() -> int:
    """Fill, ask, print, write."""
    options = arguments()
    most = 100_000 if options.quick else max(options.most, SMALLEST)
    sizes = [10**power for power in range(4, 12) if 10**power <= most]
    published: list[str] = []
    for kind in [options.only] if options.only else KINDS:
        found = measure(kind, sizes)
        rows = rows_of(found, kind, sizes)
        print(as_text(rows), end="\n\n")
        published.append(as_markdown(rows))
        if options.raw:
            times = [[title, *(number(each * 1e3) for each in took)] for title, took in found.items()]
            print(as_text([["milliseconds", *(f"{size:,}" for size in sizes)], *times]), end="\n\n")
        if options.plans:
            print(plans(kind), end="\n\n")
    if options.publish:
        note = f"One year of calls by {CALLERS} callers of {MODELS} models; medians of {TIMES}."
        publish("usage", "\n\n".join(published), note)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Usage: the ledger's sums by the hour and by the UTC day, kept in the transaction that inserts the rows.

Totals read whole days and whole hours from the sums, and only the hours that their span cuts from the rows: what they
cost follows the callers and models in use, not the calls.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from math import ceil
from operator import add
from typing import Any, Literal

from msgspec import Struct

from headgate.core.entry import Entry

Statement = tuple[str, Sequence[object]]
Row = tuple[Any, ...]
Piece = tuple[str, float, float]
By = Literal["all", "model", "user", "key", "tier", "day", "provider", "status"]

HOUR = 3600
DAY = 24 * HOUR
FOREVER = 10**9 * DAY

NAMES = ("kind", "principal", "key_id", "tier", "model", "provider", "status")
SUMS = ("requests", "tokens_in", "tokens_out", "cached", "cost", "unpriced", "metered")
COLUMNS = ("start", *NAMES, *SUMS)

GROUPS: dict[By, str] = {
    "all": "''",
    "model": "model",
    "user": "(CASE kind WHEN 'key' THEN 'user' ELSE kind END) || ':' || principal",
    "key": "key_id",
    "tier": "tier",
    "day": f"start / {DAY} * {DAY}",
    "provider": "provider",
    "status": "status",
}
LENGTHS = {"usage_hours": HOUR, "usage_days": DAY}
_TOTAL = {
    **{name: f"SUM({name})" for name in SUMS if name != "metered"},
    "errors": "SUM(CASE WHEN status IN ('failed', 'partial') THEN requests ELSE 0 END)",
    "refused": "SUM(CASE WHEN status = 'refused' THEN requests ELSE 0 END)",
}
_PAST = {
    "requests": "SUM(CASE WHEN status = 'refused' THEN 0 ELSE requests END)",
    "tokens": "SUM(metered)",
    "cost": "SUM(cost)",
}
# The rows in the words of the sums. A cast rounds down in one database and to the nearest in the other.
ROWS = f"""(
    SELECT at, CAST(at AS BIGINT) - CASE WHEN CAST(at AS BIGINT) > at THEN 1 ELSE 0 END AS start, {", ".join(NAMES)},
        1 AS requests, tokens_in, tokens_out, cached, COALESCE(cost, 0) AS cost,
        CASE WHEN cost IS NULL AND tokens_in + tokens_out > 0 THEN 1 ELSE 0 END AS unpriced,
        CASE WHEN cache = 'hit' THEN 0 ELSE tokens_in + tokens_out END AS metered
    FROM entries
) AS entries"""  # noqa: S608 - our own words


class Total(Struct, frozen=True, kw_only=True):
    """What a group of calls came to. `cost` is nano-USD: the sum of the known costs.

    `unpriced` calls used tokens whose price is unknown, so that `cost` is too low by theirs. `errors` got no answer or
    half of one, `refused` never reached a model. `name` is the group's: a model, `user:alice`, a UTC day as 2026-11-21.
    """

    name: str
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    cost: int = 0
    unpriced: int = 0
    errors: int = 0
    refused: int = 0

    @property
    def cost_usd(self) -> float:
        """The known cost in US dollars."""
        return self.cost / 1e9


class Past(Struct, frozen=True):
    """What one caller used of one model in a period that was over at `end` (epoch seconds); `cost` is nano-USD.

    `requests` are those that were not refused, `tokens` leave out what came from the cache: as limits count.
    """

    end: int
    kind: str
    principal: str
    key_id: str
    tier: str
    model: str
    requests: int
    tokens: int
    cost: int


def sums(entries: Sequence[Entry]) -> Iterator[tuple[str, list[Row]]]:
    """The tables of sums, each with the rows of `COLUMNS` that entries add to it.

    Always in the same order, so that two processes that add to the same sums never wait for each other in a ring.
    """
    hours = _summed(entries)
    yield "usage_hours", [(*key, *hours[key]) for key in sorted(hours)]
    days: dict[Row, list[int]] = {}
    for (start, *names), hour in hours.items():
        day = (start - start % DAY, *names)
        days[day] = list(map(add, days[day], hour)) if day in days else hour
    yield "usage_days", [(*key, *days[key]) for key in sorted(days)]


@cache
def adding_to(table: str) -> str:
    """What ends the INSERT of a row of sums: one that is there already grows by it."""
    grown = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in SUMS)
    return f"ON CONFLICT (start, {', '.join(NAMES)}) DO UPDATE SET {grown}"


def totals(by: By, since: float, until: float | None, tenant: str | None) -> Statement:
    """The query of the totals of `since <= at < until`, a group a row; `total` reads it. Raises KeyError."""
    groups = dict.fromkeys(("entries", *LENGTHS), GROUPS[by])
    if by == "day":
        groups["usage_days"] = "start"  # is in order there, and need not be sorted
    named = {table: {"name": group} for table, group in groups.items()}
    sql, values = _merged(_pieces(since, until), named, _TOTAL, tenant)
    return f"{sql} ORDER BY {'1' if by == 'day' else '6 DESC, 2 DESC, 1'}", values


def total(by: By, row: Sequence[Any]) -> Total:
    """The total that a row of `totals` tells."""
    name = datetime.fromtimestamp(row[0], UTC).date().isoformat() if by == "day" else row[0]
    return Total(name=name, **dict(zip(Total.__struct_fields__[1:], map(int, row[1:]), strict=True)))


def pasts(since: float, period: int) -> Statement:
    """The query of what every caller used since then, oldest first, by the `HOUR` or the `DAY`; `past` reads it."""
    same = {name: name for name in Past.__struct_fields__[1:6]}
    named = {
        table: {"ended": f"start - start % {n} + {n}", **same} for table, n in {"entries": HOUR, **LENGTHS}.items()
    }
    sql, values = _merged(_pieces(since, None, days=period == DAY), named, _PAST, None)
    return f"{sql} ORDER BY 1", values


def past(row: Sequence[Any]) -> Past:
    """The past that a row of `pasts` tells."""
    return Past(*row[:6], *map(int, row[6:]))


def _summed(entries: Sequence[Entry]) -> dict[Row, list[int]]:
    """The sums of the entries by hour and names."""
    alike: defaultdict[Row, list[Entry]] = defaultdict(list)
    for e in entries:
        alike[e.kind, e.principal, e.key_id, e.tier, e.model, e.provider, e.status].append(e)
    return {(hour, *names): _sums(part) for names, calls in alike.items() for hour, part in _by_hour(calls)}


def _by_hour(calls: list[Entry]) -> Iterable[tuple[int, list[Entry]]]:
    times = [call.at for call in calls]
    first, last = int(min(times)) // HOUR, int(max(times)) // HOUR
    if first == last:
        return [(first * HOUR, calls)]
    hours: defaultdict[int, list[Entry]] = defaultdict(list)
    for call in calls:
        hours[int(call.at) // HOUR * HOUR].append(call)
    return hours.items()


def _sums(calls: list[Entry]) -> list[int]:
    """The `SUMS` of calls."""
    tokens_in, tokens_out = sum([call.tokens_in for call in calls]), sum([call.tokens_out for call in calls])
    costs = [call.cost for call in calls if call.cost is not None]
    unpriced = 0
    if len(costs) < len(calls):
        unpriced = sum(call.cost is None and call.tokens_in + call.tokens_out > 0 for call in calls)
    remembered = [call.tokens_in + call.tokens_out for call in calls if call.cache == "hit"]
    metered = tokens_in + tokens_out - sum(remembered)
    return [len(calls), tokens_in, tokens_out, sum([call.cached for call in calls]), sum(costs), unpriced, metered]


def _pieces(since: float, until: float | None, *, days: bool = True) -> list[Piece]:
    """The tables that together have what was between two moments, each with its first and its last: five at most."""
    begin, end = max(0.0, since), min(FOREVER, FOREVER if until is None else until)
    first, last = ceil(begin / HOUR) * HOUR, int(end // HOUR) * HOUR
    if first >= last:
        return [("entries", begin, end)]
    first_day, last_day = ceil(first / DAY) * DAY, last // DAY * DAY
    if first_day >= last_day or not days:
        first_day = last_day = first
    edges = (begin, first, first_day, last_day, last, end)
    tables = ("entries", "usage_hours", "usage_days", "usage_hours", "entries")
    return [(table, a, b) for table, (a, b) in zip(tables, pairwise(edges), strict=True) if a < b]


def _merged(
    pieces: Sequence[Piece], named: Mapping[str, Mapping[str, str]], measures: Mapping[str, str], tenant: str | None
) -> Statement:
    """The measures by group; `named` has, for each table, the names and the words of what it is grouped by.

    Each piece is grouped before they are put together, so that little is sorted. Whose rows count is decided in each
    piece's own WHERE; a tenant of None means everybody's, for the admin.
    """
    names = next(iter(named.values()))
    places = ", ".join(str(place + 1) for place in range(len(names)))
    whose, who = _owned(tenant)
    selects: list[str] = []
    values: list[object] = []
    for table, begin, end in pieces:
        source, at = (ROWS, "at") if table == "entries" else (table, "start")
        told = ", ".join(f"{words} AS {name}" for name, words in (*named[table].items(), *measures.items()))
        selects.append(f"SELECT {told} FROM {source} WHERE {at} >= ? AND {at} < ?{whose} GROUP BY {places}")  # noqa: S608
        values += [begin, end, *who]
    told = ", ".join((*names, *(f"SUM({name})" for name in measures)))
    return f"SELECT {told} FROM ({' UNION ALL '.join(selects)}) AS pieces GROUP BY {places}", values  # noqa: S608


def _owned(tenant: str | None) -> Statement:
    if tenant is None:
        return "", []
    kind, _, principal = tenant.partition(":")
    return " AND principal = ? AND kind IN (?, ?)", [principal, kind, "key" if kind == "user" else kind]

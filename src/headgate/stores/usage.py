"""Usage: the ledger's sums by the hour and by the UTC day, kept in the transaction that inserts the rows.

Totals read whole days and whole hours from the sums, and only the hours that their span cuts from the rows: what they
cost follows the callers and models in use, not the calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from math import ceil
from operator import add
from typing import Any, Literal

from msgspec import Struct

from headgate.core.entry import Entry
from headgate.stores._chunks import Statement, chunks

By = Literal["all", "model", "user", "key", "tier", "day", "provider", "status"]

HOUR = 3600
DAY = 24 * HOUR
FOREVER = 10**9 * DAY

_KEY = ("start", "kind", "principal", "key_id", "tier", "model", "provider", "status")
_SUMS = ("requests", "tokens_in", "tokens_out", "cached", "cost", "unpriced")
_SECOND = "CAST(at AS BIGINT) - CASE WHEN CAST(at AS BIGINT) > at THEN 1 ELSE 0 END"  # PostgreSQL's cast may round up
_COLUMNS = {
    "entries": f"{_SECOND} AS start, {HOUR} AS length, {', '.join(_KEY[1:])}, 1 AS requests, "
    "tokens_in, tokens_out, cached, COALESCE(cost, 0) AS cost, "
    "CASE WHEN cost IS NULL AND tokens_in + tokens_out > 0 THEN 1 ELSE 0 END AS unpriced",
    "usage_hours": f"start, {HOUR} AS length, {', '.join(_KEY[1:] + _SUMS)}",
    "usage_days": f"start, {DAY} AS length, {', '.join(_KEY[1:] + _SUMS)}",
}
GROUPS: dict[By, str] = {
    "all": "''",
    "model": "model",
    "user": "(CASE kind WHEN 'key' THEN 'user' ELSE kind END) || ':' || principal",
    "key": "key_id",
    "tier": "tier",
    "day": f"start / {DAY}",
    "provider": "provider",
    "status": "status",
}


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


class Past(Struct, frozen=True, array_like=True):
    """What one caller used of one model in a period that was over at `end` (epoch seconds); `cost` is nano-USD.

    `requests` are those that were not refused.
    """

    end: float
    kind: str
    principal: str
    key_id: str
    tier: str
    model: str
    requests: int
    tokens: int
    cost: int


def additions(entries: Sequence[Entry]) -> Iterator[Statement]:
    """What adds entries to the sums.

    Always in the same order, so that two processes that add to the same sums never wait for each other in a ring.
    """
    hours = _summed(entries)
    yield from chunks(_into_hours, [(*key, *hours[key]) for key in sorted(hours)])
    days: dict[tuple[Any, ...], list[int]] = {}
    for (start, *names), sums in hours.items():
        day = (start - start % DAY, *names)
        days[day] = list(map(add, days[day], sums)) if day in days else sums
    yield from chunks(_into_days, [(*key, *days[key]) for key in sorted(days)])


def totals(by: By, since: float, until: float | None, tenant: str | None) -> Statement:
    """The query of the totals of `since <= at < until`, a group a row; `total` reads it. Raises KeyError."""
    order = "1" if by == "day" else "6 DESC, 2 DESC, 1"
    source, values = _source(_pieces(since, until), tenant)
    return (
        f"SELECT {GROUPS[by]}, {', '.join(f'SUM({name})' for name in _SUMS)}, "  # noqa: S608 - our own words
        "SUM(CASE WHEN status IN ('failed', 'partial') THEN requests ELSE 0 END), "
        "SUM(CASE WHEN status = 'refused' THEN requests ELSE 0 END) "
        f"FROM ({source}) AS calls GROUP BY 1 ORDER BY {order}"
    ), values


def total(by: By, row: Sequence[Any]) -> Total:
    """The total that a row of `totals` tells."""
    name = datetime.fromtimestamp(row[0] * DAY, UTC).date().isoformat() if by == "day" else row[0]
    return Total(name=name, **dict(zip(Total.__struct_fields__[1:], map(int, row[1:]), strict=True)))


def past(since: float, period: int) -> Statement:
    """The query of what every caller used since then, oldest first; `Past` reads it.

    `period` is `DAY` or `HOUR`: how finely the time is told.
    """
    group = "start - start % length + length, kind, principal, key_id, tier, model"
    source, values = _source(_pieces(since, None, days=period == DAY), None)
    return (
        f"SELECT {group}, CAST(SUM(requests) AS BIGINT), CAST(SUM(tokens_in + tokens_out) AS BIGINT), "  # noqa: S608
        f"CAST(SUM(cost) AS BIGINT) "
        f"FROM ({source}) AS calls WHERE status <> 'refused' GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1"
    ), values


def _summed(entries: Sequence[Entry]) -> dict[tuple[Any, ...], list[int]]:
    """The sums of the entries by hour and names."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for e in entries:
        second = int(e.at)
        key = (second - second % HOUR, e.kind, e.principal, e.key_id, e.tier, e.model, e.provider, e.status)
        sums = groups.get(key)
        if sums is None:
            sums = groups[key] = [0, 0, 0, 0, 0, 0]
        sums[0] += 1
        sums[1] += e.tokens_in
        sums[2] += e.tokens_out
        sums[3] += e.cached
        if e.cost is not None:
            sums[4] += e.cost
        elif e.tokens_in or e.tokens_out:
            sums[5] += 1
    return groups


@cache
def _into_hours(rows: int) -> str:
    return _upsert("usage_hours", rows)


@cache
def _into_days(rows: int) -> str:
    return _upsert("usage_days", rows)


def _upsert(table: str, rows: int) -> str:
    values = ", ".join([f"({', '.join('?' * (len(_KEY) + len(_SUMS)))})"] * rows)
    added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in _SUMS)
    key = ", ".join(_KEY)
    return f"INSERT INTO {table} VALUES {values} ON CONFLICT ({key}) DO UPDATE SET {added}"  # noqa: S608 - our own words


def _pieces(since: float, until: float | None, *, days: bool = True) -> list[tuple[str, float, float]]:
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


def _source(pieces: Sequence[tuple[str, float, float]], tenant: str | None) -> Statement:
    """The rows of all pieces, in the words of the sums. Whose rows is decided here, in each piece's own WHERE."""
    whose, who = owned(tenant)
    selects: list[str] = []
    values: list[object] = []
    for table, begin, end in pieces:
        at = "at" if table == "entries" else "start"
        selects.append(f"SELECT {_COLUMNS[table]} FROM {table} WHERE {at} >= ? AND {at} < ?{whose}")  # noqa: S608
        values += [begin, end, *who]
    return " UNION ALL ".join(selects), values


def owned(tenant: str | None) -> Statement:
    """What a WHERE needs besides, for the rows of one `Principal.tenant`; None means everybody's, for the admin."""
    if tenant is None:
        return "", []
    kind, _, principal = tenant.partition(":")
    return " AND principal = ? AND kind IN (?, ?)", [principal, kind, "key" if kind == "user" else kind]

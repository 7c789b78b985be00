"""The ledger's table: entries in, totals out. Whose rows a query may see is decided in its own WHERE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, Literal

from msgspec import Struct, convert

from headgate.core.entry import PASSING, Entry
from headgate.core.seams import Database

By = Literal["all", "model", "user", "key", "tier", "day", "provider", "status"]

COLUMNS = tuple(name for name in Entry.__struct_fields__ if name not in PASSING)
ROW = f"({', '.join('?' * len(COLUMNS))})"
CHUNK = 64
_by_id = attrgetter("id")
_values = attrgetter(*COLUMNS)
TENANT = "(CASE kind WHEN 'key' THEN 'user' ELSE kind END) || ':' || principal"
GROUPS: dict[By, str] = {
    "all": "''",
    "model": "model",
    "user": TENANT,
    "key": "key_id",
    "tier": "tier",
    "day": "(CAST(at AS BIGINT) - CASE WHEN CAST(at AS BIGINT) > at THEN 1 ELSE 0 END) / 86400",
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


class LedgerTable:
    """A `LedgerStore` on any `Database`. A `tenant` is a `Principal.tenant`; None means everybody's, for the admin."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, entries: Sequence[Entry]) -> None:
        """Insert all in one transaction, from any thread; an entry whose id is there already is left as it is."""
        in_order = sorted(entries, key=_by_id)  # two processes that write the same ones must not wait for each other
        self._database.run(*_inserts(in_order))

    def totals(
        self, by: By = "all", since: float = 0.0, until: float | None = None, *, tenant: str | None = None
    ) -> list[Total]:
        """What the calls of `since <= at < until` (epoch seconds) came to, a group a row.

        Days are in order, other groups with the most expensive first. Raises KeyError for an unknown `by`.
        """
        where, values = _where(since, until, tenant)
        order = "1" if by == "day" else "6 DESC, 2 DESC, 1"
        rows = self._database.rows(
            f"SELECT {GROUPS[by]}, COUNT(*), SUM(tokens_in), SUM(tokens_out), SUM(cached), COALESCE(SUM(cost), 0), "  # noqa: S608 our own words
            "SUM(CASE WHEN cost IS NULL AND tokens_in + tokens_out > 0 THEN 1 ELSE 0 END), "
            "SUM(CASE WHEN status IN ('failed', 'partial') THEN 1 ELSE 0 END), "
            "SUM(CASE WHEN status = 'refused' THEN 1 ELSE 0 END) "
            f"FROM entries {where} GROUP BY 1 ORDER BY {order}",
            values,
        )
        return [_total(by, row) for row in rows]

    def spent(self, since: float, *, tenant: str | None = None) -> int:
        """The known cost of the calls since then, in nano-USD."""
        where, values = _where(since, None, tenant)
        return int(self._database.rows(f"SELECT COALESCE(SUM(cost), 0) FROM entries {where}", values)[0][0])  # noqa: S608

    def entries(self, *, tenant: str | None = None, until: float | None = None, limit: int = 100) -> list[Entry]:
        """The newest entries before `until` (epoch seconds), newest first."""
        where, values = _where(0.0, until, tenant)
        sql = f"SELECT {', '.join(COLUMNS)} FROM entries {where} ORDER BY at DESC, id DESC LIMIT ?"  # noqa: S608
        rows = self._database.rows(sql, (*values, limit))
        return [convert(dict(zip(COLUMNS, row, strict=True)), Entry, strict=False) for row in rows]


def _inserts(entries: Sequence[Entry]) -> Iterator[tuple[str, list[object]]]:
    """Statements of 64 rows, then of 32, 16, …: sqlite3 lets go of the GIL and takes it back once a statement.

    A statement a row would pass the GIL to and fro with the event loop for every entry, which costs more than the row.
    """
    start, size = 0, CHUNK
    while start < len(entries):
        while size > len(entries) - start:
            size //= 2
        rows = map(_values, entries[start : start + size])
        yield _insert(size), list(chain.from_iterable(rows))
        start += size


@cache
def _insert(rows: int) -> str:
    return f"INSERT INTO entries ({', '.join(COLUMNS)}) VALUES {', '.join([ROW] * rows)} ON CONFLICT DO NOTHING"  # noqa: S608


def _where(since: float, until: float | None, tenant: str | None) -> tuple[str, list[object]]:
    where, values = "WHERE at >= ?", [since]
    if until is not None:
        where += " AND at < ?"
        values.append(until)
    if tenant is None:
        return where, [*values]
    kind, _, principal = tenant.partition(":")
    kinds = ("user", "key") if kind == "user" else (kind, kind)
    return f"{where} AND principal = ? AND kind IN (?, ?)", [*values, principal, *kinds]


def _total(by: By, row: tuple[Any, ...]) -> Total:
    day = datetime.fromtimestamp(row[0] * 86400, UTC).date().isoformat() if by == "day" else ""
    counts = dict(zip(Total.__struct_fields__[1:], map(int, row[1:]), strict=True))
    return Total(name=day or row[0], **counts)

"""The ledger's table: entries in, totals out. Whose rows a query may see is decided in its own WHERE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter

from msgspec import convert
from msgspec.structs import astuple

from headgate.core.entry import PASSING, Entry
from headgate.core.faults import Unavailable
from headgate.core.seams import Database
from headgate.stores import usage
from headgate.stores.usage import By, Past, Statement, Total

COLUMNS = Entry.__struct_fields__[: -len(PASSING)]
WHICH = 64
_by_id = attrgetter("id")


class LedgerTable:
    """A `LedgerStore` on any `Database`. A `tenant` is a `Principal.tenant`; None means everybody's, for the admin."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, entries: Sequence[Entry]) -> None:
        """Insert all, and add them to the sums, in one transaction; one whose id is there already changes nothing.

        Nearly always none is there, so that is not asked first: the database refuses the transaction, and the others
        are written in another.
        """
        once = {entry.id: entry for entry in reversed(entries)}
        fresh = sorted(once.values(), key=_by_id)  # two processes that write the same must not wait for each other
        try:
            self._database.run(*self._additions(fresh))
        except Unavailable:
            raise
        except Exception:
            there = self._there(fresh)
            if not there:
                raise
            self.write([entry for entry in fresh if entry.id not in there])

    def totals(
        self, by: By = "all", since: float = 0.0, until: float | None = None, *, tenant: str | None = None
    ) -> list[Total]:
        """What the calls of `since <= at < until` (epoch seconds) came to, a group a row.

        Days are in order, other groups with the most expensive first. Raises KeyError for an unknown `by`.
        """
        return [usage.total(by, row) for row in self._database.rows(*usage.totals(by, since, until, tenant))]

    def past(self, since: float, period: int) -> list[Past]:
        """What every caller used of every model since then, oldest first, told by the hour or by the day."""
        return [usage.past(row) for row in self._database.rows(*usage.pasts(since, period))]

    def entries(self, *, until: float | None = None, limit: int = 100) -> list[Entry]:
        """The newest entries before `until` (epoch seconds), newest first."""
        sql = f"SELECT {', '.join(COLUMNS)} FROM entries WHERE at < ? ORDER BY at DESC, id DESC LIMIT ?"  # noqa: S608
        rows = self._database.rows(sql, (usage.FOREVER if until is None else until, limit))
        return [convert(dict(zip(COLUMNS, row, strict=True)), Entry, strict=False) for row in rows]

    def forget(self, before: float, most: int) -> bool:
        """Delete the oldest of the calls before that moment, at most so many; whether there may be more.

        The last of them take the sums by the hour with them; the sums by the day stay.
        """
        oldest = "SELECT id FROM entries WHERE at < ? ORDER BY at LIMIT ?"
        if self._database.run((f"DELETE FROM entries WHERE id IN ({oldest})", (before, most))) == most:  # noqa: S608
            return True
        self._database.run(("DELETE FROM usage_hours WHERE start <= ?", (int(before) - usage.HOUR,)))
        return False

    def _additions(self, entries: Sequence[Entry]) -> Iterator[Statement]:
        inserts = self._database.inserts
        yield from inserts("entries", COLUMNS, [astuple(entry)[: len(COLUMNS)] for entry in entries])
        for table, rows in usage.sums(entries):
            yield from inserts(table, usage.COLUMNS, rows, usage.adding_to(table))

    def _there(self, entries: Sequence[Entry]) -> set[str]:
        """The ids among the entries' that the table has."""
        known: set[str] = set()
        for start in range(0, len(entries), WHICH):
            ids = [entry.id for entry in entries[start : start + WHICH]]
            sql = f"SELECT id FROM entries WHERE id IN ({', '.join('?' * len(ids))})"  # noqa: S608 - our own words
            known.update(id_ for (id_,) in self._database.rows(sql, ids))
        return known

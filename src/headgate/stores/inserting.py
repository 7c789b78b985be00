"""`Inserting`: rows for SQLite, many a statement.

sqlite3 lets go of the GIL and takes it back once a statement. A statement a row would pass the GIL to and fro with the
event loop for every row, which costs more than the row.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, count

CHUNK = 64
# For a time sqlite3 warned of numbered parameters, at every value (https://github.com/python/cpython/issues/117995).
PATTERNS = 0 if (3, 12) <= sys.version_info < (3, 12, 4) else 4
FEW = 4
LEAST = 2

Row = Sequence[object]
Pattern = tuple[int, ...]


class Inserting:
    """The statements that insert rows: of 64, then of 32, of 16 and so on.

    To bind a value costs as much as to store it. So what all rows of a statement have in common is bound once: the
    columns of a pattern, by their places. Few patterns are learned of a table, since each is a statement to prepare.
    """

    def __init__(self) -> None:
        self._patterns: dict[str, list[Pattern]] = {}

    def statements(
        self, table: str, columns: tuple[str, ...], rows: Sequence[Row], then: str
    ) -> Iterator[tuple[str, Row]]:
        """The statements with their values; `then` ends each."""
        start, size = 0, CHUNK
        while start < len(rows):
            while size > len(rows) - start:
                size //= 2
            chunk = rows[start : start + size]
            values = list(zip(*chunk, strict=True))
            common = self._common(table, values)
            yield _insert(table, columns, size, then, common), _bound(chunk, values, common)
            start += size

    def _common(self, table: str, values: Sequence[Row]) -> Pattern:
        """The longest pattern that these columns fit, which is learned of them if there is none."""
        size = len(values[0])
        if size < FEW:
            return ()
        patterns = self._patterns.get(table, [])
        for pattern in patterns:
            if all(_alike(values[place]) for place in pattern):
                return pattern
        if size < CHUNK or len(patterns) == PATTERNS:
            return ()
        learned = tuple(place for place, column in enumerate(values) if _alike(column))
        if len(learned) < LEAST:
            return ()
        self._patterns[table] = sorted([*patterns, learned], key=len, reverse=True)
        return learned


def _alike(column: Row) -> bool:
    return column.count(column[0]) == len(column)


def _bound(rows: Sequence[Row], values: Sequence[Row], common: Pattern) -> Row:
    """The values of a statement: those in common, then the others row by row."""
    if not common:
        return list(chain.from_iterable(rows))
    first = rows[0]
    others = [column for place, column in enumerate(values) if place not in common]
    return [*(first[place] for place in common), *chain.from_iterable(zip(*others, strict=True))]


@lru_cache
def _insert(table: str, columns: tuple[str, ...], rows: int, then: str, common: Pattern) -> str:
    shared = {place: number for number, place in enumerate(common, 1)}
    others = count(len(common) + 1)
    row = [shared.get(place) for place in range(len(columns))]
    marks = (", ".join(f"?{number or next(others)}" for number in row) for _ in range(rows))
    values = ", ".join(f"({each})" for each in marks)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values} {then}"  # noqa: S608 - our own words

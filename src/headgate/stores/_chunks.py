"""Many rows in few statements.

sqlite3 lets go of the GIL and takes it back once a statement. A statement a row would pass the GIL to and fro with the
event loop for every row, which costs more than the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain

CHUNK = 64

Statement = tuple[str, list[object]]


def chunks(insert: Callable[[int], str], rows: Sequence[Sequence[object]]) -> Iterator[Statement]:
    """Statements of 64 rows, then of 32, 16, …, so that there are few different ones; `insert` words one of so many."""
    start, size = 0, CHUNK
    while start < len(rows):
        while size > len(rows) - start:
            size //= 2
        yield insert(size), list(chain.from_iterable(rows[start : start + size]))
        start += size

"""`Crew`: the workers of one service, each of which leaves what it has counted in a file for the others.

Every worker has a place, and a file for it; whoever takes the place of one that died goes on counting from its file,
so that the sum of all never falls.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from msgspec import DecodeError, msgpack

T = TypeVar("T")


class Crew:
    """The workers whose files are in `folder`, as the one in a `place` (0, 1, …) sees them. For use by any thread."""

    def __init__(self, folder: Path, place: int) -> None:
        self._folder = folder
        self._file = folder / f"{place}.counts"
        self._lock = threading.Lock()

    def save(self, counts: object) -> None:
        """Leave the counts for the others. A disk that takes nothing is the ledger's news, not ours."""
        with self._lock, suppress(OSError):
            new = self._file.with_suffix(".new")
            new.write_bytes(b"%d\n" % os.getpid() + msgpack.encode(counts))
            new.replace(self._file)

    def mine(self, kind: type[T]) -> T | None:
        """What the one before in this place has left, if there was one."""
        found = _load(self._file, kind)
        return found[0] if found else None

    def others(self, kind: type[T]) -> Iterator[tuple[T, bool]]:
        """What each of the others has left, and whether it still runs."""
        for path in sorted(self._folder.glob("*.counts")):
            if path != self._file and (found := _load(path, kind)) is not None:
                yield found


def _load(path: Path, kind: type[T]) -> tuple[T, bool] | None:
    try:
        process, _, counts = path.read_bytes().partition(b"\n")
        return msgpack.decode(counts, type=kind), _runs(int(process))
    except (OSError, ValueError, DecodeError):
        return None


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except OSError:
        return False
    return True

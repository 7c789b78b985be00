"""The outbox: entries on the local disk, on their way to the store.

Two pages (files) are taken in turns: one is appended to while the other is moved to the store and emptied. A line is
in the file once `append` returns, so it outlives the process. The pages of a living process are locked; whoever
finds one without a lock moves it to the store and deletes it. To move an entry twice does no harm, because a store
leaves an id that it has as it is.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from mmap import mmap
from pathlib import Path

from msgspec import DecodeError, json

from headgate.core.entry import Entry
from headgate.core.faults import Unavailable
from headgate.core.seams import LedgerStore

BATCH = 512
MOST_AT_HAND = 10_000
STEP = 256 * 1024
SUFFIX = ".jsonl"
REJECTED = "rejected.log"

_log = logging.getLogger(__name__)
_decode = json.Decoder(Entry).decode


class Page:
    """One file of an outbox: an entry a line, as JSON, then zeros. `size` is in bytes.

    The file is mapped into memory, so that a line costs a copy and no system call; what is in a mapped file outlives
    the process as what was written to one does. Its blocks are taken beforehand: a full disk must be an error here,
    where a hole in the file would be a signal that kills.

    Unless there are too many, the entries are kept `at_hand` too, so that they need not be read from the file.
    """

    def __init__(self, path: Path) -> None:
        # Locked before it has its name, so that nobody takes the newborn file for a dead process's.
        unnamed = path.with_suffix(".new")
        self._fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        _lock(self._fd)
        unnamed.rename(path)
        self._map: mmap | None = None
        self._room = 0
        self.path = path
        self.size = 0
        self.at_hand: list[Entry] | None = []

    def append(self, line: bytes, entry: Entry) -> None:
        """Add an entry's line, whole or not at all. Raises OSError."""
        size = self.size
        end = size + len(line)
        if end > self._room or self._map is None:
            self._map = self._grown(max(end, 2 * self._room))
        self._map[size:end] = line
        self.size = end
        if self.at_hand is not None:
            self.at_hand.append(entry)
            if len(self.at_hand) > MOST_AT_HAND:
                self.at_hand = None

    def _grown(self, size: int) -> mmap:
        room = -(-size // STEP) * STEP
        os.posix_fallocate(self._fd, self._room, room - self._room)
        if self._map is None:
            grown = mmap(self._fd, room)
        else:
            grown = self._map
            grown.resize(room)
        self._room = room
        return grown

    def clear(self) -> None:
        """Empty the file; it keeps its room."""
        if self._map is not None:
            self._map[: self.size] = bytes(self.size)
        self.size = 0
        self.at_hand = []

    def close(self) -> None:
        """Give up the file; what is still in it stays for whoever looks for leftovers."""
        if self._map is not None:
            self._map.close()
        if self.size:
            os.ftruncate(self._fd, self.size)
        else:
            self.path.unlink(missing_ok=True)
        os.close(self._fd)
        self._fd = -1  # a late append must not reach whatever gets the number next


class Outbox:
    """Two pages in a directory that several processes may share. One thread appends and turns."""

    def __init__(self, directory: Path, name: str, max_bytes: int) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._current, self._other = (Page(directory / f"{name}-{side}{SUFFIX}") for side in "ab")
        self._most = max_bytes // 2

    @property
    def size(self) -> int:
        """The bytes that wait."""
        return self._current.size + self._other.size

    def append(self, line: bytes, entry: Entry) -> None:
        """Add an entry's line. Raises OSError where the disk or the bound leaves no room."""
        if self._current.size > self._most:
            raise OSError(errno.EFBIG, "the outbox is full")
        self._current.append(line, entry)

    def turn(self) -> Page:
        """The page to move next; lines appended from now on go to the other one. Clear the page when it is moved."""
        if not self._other.size:
            self._current, self._other = self._other, self._current
        return self._other

    def close(self) -> None:
        """Let go of both pages."""
        self._current.close()
        self._other.close()


def move_page(page: Page, store: LedgerStore) -> None:
    """Write the entries of our own page to the store, and empty it. Raises Unavailable, OSError."""
    if page.at_hand is None:
        move(page.path, store)
    else:
        for start in range(0, len(page.at_hand), BATCH):
            write(page.at_hand[start : start + BATCH], store, page.path.parent)
    page.clear()


def move(path: Path, store: LedgerStore) -> int:
    """Write the entries of a file to the store; how many there were. Raises Unavailable, OSError."""
    moved = 0
    with path.open("rb", buffering=STEP) as file:  # every read passes the GIL to the event loop and back
        while lines := list(islice(file, BATCH)):
            entries = list(_decoded(lines, path.parent))
            write(entries, store, path.parent)
            moved += len(entries)
    return moved


def recover(directory: Path, store: LedgerStore, others: LedgerStore | None = None) -> int:
    """Move what every process's outbox in the directory holds, and delete what the dead left; how many entries.

    `others` takes the entries of the living in the place of the store: they move them too, and tell of them.

    Afterwards the store has every entry that was posted before the call by anyone on this machine. Blocks.
    """
    moved = 0
    for path in sorted(directory.glob("*" + SUFFIX)):
        with suppress(FileNotFoundError), path.open("r+b") as file:
            orphaned = _lock(file.fileno())
            moved += move(path, store if orphaned else others or store)
            if orphaned:
                path.unlink(missing_ok=True)
    return moved


def write(entries: Sequence[Entry], store: LedgerStore, directory: Path) -> None:
    """Write entries; one that the store cannot take is found by halves and put aside: no other is held up by it."""
    if not entries:
        return
    try:
        store.write(entries)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001 whatever else it is, it is about an entry
        if len(entries) == 1:
            _reject(json.encode(entries[0]), f"{type(error).__name__} in the store", directory)
            return
        middle = len(entries) // 2
        write(entries[:middle], store, directory)
        write(entries[middle:], store, directory)


def _decoded(lines: Iterable[bytes], directory: Path) -> Iterator[Entry]:
    """The entries of whole lines; an unfinished last line was never acknowledged to anyone."""
    for line in lines:
        if line.endswith(b"\n"):
            try:
                yield _decode(line)
            except (DecodeError, UnicodeDecodeError):
                _reject(line, "not an entry", directory)


def _reject(line: bytes, why: str, directory: Path) -> None:
    _log.error("a ledger entry was put aside in %s: %s", directory / REJECTED, why)
    fd = os.open(directory / REJECTED, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "ab") as file:
        file.write(line.strip() + b"\n")


def _lock(fd: int) -> bool:
    """Whether the file is ours now; a lock ends with the process that holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

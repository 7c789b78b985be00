"""The ledger: whoever saw the end of an answer is in it exactly once, also if the process dies at that instant.

`post` appends the entry to the outbox, a file on the local disk, before it returns; a thread moves what gathered
there to the store a few times a second, in large transactions. Why not wait for the store itself, measured with 1 and
64 callers at 3,500 calls a second: group commits to SQLite in the loop cost 25 to 50 us of CPU a call and made it wait
30 to 190 us (milliseconds at the 99th percentile), in a thread more of both; the outbox costs 10 to 20 us in all and
makes the call wait 3 us. It works the same for a store behind a network. When the process dies, the file stays; when
the operating system dies, what was posted in the last half second may be lost.
"""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import getrandbits

from msgspec import json, structs

from headgate.core.entry import Entry
from headgate.core.seams import LedgerStore
from headgate.engine.outbox import Outbox, Page, move_page, recover, write

INTERVAL = 0.25
PATIENCE = 2.0
BACKOFF = 5.0
MAX_BYTES = 256 << 20
MAX_UNSAVED = 10_000
MAX_LINE = 16 << 10
MAX_TEXT = 256

_log = logging.getLogger(__name__)
_encode = json.Encoder().encode


def new_id(at: float) -> str:
    """The id of an entry of that epoch second: 28 hexadecimal digits, first the microseconds, then 60 random bits."""
    return (int(at * 1e6) << 60 | getrandbits(60)).to_bytes(14, "big").hex()


class Ledger:
    """Posts entries to a store by way of an outbox in `directory`. Belongs to one event loop.

    `interval` seconds is how long entries gather; `max_bytes` bounds the outbox while the store is out of reach.
    `others` is the store for entries of other living processes, if they are to be written without what goes with ours.
    """

    def __init__(
        self,
        store: LedgerStore,
        directory: Path,
        *,
        others: LedgerStore | None = None,
        interval: float = INTERVAL,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._store = store
        self._others = others
        self._directory = directory
        self._interval = interval
        self._outbox = Outbox(directory, new_id(time.time()), max_bytes)
        self._thread = ThreadPoolExecutor(1, "headgate-ledger")
        self._unsaved: list[Entry] = []
        self._timer: asyncio.TimerHandle | None = None
        self._moving: asyncio.Future[None] | None = None
        self._failures = 0
        self.lost = 0

    @property
    def healthy(self) -> bool:
        """False while the store cannot be reached or the local disk takes nothing more."""
        return not self._failures and not self._unsaved

    @property
    def backlog(self) -> int:
        """The bytes of entries on the local disk that the store does not have yet."""
        return self._outbox.size

    @property
    def full(self) -> bool:
        """Whether the next entry may be lost, because neither the disk nor the memory set aside has room for it."""
        return len(self._unsaved) >= MAX_UNSAVED

    def post(self, entry: Entry) -> bool:
        """Write the entry down; True says that it will outlive this process. Does not wait and does not raise.

        False says that the local disk refused it: it is kept in memory for the store, unless the ledger is `full`.
        Nobody may change it from here on: the store is given this very object.
        """
        try:
            line = _encode(entry)
            if len(line) > MAX_LINE:
                entry = _clipped(entry)
                line = _encode(entry)
            self._outbox.append(line + b"\n", entry)
            safe = True
        except UnicodeEncodeError:
            return self.post(_clipped(entry))
        except OSError as error:
            safe = False
            self._keep(entry, error)
        if self._timer is None and self._moving is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._move)
        return safe

    async def written(self, entry: Entry) -> bool:
        """Post; where the local disk refuses the entry wait up to two seconds for the store. Whether it is safe."""
        return self.post(entry) or await self.flush()

    async def flush(self, patience: float = PATIENCE) -> bool:
        """Move everything posted so far to the store; whether that succeeded within `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                for _ in range(2):  # a move under way began before the latest entries came; the next one takes them
                    failures = self._failures
                    if self._waiting:
                        await asyncio.wait([self._move()])
                    if self._failures > failures:
                        return False
        except TimeoutError:
            return False
        return True

    async def catch_up(self) -> int:
        """Move to the store what every process on this machine has posted, the living and the dead; how many entries.

        To be awaited at start, and before a query that must not miss what somebody has just seen. Raises Unavailable.
        """
        await self.flush()
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, recover, self._directory, self._store, self._others)

    async def close(self, patience: float = 2 * PATIENCE) -> bool:
        """Flush and let go of the files; whether nothing is left. What is left is moved at the next start."""
        flushed = await self.flush(patience)
        if self._timer is not None:
            self._timer.cancel()
        if not flushed:
            _log.error("the store is out of reach: %d bytes wait in %s", self._outbox.size, self._directory)
        self._thread.shutdown(wait=flushed, cancel_futures=True)
        if self._moving is None:  # else the thread is still at the files: the end of the process closes them
            self._outbox.close()
        return flushed

    @property
    def _waiting(self) -> bool:
        return self._outbox.size > 0 or len(self._unsaved) > 0

    def _move(self) -> asyncio.Future[None]:
        """Have the thread move what has gathered, or join the move that is under way."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._moving is None:
            page, unsaved = self._outbox.turn(), self._unsaved[:]
            work = asyncio.get_running_loop().run_in_executor(self._thread, self._work, page, unsaved)
            work.add_done_callback(lambda done: self._moved(done, len(unsaved)))
            self._moving = work
        return self._moving

    def _work(self, page: Page, unsaved: list[Entry]) -> None:
        if page.size:
            move_page(page, self._store)
        write(unsaved, self._store, self._directory)

    def _moved(self, done: asyncio.Future[None], unsaved: int) -> None:
        self._moving = None
        error = None if done.cancelled() else done.exception()
        if error is None:
            del self._unsaved[:unsaved]
            if self._failures:
                _log.warning("the ledger's store is back after %d failures", self._failures)
            self._failures = 0
        else:
            self._failures += 1
            if self._failures == 1:
                _log.error("the ledger's store is out of reach, entries gather in %s: %s", self._directory, error)
        if self._waiting:
            delay = min(BACKOFF, self._interval * 2 ** min(self._failures, 10))
            self._timer = asyncio.get_running_loop().call_later(delay, self._move)

    def _keep(self, entry: Entry, error: OSError) -> None:
        if not self._unsaved:
            _log.error("the outbox in %s takes no entries: %s", self._directory, error.strerror)
        if not self.full:
            self._unsaved.append(entry)
            return
        if not self.lost:
            _log.error("entries are lost: neither the store nor the outbox in %s takes any", self._directory)
        self.lost += 1


def _clipped(entry: Entry) -> Entry:
    """The entry with its texts cut to a sane length and to what UTF-8 can say; callers choose some of them."""
    texts = {name: value for name, value in structs.asdict(entry).items() if isinstance(value, str)}
    clean = {name: text[:MAX_TEXT].encode(errors="replace").decode() for name, text in texts.items()}
    return structs.replace(entry, **clean)

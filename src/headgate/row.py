"""`Row`: writes that wait until the event loop has run all that is ready, and are made one after the other.

In a row system calls cost less than each among other work, a peer on the same machine is woken once and not for each,
and all of them take one callback of the event loop.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary


class Row:
    """The writes that wait in one event loop. Those to the same transport keep their order."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.WriteTransport, bytes]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def write(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Write soon, unless the transport is closed by then."""
        waiting = self._waiting
        if not waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        waiting.append((transport, data))

    def flush(self) -> None:
        """Make the writes that wait."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)


_rows: WeakKeyDictionary[asyncio.AbstractEventLoop, Row] = WeakKeyDictionary()


def row_here() -> Row:
    """The Row of the running event loop."""
    loop = asyncio.get_running_loop()
    row = _rows.get(loop)
    if row is None:
        row = _rows[loop] = Row()
    return row

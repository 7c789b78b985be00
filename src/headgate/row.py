"""`Row`: writes that wait until the event loop has run all that is ready, and are made one after the other.

In a row system calls cost less than each among other work, a peer on the same machine is woken once and not for each,
and all of them take one callback of the event loop.
"""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakKeyDictionary

_log = logging.getLogger(__name__)


class Row:
    """The writes that wait in one event loop. Those to the same transport keep their order."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.WriteTransport, bytes]] = []

    def write(self, transport: asyncio.WriteTransport, data: bytes) -> None:
        """Write soon, unless the transport is closed by then."""
        waiting = self._waiting
        if not waiting:
            asyncio.get_running_loop().call_soon(self.flush)
        waiting.append((transport, data))

    def flush(self) -> None:
        """Make the writes that wait. One that fails, as to whom the end was told already, takes no other with it."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                try:
                    transport.write(data)
                except Exception as error:  # noqa: BLE001 - whatever a transport raises, it is not the others' matter
                    _log.warning("a write failed: %s", type(error).__name__)


_rows: WeakKeyDictionary[asyncio.AbstractEventLoop, Row] = WeakKeyDictionary()


def row_here() -> Row:
    """The Row of the running event loop."""
    loop = asyncio.get_running_loop()
    row = _rows.get(loop)
    if row is None:
        row = _rows[loop] = Row()
    return row

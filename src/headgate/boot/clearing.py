"""Clearing up: once an hour what has expired, or is older than `[store] keep`, is deleted in small steps."""

from __future__ import annotations

import asyncio
import logging
import time

from headgate.core.faults import Unavailable
from headgate.stores.ledger import LedgerTable
from headgate.stores.responses import ResponseTable

EVERY = 3600.0
STEP = 1000
"""Rows a transaction: whoever waits to write waits for milliseconds."""

log = logging.getLogger("headgate")


async def clear_up(entries: LedgerTable, responses: ResponseTable, keep: float | None) -> None:
    """For ever; `keep` is in seconds."""
    while True:
        try:
            await asyncio.to_thread(_clear, entries, responses, keep)
        except Unavailable as error:
            log.warning("what is too old could not be deleted, it is tried again in an hour: %s", error)
        await asyncio.sleep(EVERY)


def _clear(entries: LedgerTable, responses: ResponseTable, keep: float | None) -> None:
    responses.expire()
    if keep is not None:
        before = time.time() - keep
        while entries.forget(before, STEP):
            pass

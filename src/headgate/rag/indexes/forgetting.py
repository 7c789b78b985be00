"""`ForgettingIndex`: what an index is to forget is written down first, and is told to it until it has understood.

So an index that was out of reach when something was deleted forgets it later. Before a collection gets anything new,
all that it was to forget is forgotten: a late removal takes nothing that has come back.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headgate.core.faults import Fault, Unavailable
from headgate.core.knowledge import Near, Scope, Vector
from headgate.core.seams import Database, VectorIndex

LEASE = 60.0
"""Seconds that one process has for telling the index; it stops after half of them."""
LOOK = 2.0
"""Seconds between two looks for what is left."""
SOME = 1000

_NOTE = "INSERT INTO index_forgetting (id, tenant, collection, passages, due) VALUES (?, ?, ?, ?, ?)"
_TAKE = "UPDATE index_forgetting SET due = ? WHERE id = ? AND due <= ?"
_RELEASE = "UPDATE index_forgetting SET due = 0 WHERE id = ?"
_DONE = "DELETE FROM index_forgetting WHERE id = ?"
_OF = "SELECT id, tenant, collection, passages FROM index_forgetting WHERE tenant = ? AND collection = ?"
_LEFT = "SELECT id, tenant, collection, passages FROM index_forgetting WHERE due <= ? ORDER BY due LIMIT 100"

log = logging.getLogger("headgate")

Row = tuple[str, str, str, str]


class ForgettingIndex:
    """A `VectorIndex` around another one, with a list in the database."""

    def __init__(self, index: VectorIndex, database: Database) -> None:
        self._index = index
        self._database = database

    async def put(self, scope: Scope, vectors: Sequence[Vector]) -> None:
        """Add vectors, when all is forgotten that should be. Raises Unavailable."""
        for row in await asyncio.to_thread(self._database.rows, _OF, (scope.tenant, scope.collection)):
            if not await self._told(row):
                raise Unavailable("the index has yet to forget what was deleted", retry_after=1.0)
        await self._index.put(scope, vectors)

    async def remove(self, scope: Scope, passage_ids: Sequence[str]) -> None:
        """Forget passages, now or later. Raises Unavailable where that cannot be written down."""
        for at in range(0, len(passage_ids), SOME):
            await self._forget(scope, msgspec.json.encode(list(passage_ids[at : at + SOME])).decode())

    async def drop(self, scope: Scope) -> None:
        """Forget the collection, now or later. Raises Unavailable where that cannot be written down."""
        await self._forget(scope, "")

    async def nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> Sequence[Near]:
        """The k nearest passages. Raises Unavailable."""
        return await self._index.nearest(scope, vector, k, where)

    async def work(self) -> None:
        """Tell the index what is left, for ever."""
        while True:
            await asyncio.sleep(LOOK)
            try:
                await self.catch_up()
            except Fault as fault:
                log.warning("an index has yet to forget what was deleted: %s", fault.message)
            except Exception:
                log.exception("bug")

    async def catch_up(self) -> None:
        """Tell the index what nobody else is telling it. Raises Unavailable."""
        for row in await asyncio.to_thread(self._database.rows, _LEFT, (time.time(),)):
            await self._told(row)

    async def _forget(self, scope: Scope, passages: str) -> None:
        row = (secrets.token_hex(16), scope.tenant, scope.collection, passages)
        await asyncio.to_thread(self._database.run, (_NOTE, (*row, 0.0)))
        try:
            await self._told(row)
        except Unavailable as fault:
            log.warning("an index forgets later what was deleted: %s", fault.message)

    async def _told(self, row: Row) -> bool:
        """Tell the index; False where somebody else is doing it. Raises Unavailable."""
        id_, tenant, collection, passages = row
        now = time.time()
        if not await asyncio.to_thread(self._database.run, (_TAKE, (now + LEASE, id_, now))):
            return False
        scope = Scope(tenant, collection)
        try:
            async with asyncio.timeout(LEASE / 2):
                if passages:
                    await self._index.remove(scope, msgspec.json.decode(passages))
                else:
                    await self._index.drop(scope)
        except BaseException as error:
            await asyncio.to_thread(self._database.run, (_RELEASE, (id_,)))
            if isinstance(error, TimeoutError):
                raise Unavailable("the index takes too long") from error
            raise
        await asyncio.to_thread(self._database.run, (_DONE, (id_,)))
        return True

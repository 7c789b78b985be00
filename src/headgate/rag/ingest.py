"""Taking documents in: text at once, and in the background whatever needs a parser or vectors.

What was taken in is in the shelf before anybody is told so. A worker holds a lease on what it works at, and writes only
while it holds it; the lease of one that died runs out, and another worker begins again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import PurePosixPath

from msgspec import structs

from headgate.core.faults import Fault, InvalidField, LimitReached, NotFound, Overloaded, Then, Unavailable
from headgate.core.knowledge import Document, Draft, Job, Kept, Origin, Piece, Room, Scope, Vector
from headgate.core.principal import Principal
from headgate.core.seams import Shelf, VectorIndex
from headgate.rag.chunk import embedded, hashed, heading, pieces
from headgate.rag.embedder import Embeds
from headgate.rag.reading import MEDIA, PLAIN, Reading, Unreadable, plain

LEASE = 20.0
"""Seconds after which what a dead worker held is taken up again."""
TRIES = 20
"""Leases of one document, after which it is given up: whoever reads it dies of it."""
AT_ONCE = 2_000_000
"""Bytes of text that one request may have read at once; what is more waits its turn."""

_LOOK = 1.0
_LONGEST_WAIT = 3600.0

log = logging.getLogger("headgate")


class Ingester:
    """Takes documents in, and works off those that wait."""

    def __init__(
        self,
        shelf: Shelf,
        index: VectorIndex,
        embedder: Embeds | None,
        *,
        chunk: int = 1000,
        reading: Reading | None = None,
        hands: int = 2,
        lease: float = LEASE,
    ) -> None:
        self._shelf = shelf
        self._index = index
        self._embedder = embedder
        self._chunk = chunk
        self._reading = reading or Reading()
        self._hands = hands
        self._lease = lease
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self._called = asyncio.Event()
        self._done = asyncio.Event()

    async def take(self, who: Principal, scope: Scope, drafts: Sequence[Draft], room: Room | None = None) -> list[Kept]:
        """Keep drafts: ready at once where that is quick, else queued. The collection is made if it is not there.

        Raises Forbidden where there is no room.
        """
        model = self._embedder.model if self._embedder else ""
        await asyncio.to_thread(self._shelf.create, scope, model)
        quick = sum(len(draft.body) for draft in drafts) <= AT_ONCE and all(draft.media in PLAIN for draft in drafts)
        if quick and not (await asyncio.to_thread(self._shelf.collection, scope)).model:
            try:
                ready = await asyncio.to_thread(lambda: [self._read_at_once(draft) for draft in drafts])
            except Unreadable:
                pass  # the one that is at fault is to fail, and not the others
            else:
                return await asyncio.to_thread(self._shelf.put, scope, ready, room)
        kept = await asyncio.to_thread(self._shelf.queue, scope, who, drafts, room)
        self.call()
        return kept

    def _read_at_once(self, draft: Draft) -> tuple[Draft, str, list[Piece]]:
        text = plain(draft.body, self._reading.most).text
        draft = titled(draft, "", text)
        return draft, text, pieces(draft.id, draft.title, text, self._chunk)

    def call(self) -> None:
        """There is work: look now."""
        self._called.set()

    async def settled(self, scope: Scope, document_id: str, seconds: float) -> Document:
        """The document once it is ready or failed, or as it is after so many seconds. Raises NotFound."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    document = await asyncio.to_thread(self._shelf.document, scope, document_id)
                    if document.state in {"ready", "failed"}:
                        return document
                    self._done.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.25):  # another process may be at it
                            await self._done.wait()
        return await asyncio.to_thread(self._shelf.document, scope, document_id)

    async def remove(self, scope: Scope, document_id: str) -> None:
        """Forget a document, among the vectors too. Raises NotFound."""
        gone = await asyncio.to_thread(self._shelf.remove, scope, document_id)
        await self._index.remove(scope, gone)

    async def drop(self, scope: Scope) -> None:
        """Forget a collection, and all its vectors. Raises NotFound."""
        await asyncio.to_thread(self._shelf.drop, scope)
        await self._index.drop(scope)

    async def embed_anew(self, who: Principal, scope: Scope) -> None:
        """Make new vectors of a whole collection with the model that is configured now, none where there is none.

        Raises NotFound; InvalidField where there are no vectors to drop either.
        """
        model = self._embedder.model if self._embedder else ""
        if not model and not (await asyncio.to_thread(self._shelf.collection, scope)).model:
            raise InvalidField("there is no embedding model to make vectors with: `[knowledge] embedder` names it")
        await asyncio.to_thread(self._shelf.bind, scope, who, model, 0)
        await self._index.drop(scope)
        self.call()

    async def work(self) -> None:
        """Work off what waits, for ever."""
        busy: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._called.clear()
                jobs = await self._leased(self._hands - len(busy))
                for job in jobs:
                    task = asyncio.create_task(self._handled(job))
                    busy.add(task)
                    task.add_done_callback(busy.discard)
                if len(busy) >= self._hands:
                    await asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
                elif not jobs:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK):
                            await self._called.wait()
        finally:
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    async def _leased(self, most: int) -> list[Job]:
        try:
            return await asyncio.to_thread(self._shelf.lease, self._owner, self._lease, most)
        except Unavailable as fault:
            log.warning("documents wait: %s", fault.message)
            return []
        except Exception:
            log.exception("bug")
            return []

    async def _handled(self, job: Job) -> None:
        """One job, whose end is always told to the shelf, unless this process ends before."""
        try:
            renewing = asyncio.create_task(self._renew(job))
            try:
                await self._done_with(job)
            finally:
                renewing.cancel()
        except NotFound:
            return  # dropped meanwhile
        except Exception as error:  # the lease would run out, and somebody would run into it again
            if not isinstance(error, Fault):
                log.exception("bug")
            with suppress(Fault):
                await asyncio.to_thread(self._shelf.fail, job, "something went wrong inside Headgate")
        self._done.set()
        self._called.set()

    async def _done_with(self, job: Job) -> None:
        try:
            if job.tries > TRIES:
                raise Unreadable(f"reading it was interrupted {TRIES} times")
            job, text, found = await self._understood(job)
            found = await self._with_vectors(job, found)
            await self._indexed(job, found)
        except (Unreadable, InvalidField) as error:
            await asyncio.to_thread(self._shelf.fail, job, str(error))
        except Fault as fault:
            again = _later(fault, job.tries)
            if isinstance(fault, LimitReached | Unavailable | Overloaded):
                job = structs.replace(job, tries=job.tries - 1)  # the document is not to blame
            await asyncio.to_thread(self._shelf.fail, job, fault.message, again)
        else:
            gone = await asyncio.to_thread(self._shelf.finish, job, text, found)
            if gone:
                await self._index.remove(job.scope, gone)

    async def _understood(self, job: Job) -> tuple[Job, str, list[Piece]]:
        """The job, with a title, and its text and pieces."""
        draft = job.draft
        if not draft.media:  # it has been read before, and only wants new vectors
            there = await asyncio.to_thread(self._shelf.pieces, job.scope, draft.id)
            again = [structs.replace(each, digest=hashed(draft.title, *each.path, each.text)) for each in there]
            return job, "", again
        read = await self._reading.read(draft.media, draft.body)
        draft = titled(draft, read.title, read.text)
        job = structs.replace(job, draft=draft)
        found = await asyncio.to_thread(pieces, draft.id, draft.title, read.text, self._chunk)
        return job, read.text, found

    async def _with_vectors(self, job: Job, found: list[Piece]) -> list[Piece]:
        """The pieces with their vectors: those that are known, and for the others new ones. Raises Faults."""
        collection = await asyncio.to_thread(self._shelf.collection, job.scope)
        if not collection.model:
            return found
        if self._embedder is None or self._embedder.model != collection.model:
            ours = self._embedder.model if self._embedder else "none"
            raise InvalidField(f"the collection has vectors of {collection.model}, configured is {ours}: re-embed it")
        known = await asyncio.to_thread(self._shelf.known, job.scope, [piece.digest for piece in found])
        new = list({piece.digest: piece for piece in found if piece.digest not in known}.values())
        if new:
            texts = [embedded(job.draft.title, piece) for piece in new]
            origin = Origin(request_id=f"doc_{job.draft.digest[:24]}", surface="documents")
            vectors = await self._embedder.embed(job.who, texts, "document", origin)
            if collection.dimension and len(vectors[0]) != collection.dimension:
                what = f"the collection has vectors of {collection.dimension} numbers, {collection.model} makes "
                raise InvalidField(what + f"{len(vectors[0])}: re-embed it")
            known |= {piece.digest: vector for piece, vector in zip(new, vectors, strict=True)}
        return [structs.replace(piece, values=known[piece.digest]) for piece in found]

    async def _indexed(self, job: Job, found: Sequence[Piece]) -> None:
        """Tell the index first: it may know what the shelf does not yet, and not the other way round."""
        draft = job.draft
        vectors = [
            Vector(passage_id=each.id, document_id=draft.id, values=each.values, metadata=draft.metadata)
            for each in found
            if each.values
        ]
        if vectors:
            await self._index.put(job.scope, vectors)

    async def _renew(self, job: Job) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            with suppress(Fault):
                await asyncio.to_thread(self._shelf.renew, job, self._lease)


def titled(draft: Draft, told: str, text: str) -> Draft:
    """The draft with a title: its own, else what the file tells, its first heading, or a file's name."""
    if draft.title:
        return draft
    path = PurePosixPath(draft.id)
    title = told or heading(text) or (path.stem if path.suffix.lower() in MEDIA else "")
    return structs.replace(draft, title=title[:500])


def _later(fault: Fault, tries: int) -> float | None:
    """When to try again what a fault stopped; None where that does not help."""
    if isinstance(fault, LimitReached) and fault.retry_after is None:
        return None
    if isinstance(fault, LimitReached | Unavailable | Overloaded):
        return min(max(fault.retry_after or 1.0, 0.1), _LONGEST_WAIT)
    if fault.then is Then.AGAIN and tries < TRIES:
        return fault.retry_after or min(2.0**tries, 60.0)
    return None

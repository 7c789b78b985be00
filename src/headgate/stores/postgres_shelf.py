"""`PostgresShelf`: collections in PostgreSQL, shared by all processes that have the same database.

Whoever writes to a collection holds its row until the end of the transaction, so writers take turns and nobody writes
to what is dropped. Whoever reads looks up its number first, by tenant and name: no query goes without it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from headgate.core.faults import Forbidden, NotFound
from headgate.core.knowledge import (
    Collection,
    Document,
    Draft,
    Hit,
    Job,
    Kept,
    Passage,
    Piece,
    Room,
    Scope,
    State,
)
from headgate.core.principal import Principal
from headgate.stores import postgres_shelf_reading as reading
from headgate.stores import postgres_shelf_writing as writing
from headgate.stores.collection import is_dead
from headgate.stores.collection_schema import NEVER
from headgate.stores.collection_writing import COLUMNS, document_of, missing
from headgate.stores.postgres import PostgresDatabase, Transaction
from headgate.stores.shelf import MOST_COLLECTIONS
from headgate.stores.stems import Stems

PATIENCE = 60.0
"""Seconds for one transaction: a document of many pages has many passages."""
SOME = 200
"""Documents of a dropped collection that are deleted at once."""

_CREATE = """
INSERT INTO knowledge_collections
(number, tenant, name, model, dimension, created, documents, passages, size, length)
SELECT ?, ?, ?, ?, ?, ?, 0, 0, 0, 0 WHERE (SELECT COUNT(*) FROM knowledge_collections WHERE tenant = ?) < ?
ON CONFLICT DO NOTHING
"""
_ABOUT = f"""
SELECT name, model, dimension, documents, passages, size, created,
    (SELECT COUNT(*) FROM knowledge_drafts AS d WHERE d.collection = c.number AND due < {NEVER}),
    (SELECT COUNT(*) FROM knowledge_drafts AS d WHERE d.collection = c.number AND due >= {NEVER})
FROM knowledge_collections AS c WHERE tenant = ?
"""  # noqa: S608 - a constant
_NUMBER = "SELECT number FROM knowledge_collections WHERE tenant = ? AND name = ?"
_AGAIN = """
INSERT INTO knowledge_drafts (number, collection, title, media, metadata, who, token, due, tries, body)
SELECT number, collection, title, '', metadata, ?, '', ?, 0, ? FROM knowledge_documents
WHERE collection = ? AND state = 'ready'
"""
_WAITS = """
UPDATE knowledge_documents SET state = 'queued', version = version + 1 WHERE collection = ? AND state = 'ready'
"""
_HELD_NOW = "SELECT DISTINCT token FROM knowledge_drafts WHERE token != '' AND due > ? AND due < ?"
_TAKE = """
UPDATE knowledge_drafts SET token = ?, due = ?, tries = tries + 1 WHERE number IN (
    SELECT number FROM knowledge_drafts WHERE due <= ? ORDER BY due, number LIMIT ? FOR UPDATE SKIP LOCKED
) RETURNING number, title, media, metadata, who, tries, body
"""
_TAKEN = """
SELECT d.number, tenant, name, id, version, digest
FROM knowledge_documents AS d JOIN knowledge_collections AS c ON c.number = d.collection WHERE d.number = ANY(?)
"""
# Whoever holds such a row waits for a draft, so nobody who holds a draft may wait for such a row.
_AT_WORK = """
UPDATE knowledge_documents SET state = 'processing' WHERE number IN (
    SELECT number FROM knowledge_documents WHERE number = ANY(?) FOR UPDATE SKIP LOCKED
)
"""
_HELD = """
SELECT 1 FROM knowledge_drafts JOIN knowledge_documents USING (number) WHERE number = ? AND version = ? AND token = ?
"""
_LEFT = """
SELECT DISTINCT collection FROM knowledge_documents AS d
WHERE NOT EXISTS (SELECT 1 FROM knowledge_collections AS c WHERE c.number = d.collection)
"""


class PostgresShelf:
    """A `Shelf` in a database that is migrated. Blocking, from any thread, by several processes at once."""

    def __init__(self, database: PostgresDatabase) -> None:
        self._base = database
        self._stems = Stems()
        for (number,) in database.rows(_LEFT):
            self._sweep(number)  # a process died in the middle

    def close(self) -> None:
        """Let go of what is its own; the database is somebody else's."""
        self._stems.close()

    def create(self, scope: Scope, model: str = "", dimension: int = 0) -> bool:
        """Make a collection; False where there was one. Raises Forbidden where the tenant has too many."""
        if self._base.rows(_NUMBER, (scope.tenant, scope.collection)):
            return False
        told = (writing.drawn(), scope.tenant, scope.collection, model, dimension, time.time())
        if self._base.run((_CREATE, (*told, scope.tenant, MOST_COLLECTIONS))):
            return True
        if not self._base.rows(_NUMBER, (scope.tenant, scope.collection)):
            raise Forbidden(f"you have {MOST_COLLECTIONS} collections already")
        return False

    def collections(self, tenant: str) -> list[Collection]:
        """The tenant's collections."""
        return [_about(row) for row in self._base.rows(f"{_ABOUT} ORDER BY name", (tenant,))]

    def scopes(self) -> list[Scope]:
        """The collections of all tenants."""
        return [Scope(*row) for row in self._base.rows("SELECT tenant, name FROM knowledge_collections ORDER BY 1, 2")]

    def collection(self, scope: Scope) -> Collection:
        """One of them. Raises NotFound."""
        rows = self._base.rows(f"{_ABOUT} AND name = ?", (scope.tenant, scope.collection))
        if not rows:
            raise _no_collection(scope)
        return _about(rows[0])

    def bind(self, scope: Scope, who: Principal, model: str, dimension: int) -> None:
        """Its vectors are of another model from now on. Raises NotFound."""
        with self._writing(scope) as (base, number):
            sql = "UPDATE knowledge_collections SET model = ?, dimension = ? WHERE number = ?"
            base.execute(sql, (model, dimension, number))
            sql = "UPDATE knowledge_passages SET scale = NULL, data = NULL WHERE collection = ? AND data IS NOT NULL"
            base.execute(sql, (number,))
            if model:
                base.execute(_AGAIN, (msgspec.json.encode(who), time.time(), b"", number))
                base.execute(_WAITS, (number,))

    def drop(self, scope: Scope) -> None:
        """Forget a collection: at once for everybody, and then all that was in it. Raises NotFound."""
        with self._writing(scope) as (base, number):
            base.execute("DELETE FROM knowledge_collections WHERE number = ?", (number,))
            base.execute("DELETE FROM knowledge_drafts WHERE collection = ?", (number,))
        self._sweep(number)

    def queue(self, scope: Scope, who: Principal, drafts: Sequence[Draft], room: Room | None = None) -> list[Kept]:
        """Keep drafts, to be leased. Raises NotFound, Forbidden."""
        with self._writing(scope, drafts, room) as (base, collection):
            results = []
            for draft in drafts:
                number, result = writing.send(base, collection, draft)
                if result != "unchanged":
                    writing.queue(base, collection, number, draft, who)
                results.append(writing.kept(base, collection, draft, result))
            return results

    def put(
        self, scope: Scope, drafts: Sequence[tuple[Draft, str, Sequence[Piece]]], room: Room | None = None
    ) -> list[Kept]:
        """Keep drafts that are ready. Raises NotFound, Forbidden."""
        with self._writing(scope, [each[0] for each in drafts], room) as (base, collection):
            results = []
            for draft, text, pieces in drafts:
                number, result = writing.send(base, collection, draft)
                if result != "unchanged":
                    writing.replace(base, self._stems, collection, number, draft, text, pieces)
                results.append(writing.kept(base, collection, draft, result))
            return results

    def lease(self, owner: str, seconds: float, most: int) -> list[Job]:
        """Take documents that wait."""
        if most < 1:
            return []
        now, token = time.time(), f"{owner}/{secrets.token_hex(8)}"
        with self._base.transaction() as base:
            dead = [held for (held,) in base.execute(_HELD_NOW, (now, NEVER)).fetchall() if is_dead(held)]
            if dead:
                base.execute("UPDATE knowledge_drafts SET due = 0 WHERE token = ANY(?)", (dead,))
            taken = base.execute(_TAKE, (token, now + seconds, now, most)).fetchall()
            if not taken:
                return []
            numbers = [row[0] for row in taken]
            base.execute(_AT_WORK, (numbers,))
            of = {row[0]: row[1:] for row in base.execute(_TAKEN, (numbers,)).fetchall()}
        return [_job(token, row, of[row[0]]) for row in taken if row[0] in of]

    def renew(self, job: Job, seconds: float) -> bool:
        """Hold a lease for longer."""
        sql = "UPDATE knowledge_drafts SET due = ? WHERE number = ? AND token = ?"
        return bool(self._base.run((sql, (time.time() + seconds, job.number, job.token))))

    def known(self, scope: Scope, digests: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Vectors by digest. Raises NotFound."""
        return reading.vectors(self._base, self._number(scope), "digest", digests)

    def finish(self, job: Job, text: str, pieces: Sequence[Piece]) -> Sequence[str] | None:
        """New passages for old ones, unless the lease is lost. Raises NotFound."""
        with self._writing(job.scope) as (base, collection):
            if base.execute(_HELD, (job.number, job.version, job.token)).fetchone() is None:
                return None
            dimension = next((len(piece.values) for piece in pieces if piece.values), 0)
            sql = "UPDATE knowledge_collections SET dimension = ? WHERE number = ? AND dimension = 0"
            base.execute(sql, (dimension, collection))
            if job.draft.media:
                return writing.replace(base, self._stems, collection, job.number, job.draft, text, pieces)
            writing.give_vectors(base, job.number, pieces)
            ready = "UPDATE knowledge_documents SET state = 'ready', error = '' WHERE number = ?"
            base.execute(ready, (job.number,))
            base.execute("DELETE FROM knowledge_drafts WHERE number = ?", (job.number,))
            return []

    def fail(self, job: Job, error: str, retry_after: float | None = None) -> None:
        """Give a lease back. Raises NotFound."""
        with self._writing(job.scope) as (base, _):
            if base.execute(_HELD, (job.number, job.version, job.token)).fetchone() is None:
                return
            if retry_after is None:
                writing.fail(base, job.number, error)
                return
            waits = "UPDATE knowledge_documents SET state = 'queued', error = ? WHERE number = ?"
            base.execute(waits, (error, job.number))
            later = "UPDATE knowledge_drafts SET due = ?, token = '', tries = ? WHERE number = ?"
            base.execute(later, (time.time() + retry_after, job.tries, job.number))

    def retry(self, scope: Scope, document_id: str) -> Document:
        """Queue a failed document again. Raises NotFound."""
        with self._writing(scope) as (base, collection):
            number, document = writing.find(base, collection, document_id)
            if document.state == "failed":
                queued = "UPDATE knowledge_documents SET state = 'queued', error = '' WHERE number = ?"
                base.execute(queued, (number,))
                now = "UPDATE knowledge_drafts SET due = ?, tries = 0 WHERE number = ?"
                base.execute(now, (time.time(), number))
            return writing.find(base, collection, document_id)[1]

    def documents(self, scope: Scope, state: State | None = None, after: str = "", limit: int = 100) -> list[Document]:
        """A page of documents. Raises NotFound."""
        only = "AND state = ?" if state else ""
        sql = f"SELECT {COLUMNS} FROM knowledge_documents WHERE collection = ? AND id > ? {only} ORDER BY id LIMIT ?"  # noqa: S608 - constants
        values = (self._number(scope), after, *((state,) if state else ()), limit)
        return [document_of(row) for row in self._base.rows(sql, values)]

    def document(self, scope: Scope, document_id: str) -> Document:
        """One of them. Raises NotFound."""
        return document_of(self._row(scope, document_id, COLUMNS))

    def text(self, scope: Scope, document_id: str) -> str:
        """The text that its passages are pieces of. Raises NotFound."""
        return str(self._row(scope, document_id, "text")[0])

    def pieces(self, scope: Scope, document_id: str) -> list[Piece]:
        """The passages of a document, without vectors. Raises NotFound."""
        return reading.pieces(self._base, self._number(scope), document_id)

    def remove(self, scope: Scope, document_id: str) -> Sequence[str]:
        """Forget a document. Raises NotFound."""
        with self._writing(scope) as (base, collection):
            return writing.remove(base, collection, document_id)

    def lexical(self, scope: Scope, words: Sequence[str], k: int, where: Mapping[str, Any]) -> list[Hit]:
        """The best passages that have any of the words. Raises NotFound."""
        return reading.lexical(self._base, self._stems, self._number(scope), words, k, where)

    def coverage(self, scope: Scope, words: Sequence[str], passage_ids: Sequence[str]) -> dict[str, float]:
        """How much of the words each passage has. Raises NotFound."""
        return reading.coverage(self._base, self._stems, self._number(scope), words, passage_ids)

    def passages(self, scope: Scope, passage_ids: Sequence[str]) -> dict[str, Passage]:
        """Those that are there. Raises NotFound."""
        return reading.passages(self._base, self._number(scope), passage_ids)

    def vectors(self, scope: Scope, passage_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Vectors by passage. Raises NotFound."""
        return reading.vectors(self._base, self._number(scope), "id", passage_ids)

    def _number(self, scope: Scope) -> int:
        rows = self._base.rows(_NUMBER, (scope.tenant, scope.collection))
        if not rows:
            raise _no_collection(scope)
        return int(rows[0][0])

    def _row(self, scope: Scope, document_id: str, columns: str) -> tuple[Any, ...]:
        sql = f"SELECT {columns} FROM knowledge_documents WHERE collection = ? AND id = ?"  # noqa: S608 - constants
        rows = self._base.rows(sql, (self._number(scope), document_id))
        if not rows:
            raise missing(scope.collection, document_id)
        return rows[0]

    @contextmanager
    def _writing(
        self, scope: Scope, drafts: Sequence[Draft] = (), room: Room | None = None
    ) -> Iterator[tuple[Transaction, int]]:
        """A transaction that holds the collection, when there is room for the drafts. Raises NotFound, Forbidden."""
        with self._base.transaction(PATIENCE) as base:
            if room is not None:
                base.execute("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (scope.tenant,))
            row = base.execute(f"{_NUMBER} FOR UPDATE", (scope.tenant, scope.collection)).fetchone()
            if row is None:
                raise _no_collection(scope)
            if room is not None:
                _see_that_there_is(room, base, scope.tenant, row[0], drafts)
            yield base, row[0]

    def _sweep(self, collection: int) -> None:
        """Delete what was in a collection that is no more, its documents last: they tell that something is left."""
        some = "SELECT number FROM knowledge_documents WHERE collection = ? LIMIT ?"
        while rows := self._base.rows(some, (collection, SOME)):
            numbers = [row[0] for row in rows]
            passages = "SELECT number FROM knowledge_passages WHERE document = ANY(?)"
            with self._base.transaction(PATIENCE) as base:
                base.execute(f"DELETE FROM knowledge_postings WHERE passage IN ({passages})", (numbers,))  # noqa: S608 - a constant
                base.execute("DELETE FROM knowledge_passages WHERE document = ANY(?)", (numbers,))
                base.execute("DELETE FROM knowledge_facets WHERE document = ANY(?)", (numbers,))
                base.execute("DELETE FROM knowledge_documents WHERE number = ANY(?)", (numbers,))


def _see_that_there_is(room: Room, base: Transaction, tenant: str, collection: int, drafts: Sequence[Draft]) -> None:
    """Raises Forbidden where there is no room."""
    sizes = {draft.id: len(draft.body) for draft in drafts}
    sql = "SELECT id, size FROM knowledge_documents WHERE collection = ? AND id = ANY(?)"
    there = dict(base.execute(sql, (collection, list(sizes))).fetchall())
    new, size = len(sizes.keys() - there.keys()), sum(size - there.get(id_, 0) for id_, size in sizes.items())
    sql = "SELECT COALESCE(SUM(documents), 0), COALESCE(SUM(size), 0) FROM knowledge_collections WHERE tenant = ?"
    row = base.execute(sql, (tenant,)).fetchone()
    assert row is not None  # noqa: S101 - sums are always there
    documents, total = int(row[0]) + new, int(row[1]) + size
    if room.documents is not None and documents > room.documents and new:
        raise Forbidden(f"your tier keeps {room.documents} documents, and this would be {documents}")
    if room.size is not None and total > room.size and size > 0:
        raise Forbidden(f"your tier keeps {room.size} bytes of documents, and this would be {total}")


def _about(row: Sequence[Any]) -> Collection:
    name, model, dimension, documents, passages, size, created, unfinished, failed = row
    return Collection(
        name=name,
        model=model,
        dimension=dimension,
        documents=documents,
        passages=passages,
        size=size,
        unfinished=unfinished,
        failed=failed,
        created=created,
    )


def _job(token: str, row: Sequence[Any], of: Sequence[Any]) -> Job:
    number, title, media, metadata, who, tries, body = row
    tenant, name, id_, version, digest = of
    said = msgspec.json.decode(metadata)
    return Job(
        scope=Scope(tenant, name),
        number=number,
        version=version,
        token=token,
        draft=Draft(id=id_, title=title, body=body, media=media, digest=digest, metadata=said),
        who=msgspec.json.decode(who, type=Principal),
        tries=tries,
    )


def _no_collection(scope: Scope) -> NotFound:
    return NotFound(f"there is no collection {scope.collection[:100]!r}")

"""`CollectionFile`: one collection in one SQLite file. Blocking, from any thread, by several processes at once."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from headgate.core.faults import InternalError
from headgate.core.knowledge import (
    Collection,
    Document,
    Draft,
    Hit,
    Job,
    Kept,
    Passage,
    Piece,
    Scope,
    State,
)
from headgate.core.principal import Principal
from headgate.stores import collection_reading as reading
from headgate.stores import collection_writing as writing
from headgate.stores.collection_schema import NEVER, SCHEMA
from headgate.stores.sqlite import SqliteDatabase
from headgate.stores.stems import Stems

_ABOUT = """
SELECT name, model, dimension, documents, passages, size, (SELECT COUNT(*) FROM drafts WHERE due < ?1),
    (SELECT COUNT(*) FROM drafts WHERE due >= ?1), created FROM about
"""
_TAKE = """
UPDATE drafts SET token = ?, due = ?, tries = tries + 1
WHERE number IN (SELECT number FROM drafts WHERE due <= ? ORDER BY due, number LIMIT ?)
RETURNING number, title, media, metadata, who, tries, body
"""
_HELD_NOW = f"SELECT DISTINCT token FROM drafts WHERE token != '' AND due > ? AND due < {NEVER}"  # noqa: S608 - a constant
_SENT = "SELECT id, version, digest FROM documents WHERE number = ?"
_HELD = "SELECT 1 FROM drafts JOIN documents USING (number) WHERE number = ? AND version = ? AND token = ?"
_AGAIN = """
INSERT OR REPLACE INTO drafts (number, title, media, metadata, who, token, due, tries, body)
SELECT number, title, '', metadata, ?, '', ?, 0, x'' FROM documents WHERE state = 'ready'
"""
_LATER = "UPDATE drafts SET due = ?, token = '', tries = ? WHERE number = ?"
_VECTORS = "SELECT id, scale, data FROM vectors JOIN passages ON passages.number = passage WHERE id IN ({marks})"
_KNOWN = "SELECT digest, scale, data FROM vectors WHERE digest IN ({marks})"
_SOME = 500


class CollectionFile:
    """The file at `path`, which is there already; `create` makes one."""

    def __init__(self, scope: Scope, path: Path, stems: Stems) -> None:
        self.scope = scope
        self.base = SqliteDatabase(path, create=False)
        self._stems = stems
        self._counts = reading.Counts()
        if self.base.rows("SELECT tenant, name FROM about") != [(scope.tenant, scope.collection)]:
            self.base.close()
            raise InternalError("a collection's file is another collection's")

    @staticmethod
    def create(scope: Scope, path: Path, model: str, dimension: int) -> None:
        """Make the file, with its tables."""
        base = SqliteDatabase(path)
        try:
            with base.transaction() as connection:
                for statement in filter(str.strip, SCHEMA.split(";\n")):
                    connection.execute(statement)
                about = "INSERT INTO about (tenant, name, model, dimension, created) VALUES (?, ?, ?, ?, ?)"
                connection.execute(about, (scope.tenant, scope.collection, model, dimension, time.time()))
        finally:
            base.close()

    def close(self) -> None:
        """Close its connections."""
        self.base.close()

    def about(self) -> Collection:
        """What is in it."""
        name, model, dimension, documents, passages, size, unfinished, failed, created = self.base.rows(
            _ABOUT, (NEVER,)
        )[0]
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

    def bind(self, who: Principal, model: str, dimension: int) -> None:
        """Its vectors are of another model from now on; every document is queued for new ones."""
        with self.base.transaction() as base:
            base.execute("UPDATE about SET model = ?, dimension = ?, generation = generation + 1", (model, dimension))
            base.execute("DELETE FROM vectors")
            if model:
                base.execute(_AGAIN, (msgspec.json.encode(who), time.time()))
                base.execute("UPDATE documents SET state = 'queued', version = version + 1 WHERE state = 'ready'")

    def queue(self, who: Principal, drafts: Sequence[Draft]) -> list[Kept]:
        """Keep drafts, to be leased."""
        with self.base.transaction() as base:
            results = []
            for draft in drafts:
                number, result = writing.send(base, draft)
                if result != "unchanged":
                    writing.queue(base, number, draft, who)
                results.append(writing.kept(base, draft, result))
            return results

    def put(self, drafts: Sequence[tuple[Draft, str, Sequence[Piece]]]) -> list[Kept]:
        """Keep drafts that are ready."""
        with self.base.transaction() as base:
            swap = writing.Swap(base)
            results = []
            for draft, text, pieces in drafts:
                number, result = writing.send(base, draft)
                if result != "unchanged":
                    swap.document(number, draft, text, pieces)
                results.append(writing.kept(base, draft, result))
            swap.flush()
            return results

    def growth(self, drafts: Sequence[Draft]) -> tuple[int, int]:
        """How many documents and bytes more there would be with the drafts."""
        there: dict[str, int] = {}
        ids = list({draft.id for draft in drafts})
        for at in range(0, len(ids), _SOME):
            some = ids[at : at + _SOME]
            marks = ", ".join("?" * len(some))
            there.update(self.base.rows(f"SELECT id, size FROM documents WHERE id IN ({marks})", some))  # noqa: S608 - marks
        sizes = {draft.id: len(draft.body) for draft in drafts}
        return len(sizes.keys() - there.keys()), sum(size - there.get(id_, 0) for id_, size in sizes.items())

    def lease(self, owner: str, seconds: float, most: int) -> list[Job]:
        """Take drafts whose time has come, or whose worker is gone."""
        now = time.time()
        jobs = []
        with self.base.transaction() as base:
            token = f"{owner}/{secrets.token_hex(8)}"
            for (held,) in base.execute(_HELD_NOW, (now,)).fetchall():
                if is_dead(held):
                    base.execute("UPDATE drafts SET due = 0 WHERE token = ?", (held,))
            taken = base.execute(_TAKE, (token, now + seconds, now, most)).fetchall()
            for number, title, media, metadata, who, tries, body in taken:
                id_, version, digest = base.execute(_SENT, (number,)).fetchone()
                base.execute("UPDATE documents SET state = 'processing' WHERE number = ?", (number,))
                said = msgspec.json.decode(metadata)
                draft = Draft(id=id_, title=title, body=body, media=media, digest=digest, metadata=said)
                payer = msgspec.json.decode(who, type=Principal)
                jobs.append(
                    Job(
                        scope=self.scope,
                        number=number,
                        version=version,
                        token=token,
                        draft=draft,
                        who=payer,
                        tries=tries,
                    )
                )
        return jobs

    def renew(self, job: Job, seconds: float) -> bool:
        """Hold a lease for longer."""
        due = time.time() + seconds
        sql = "UPDATE drafts SET due = ? WHERE number = ? AND token = ?"
        return bool(self.base.run((sql, (due, job.number, job.token))))

    def finish(self, job: Job, text: str, pieces: Sequence[Piece]) -> Sequence[str] | None:
        """New passages for old ones, unless the lease is lost."""
        with self.base.transaction() as base:
            if base.execute(_HELD, (job.number, job.version, job.token)).fetchone() is None:
                return None
            dimension = next((len(piece.values) for piece in pieces if piece.values), 0)
            base.execute("UPDATE about SET dimension = ? WHERE dimension = 0", (dimension,))
            swap = writing.Swap(base)
            if not job.draft.media:
                swap.vectors(job.number, pieces)
                swap.flush()
                return []
            gone = swap.document(job.number, job.draft, text, pieces)
            swap.flush()
            return gone

    def fail(self, job: Job, error: str, retry_after: float | None) -> None:
        """Give the lease back, with an error or for later."""
        with self.base.transaction() as base:
            if base.execute(_HELD, (job.number, job.version, job.token)).fetchone() is None:
                return
            if retry_after is None:
                writing.fail(base, job.number, error)
                return
            base.execute(_LATER, (time.time() + retry_after, job.tries, job.number))
            waits = "UPDATE documents SET state = 'queued', error = ? WHERE number = ?"
            base.execute(waits, (error, job.number))

    def retry(self, document_id: str) -> Document:
        """Queue a failed document again."""
        with self.base.transaction() as base:
            number, document = writing.find(base, document_id)
            if document.state == "failed":
                base.execute("UPDATE drafts SET due = ?, tries = 0 WHERE number = ?", (time.time(), number))
                base.execute("UPDATE documents SET state = 'queued', error = '' WHERE number = ?", (number,))
            return writing.find(base, document_id)[1]

    def documents(self, state: State | None, after: str, limit: int) -> list[Document]:
        """A page of them, by id."""
        sql = f"SELECT {writing.COLUMNS} FROM documents WHERE id > ? AND (state = ? OR ? IS NULL) ORDER BY id LIMIT ?"  # noqa: S608 - constants
        return [writing.document_of(row) for row in self.base.rows(sql, (after, state, state, limit))]

    def document(self, document_id: str) -> Document:
        """One of them. Raises NotFound."""
        sql = f"SELECT {writing.COLUMNS} FROM documents WHERE id = ?"  # noqa: S608 - constants
        rows = self.base.rows(sql, (document_id,))
        if not rows:
            raise writing.missing(self.scope.collection, document_id)
        return writing.document_of(rows[0])

    def text(self, document_id: str) -> str:
        """The text that its passages are pieces of. Raises NotFound."""
        sql = "SELECT text FROM documents LEFT JOIN texts USING (number) WHERE id = ?"
        rows = self.base.rows(sql, (document_id,))
        if not rows:
            raise writing.missing(self.scope.collection, document_id)
        return rows[0][0] or ""

    def remove(self, document_id: str) -> Sequence[str]:
        """Forget a document. Raises NotFound."""
        with self.base.transaction() as base:
            return writing.remove(base, document_id)

    def lexical(self, words: Sequence[str], k: int, where: Mapping[str, Any]) -> list[Hit]:
        """The best passages that have any of the words."""
        return reading.lexical(self.base, words, k, where)

    def coverage(self, words: Sequence[str], passage_ids: Sequence[str]) -> dict[str, float]:
        """How much of the words the passages have."""
        return reading.coverage(self.base, self._stems, self._counts, words, passage_ids)

    def passages(self, passage_ids: Sequence[str]) -> dict[str, Passage]:
        """Those that are there."""
        return reading.passages(self.base, passage_ids)

    def pieces(self, document_id: str) -> list[Piece]:
        """The passages of a document, as they were given, without their vectors."""
        return reading.pieces(self.base, document_id)

    def ids(self, numbers: Sequence[int]) -> dict[int, str]:
        """The ids of passages by their numbers."""
        marks = ", ".join("?" * len(numbers))
        return dict(self.base.rows(f"SELECT number, id FROM passages WHERE number IN ({marks})", numbers))  # noqa: S608 - marks

    def vectors(self, passage_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Vectors by passage."""
        return self._unpacked(_VECTORS, passage_ids)

    def known(self, digests: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Vectors by digest."""
        return self._unpacked(_KNOWN, digests)

    def _unpacked(self, sql: str, names: Sequence[str]) -> dict[str, tuple[float, ...]]:
        found = {}
        for at in range(0, len(names), _SOME):
            some = names[at : at + _SOME]
            for name, scale, data in self.base.rows(sql.format(marks=", ".join("?" * len(some))), some):
                found[name] = writing.unpacked(scale, data)
        return found


def is_dead(token: str) -> bool:
    """Whether a lease is held by a process of this machine that is there no more; `token` begins `HOST:PID:`."""
    host, _, rest = token.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False

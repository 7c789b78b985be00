"""`SqliteShelf`: a catalogue, and a file for each collection.

A file for each keeps tenants apart, makes filters fast and deletes complete. Its name says nothing and is never used
twice; the catalogue alone knows whose it is. What is dropped is gone for everybody with the catalogue's row. `asked`
and `done` say where documents wait: a number that grows with every draft, and how far they are known to be worked off.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

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
from headgate.stores.collection import CollectionFile
from headgate.stores.sqlite import SqliteDatabase
from headgate.stores.stems import Stems

OPEN = 100
"""Files that a process keeps open."""
MOST_COLLECTIONS = 1000
"""Collections of one tenant."""

_SUFFIXES = (".db", ".db-wal", ".db-shm")
_ORPHAN = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS collections (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    file TEXT NOT NULL UNIQUE,
    asked INTEGER NOT NULL,
    done INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID
"""
_ASK = "UPDATE collections SET asked = asked + 1 WHERE tenant = ? AND name = ?"
_ASK_ALL = "UPDATE collections SET asked = asked + 1"
_DONE = "UPDATE collections SET done = ? WHERE file = ? AND done < ?"
_WAITING = "SELECT tenant, name, file, asked FROM collections WHERE asked > done"


class SqliteShelf:
    """A `Shelf` in a folder of this machine. Blocking, from any thread, by several processes at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._catalogue = SqliteDatabase(folder / "catalogue.db")
        self._catalogue.run((_SCHEMA, ()))
        self._stems = Stems()
        self._lock = threading.Lock()
        self._files: OrderedDict[str, _Open] = OrderedDict()
        self._sweep()
        self._catalogue.run((_ASK_ALL, ()))  # a process may have died between a draft and its being asked for

    def close(self) -> None:
        """Close every file."""
        for each in self._files.values():
            each.file.close()
        self._catalogue.close()
        self._stems.close()

    def create(self, scope: Scope, model: str = "", dimension: int = 0) -> bool:
        """Make a collection; False where there was one. Raises Forbidden where the tenant has too many."""
        if self._found(scope):
            return False
        file = secrets.token_hex(16)
        CollectionFile.create(scope, self._path(file), model, dimension)
        insert = "INSERT OR IGNORE INTO collections (tenant, name, file, asked, done) SELECT ?, ?, ?, 0, 0 WHERE "
        insert += "(SELECT COUNT(*) FROM collections WHERE tenant = ?) < ?"
        values = (scope.tenant, scope.collection, file, scope.tenant, MOST_COLLECTIONS)
        if self._catalogue.run((insert, values)) == 1:
            return True
        self._unlink(file)
        if not self._found(scope):
            raise Forbidden(f"you have {MOST_COLLECTIONS} collections already")
        return False

    def collections(self, tenant: str) -> list[Collection]:
        """The tenant's collections."""
        rows = self._catalogue.rows("SELECT name FROM collections WHERE tenant = ? ORDER BY name", (tenant,))
        found = []
        for (name,) in rows:
            with suppress(NotFound):  # dropped since
                found.append(self.collection(Scope(tenant, name)))
        return found

    def scopes(self) -> list[Scope]:
        """The collections of all tenants."""
        return [Scope(*row) for row in self._catalogue.rows("SELECT tenant, name FROM collections ORDER BY 1, 2")]

    def collection(self, scope: Scope) -> Collection:
        """One of them. Raises NotFound."""
        with self.file(scope) as file:
            return file.about()

    def bind(self, scope: Scope, who: Principal, model: str, dimension: int) -> None:
        """Its vectors are of another model from now on."""
        with self.file(scope) as file:
            file.bind(who, model, dimension)
        self._catalogue.run((_ASK, (scope.tenant, scope.collection)))

    def drop(self, scope: Scope) -> None:
        """Forget a collection. Raises NotFound."""
        file = self._found(scope)
        delete = "DELETE FROM collections WHERE tenant = ? AND name = ? AND file = ?"
        if not file or not self._catalogue.run((delete, (scope.tenant, scope.collection, file))):
            raise _no_collection(scope)
        self._unlink(file)

    def queue(self, scope: Scope, who: Principal, drafts: Sequence[Draft], room: Room | None = None) -> list[Kept]:
        """Keep drafts, to be leased. Raises NotFound, Forbidden."""
        with self._room(scope, drafts, room), self.file(scope) as file:
            kept = file.queue(who, drafts)
        self._catalogue.run((_ASK, (scope.tenant, scope.collection)))
        return kept

    def put(
        self, scope: Scope, drafts: Sequence[tuple[Draft, str, Sequence[Piece]]], room: Room | None = None
    ) -> list[Kept]:
        """Keep drafts that are ready. Raises NotFound, Forbidden."""
        with self._room(scope, [each[0] for each in drafts], room), self.file(scope) as file:
            return file.put(drafts)

    def lease(self, owner: str, seconds: float, most: int) -> list[Job]:
        """Take documents that wait."""
        jobs: list[Job] = []
        rows = self._catalogue.rows(_WAITING)
        secrets.SystemRandom().shuffle(rows)
        for tenant, name, id_, asked in rows:
            if len(jobs) >= most:
                break
            with suppress(NotFound), self.file(Scope(tenant, name)) as file:  # dropped since
                found = file.lease(owner, seconds, most - len(jobs))
                jobs += found
                if not found and not file.about().unfinished:
                    self._catalogue.run((_DONE, (asked, id_, asked)))
        return jobs

    def renew(self, job: Job, seconds: float) -> bool:
        """Hold a lease for longer."""
        with self.file(job.scope) as file:
            return file.renew(job, seconds)

    def known(self, scope: Scope, digests: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Vectors by digest. Raises NotFound."""
        with self.file(scope) as file:
            return file.known(digests)

    def finish(self, job: Job, text: str, pieces: Sequence[Piece]) -> Sequence[str] | None:
        """New passages for old ones, unless the lease is lost. Raises NotFound."""
        with self.file(job.scope) as file:
            return file.finish(job, text, pieces)

    def fail(self, job: Job, error: str, retry_after: float | None = None) -> None:
        """Give a lease back. Raises NotFound."""
        with self.file(job.scope) as file:
            file.fail(job, error, retry_after)

    def retry(self, scope: Scope, document_id: str) -> Document:
        """Queue a failed document again. Raises NotFound."""
        with self.file(scope) as file:
            document = file.retry(document_id)
        self._catalogue.run((_ASK, (scope.tenant, scope.collection)))
        return document

    def documents(self, scope: Scope, state: State | None = None, after: str = "", limit: int = 100) -> list[Document]:
        """A page of documents. Raises NotFound."""
        with self.file(scope) as file:
            return file.documents(state, after, limit)

    def document(self, scope: Scope, document_id: str) -> Document:
        """One of them. Raises NotFound."""
        with self.file(scope) as file:
            return file.document(document_id)

    def text(self, scope: Scope, document_id: str) -> str:
        """The text that its passages are pieces of. Raises NotFound."""
        with self.file(scope) as file:
            return file.text(document_id)

    def pieces(self, scope: Scope, document_id: str) -> list[Piece]:
        """The passages of a document, without vectors. Raises NotFound."""
        with self.file(scope) as file:
            return file.pieces(document_id)

    def remove(self, scope: Scope, document_id: str) -> Sequence[str]:
        """Forget a document. Raises NotFound."""
        with self.file(scope) as file:
            return file.remove(document_id)

    def lexical(self, scope: Scope, words: Sequence[str], k: int, where: Mapping[str, Any]) -> list[Hit]:
        """The best passages that have any of the words. Raises NotFound."""
        with self.file(scope) as file:
            return file.lexical(words, k, where)

    def coverage(self, scope: Scope, words: Sequence[str], passage_ids: Sequence[str]) -> dict[str, float]:
        """How much of the words each passage has. Raises NotFound."""
        with self.file(scope) as file:
            return file.coverage(words, passage_ids)

    def passages(self, scope: Scope, passage_ids: Sequence[str]) -> dict[str, Passage]:
        """Those that are there. Raises NotFound."""
        with self.file(scope) as file:
            return file.passages(passage_ids)

    def vectors(self, scope: Scope, passage_ids: Sequence[str]) -> dict[str, tuple[float, ...]]:
        """Vectors by passage. Raises NotFound."""
        with self.file(scope) as file:
            return file.vectors(passage_ids)

    @contextmanager
    def file(self, scope: Scope) -> Iterator[CollectionFile]:
        """The collection's file, open for the length of the block. Raises NotFound."""
        id_ = self._found(scope)
        if not id_:
            raise _no_collection(scope)
        with self._lock:
            each = self._files.pop(id_, None)
            if each is None:
                if not self._path(id_).exists():
                    raise _no_collection(scope)
                each = _Open(CollectionFile(scope, self._path(id_), self._stems))
            self._files[id_] = each
            each.users += 1
            self._close_some()
        try:
            yield each.file
        finally:
            with self._lock:
                each.users -= 1
                if each.dropped and not each.users:
                    each.file.close()

    def _close_some(self) -> None:
        for id_ in [id_ for id_, each in self._files.items() if not each.users][: max(0, len(self._files) - OPEN)]:
            self._files.pop(id_).file.close()

    def _found(self, scope: Scope) -> str:
        rows = self._catalogue.rows(
            "SELECT file FROM collections WHERE tenant = ? AND name = ?", (scope.tenant, scope.collection)
        )
        return str(rows[0][0]) if rows else ""

    @contextmanager
    def _room(self, scope: Scope, drafts: Sequence[Draft], room: Room | None) -> Iterator[None]:
        """See that there is room, and keep everybody else from taking it meanwhile. Raises Forbidden."""
        if room is None or (room.documents is None and room.size is None):
            yield
            return
        with self._catalogue.transaction():
            there = self.collections(scope.tenant)
            with self.file(scope) as file:
                new, size = file.growth(drafts)
            documents = sum(each.documents for each in there) + new
            if room.documents is not None and documents > room.documents and new:
                raise Forbidden(f"your tier keeps {room.documents} documents, and this would be {documents}")
            total = sum(each.size for each in there) + size
            if room.size is not None and total > room.size and size > 0:
                raise Forbidden(f"your tier keeps {room.size} bytes of documents, and this would be {total}")
            yield

    def _path(self, file: str) -> Path:
        return self._folder / f"{file}.db"

    def _unlink(self, file: str) -> None:
        with self._lock:
            each = self._files.pop(file, None)
            if each is not None:
                each.dropped = True
                if not each.users:
                    each.file.close()
        for suffix in _SUFFIXES:
            (self._folder / f"{file}{suffix}").unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Unlink files that no collection has: a process died between two steps."""
        ours = {row[0] for row in self._catalogue.rows("SELECT file FROM collections")} | {"catalogue"}
        for path in self._folder.glob("*.db"):
            if path.stem not in ours and path.stat().st_mtime < time.time() - _ORPHAN:
                self._unlink(path.stem)


class _Open:
    """An open file, and how many use it now."""

    def __init__(self, file: CollectionFile) -> None:
        self.file = file
        self.users = 0
        self.dropped = False


def _no_collection(scope: Scope) -> NotFound:
    return NotFound(f"there is no collection {scope.collection[:100]!r}")

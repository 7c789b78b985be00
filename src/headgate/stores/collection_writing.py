"""Writing to one collection's file: every function here is told a transaction, and does its part in it."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headgate.core.faults import NotFound
from headgate.core.knowledge import Document, Draft, Kept, Piece
from headgate.core.principal import Principal
from headgate.stores.collection_schema import NEVER

LONGEST_VALUE = 200
"""Characters of a value of metadata as it is searched by; of a longer one it is the digest."""

COLUMNS = "id, title, state, error, chunks, digest, media, size, metadata, created, updated"
_INSERT = """
INSERT INTO documents (id, title, media, metadata, digest, size, state, error, chunks, version, created, updated)
VALUES (?, ?, ?, ?, ?, ?, 'queued', '', 0, 1, ?, ?)
"""
_RESEND = """
UPDATE documents SET digest = ?, size = ?, state = 'queued', error = '', version = version + 1, updated = ?
WHERE number = ?
"""
_DRAFT = "INSERT OR REPLACE INTO drafts (number, title, media, metadata, who, token, due, tries, body) VALUES "
_DRAFT += "(?, ?, ?, ?, ?, '', ?, 0, ?)"
_READY = (
    "UPDATE documents SET title = ?, media = ?, metadata = ?, state = 'ready', error = '', chunks = ?, updated = ? "
)
_READY += "WHERE number = ?"
_PASSAGE = "INSERT INTO passages (number, id, document, start, stop, path, text, words) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_LEXICON = "INSERT INTO lexicon (rowid, title, text, words) VALUES (?, ?, ?, ?)"
_UNLEXICON = "INSERT INTO lexicon (lexicon, rowid, title, text, words) VALUES ('delete', ?, ?, ?, ?)"
_VECTOR = "INSERT OR REPLACE INTO vectors (passage, digest, scale, data) VALUES (?, ?, ?, ?)"

_json = msgspec.json.Encoder(order="deterministic").encode


def text_of(value: object) -> str:
    """A value as JSON."""
    return _json(value).decode()


def document_of(row: Sequence[Any]) -> Document:
    """A row of `COLUMNS`."""
    id_, title, state, error, chunks, digest, media, size, metadata, created, updated = row
    return Document(
        id=id_,
        title=title,
        state=state,
        error=error,
        chunks=chunks,
        content_hash=digest,
        media=media,
        size=size,
        metadata=msgspec.json.decode(metadata),
        created=created,
        updated=updated,
    )


def missing(collection: str, document_id: str) -> NotFound:
    """The fault."""
    return NotFound(f"there is no document {document_id[:100]!r} in the collection {collection[:100]!r}")


def find(base: sqlite3.Connection, document_id: str) -> tuple[int, Document]:
    """A document and its number. Raises NotFound."""
    row = base.execute(f"SELECT number, {COLUMNS} FROM documents WHERE id = ?", (document_id,)).fetchone()  # noqa: S608 - constants
    if row is None:
        (name,) = base.execute("SELECT name FROM about").fetchone()
        raise missing(name, document_id)
    return row[0], document_of(row[1:])


def send(base: sqlite3.Connection, draft: Draft) -> tuple[int, str]:
    """Take note of what was sent: the document's number, and what came of it."""
    now = time.time()
    row = base.execute("SELECT number, digest, state, size FROM documents WHERE id = ?", (draft.id,)).fetchone()
    if row is None:
        values = (draft.id, draft.title, draft.media, text_of(draft.metadata), draft.digest, len(draft.body), now, now)
        number = base.execute(_INSERT, values).lastrowid
        assert number is not None  # noqa: S101 - a row was inserted
        base.execute("UPDATE about SET documents = documents + 1, size = size + ?", (len(draft.body),))
        return number, "created"
    number, digest, state, size = row
    if digest == draft.digest and state != "failed":
        return number, "unchanged"
    base.execute(_RESEND, (draft.digest, len(draft.body), now, number))
    base.execute("UPDATE about SET size = size + ?", (len(draft.body) - size,))
    return number, "updated"


def queue(base: sqlite3.Connection, number: int, draft: Draft, who: Principal) -> None:
    """Keep the draft until someone reads it, in place of an older one."""
    values = (number, draft.title, draft.media, text_of(draft.metadata), _json(who), time.time(), draft.body)
    base.execute(_DRAFT, values)


def kept(base: sqlite3.Connection, draft: Draft, result: Any) -> Kept:
    """What became of a draft."""
    return Kept(find(base, draft.id)[1], result)


class Swap:
    """New passages in place of old ones, of any number of documents; `flush` writes what is best written at once."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base
        self._last = base.execute("SELECT last FROM about").fetchone()[0]
        self._passages: list[tuple[object, ...]] = []
        self._lexicon: list[tuple[object, ...]] = []
        self._vectors: list[tuple[object, ...]] = []
        self._gone = 0
        self._seen: set[int] = set()

    def document(self, number: int, draft: Draft, text: str, pieces: Sequence[Piece]) -> list[str]:
        """Make the document ready, with these passages and no others; the ids of those that are gone."""
        base = self._base
        if number in self._seen:
            self.flush()
        self._seen.add(number)
        there = dict(base.execute("SELECT id, number FROM passages WHERE document = ?", (number,)).fetchall())
        wanted = {piece.id for piece in pieces}
        gone = [id_ for id_ in there if id_ not in wanted]
        remove_passages(base, [there[id_] for id_ in gone])
        self._gone += len(gone)
        for piece in pieces:
            at = there.get(piece.id)
            if at is None:
                at = self._last = self._last + 1
                path = text_of(piece.path)
                self._passages.append((at, piece.id, number, piece.start, piece.end, path, piece.text, piece.words))
                self._lexicon.append((at, draft.title, piece.text, piece.words))
            else:
                base.execute("UPDATE passages SET start = ?, stop = ? WHERE number = ?", (piece.start, piece.end, at))
            if piece.values:
                self._vectors.append((at, piece.digest, *packed(piece.values)))
        base.execute("DELETE FROM facets WHERE document = ?", (number,))
        rows = [(key, value, number) for key, value in facets(draft.metadata)]
        base.executemany("INSERT OR IGNORE INTO facets (key, value, document) VALUES (?, ?, ?)", rows)
        base.execute("INSERT OR REPLACE INTO texts (number, text) VALUES (?, ?)", (number, text))
        ready = (draft.title, draft.media, text_of(draft.metadata), len(pieces), time.time(), number)
        base.execute(_READY, ready)
        base.execute("DELETE FROM drafts WHERE number = ?", (number,))
        return gone

    def vectors(self, number: int, pieces: Sequence[Piece]) -> None:
        """Give the passages of a ready document vectors, and leave the rest as it is."""
        there = dict(self._base.execute("SELECT id, number FROM passages WHERE document = ?", (number,)).fetchall())
        self._vectors += [(there[p.id], p.digest, *packed(p.values)) for p in pieces if p.id in there]
        self._base.execute("UPDATE documents SET state = 'ready', error = '' WHERE number = ?", (number,))
        self._base.execute("DELETE FROM drafts WHERE number = ?", (number,))

    def flush(self) -> None:
        """Write the rows."""
        self._base.executemany(_PASSAGE, self._passages)
        self._base.executemany(_LEXICON, self._lexicon)
        self._base.executemany(_VECTOR, self._vectors)
        grown = len(self._passages) - self._gone
        changed = "UPDATE about SET passages = passages + ?, last = ?, generation = generation + 1"
        self._base.execute(changed, (grown, self._last))
        for rows in (self._passages, self._lexicon, self._vectors):
            rows.clear()
        self._gone = 0
        self._seen.clear()


def remove_passages(base: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """Forget passages, in the full text and among the vectors too."""
    for number in numbers:
        base.execute(_UNLEXICON, base.execute("SELECT * FROM lexicon_rows WHERE number = ?", (number,)).fetchone())
        base.execute("DELETE FROM vectors WHERE passage = ?", (number,))
        base.execute("DELETE FROM passages WHERE number = ?", (number,))


def remove(base: sqlite3.Connection, document_id: str) -> list[str]:
    """Forget a document; the ids of its passages. Raises NotFound."""
    number, document = find(base, document_id)
    there = base.execute("SELECT id, number FROM passages WHERE document = ?", (number,)).fetchall()
    remove_passages(base, [row[1] for row in there])
    base.execute("DELETE FROM facets WHERE document = ?", (number,))
    for table in ("texts", "drafts", "documents"):
        base.execute(f"DELETE FROM {table} WHERE number = ?", (number,))  # noqa: S608 - our own names
    base.execute(
        "UPDATE about SET documents = documents - 1, size = size - ?, passages = passages - ?, "
        "generation = generation + 1",
        (document.size, len(there)),
    )
    return [row[0] for row in there]


def fail(base: sqlite3.Connection, number: int, error: str) -> None:
    """The draft is kept, for someone to try it again."""
    base.execute("UPDATE drafts SET due = ?, token = '' WHERE number = ?", (NEVER, number))
    done = "UPDATE documents SET state = 'failed', error = ?, updated = ? WHERE number = ?"
    base.execute(done, (error, time.time(), number))


def facets(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a document can be filtered by: its plain values, and each one of a list."""
    return [
        (key, facet(each))
        for key, value in metadata.items()
        for each in (value if isinstance(value, list) else [value])
        if isinstance(each, str | int | float | bool)
    ]


def facet(value: object) -> str:
    """A value as it is compared: 5 and 5.0 are the same, and 5 and "5" are not."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = text_of(value)
    return text if len(text) <= LONGEST_VALUE else hashlib.sha256(text.encode()).hexdigest()


def packed(values: Sequence[float]) -> tuple[float, bytes]:
    """A vector in a byte a number, and what to multiply them by: searching loses nothing by the rounding."""
    scale = max(map(abs, values)) / 127 or 1.0
    return scale, array("b", [round(value / scale) for value in values]).tobytes()


def unpacked(scale: float, data: bytes) -> tuple[float, ...]:
    """The vector again."""
    return tuple(value * scale for value in array("b", data))

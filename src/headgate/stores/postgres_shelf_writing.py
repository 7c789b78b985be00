"""Writing to a collection in PostgreSQL: every function is told a transaction, which holds the collection's row."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from headgate.core.knowledge import Document, Draft, Kept, Piece
from headgate.core.principal import Principal
from headgate.stores.collection_schema import NEVER
from headgate.stores.collection_writing import COLUMNS, document_of, facets, missing, packed, text_of
from headgate.stores.postgres import Transaction
from headgate.stores.stems import Stems

LONGEST_TERM = 100
"""Characters of a stem that count: an index in PostgreSQL takes no endless ones."""

_FIND = f"SELECT number, {COLUMNS} FROM knowledge_documents WHERE collection = ? AND id = ?"  # noqa: S608 - constants
_SENT = "SELECT number, digest, state, size FROM knowledge_documents WHERE collection = ? AND id = ?"
_INSERT = """
INSERT INTO knowledge_documents
(number, collection, id, title, media, metadata, digest, size, state, error, chunks, version, created, updated, text)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued', '', 0, 1, ?, ?, '')
"""
_RESEND = """
UPDATE knowledge_documents SET digest = ?, size = ?, state = 'queued', error = '', version = version + 1, updated = ?
WHERE number = ?
"""
_GROWN = "UPDATE knowledge_collections SET documents = documents + ?, size = size + ? WHERE number = ?"
_CHANGED = "UPDATE knowledge_collections SET passages = passages + ?, length = length + ? WHERE number = ?"
_DRAFT = """
INSERT INTO knowledge_drafts (number, collection, title, media, metadata, who, token, due, tries, body)
VALUES (?, ?, ?, ?, ?, ?, '', ?, 0, ?)
ON CONFLICT (number) DO UPDATE SET title = excluded.title, media = excluded.media, metadata = excluded.metadata,
who = excluded.who, token = '', due = excluded.due, tries = 0, body = excluded.body
"""
_READY = """
UPDATE knowledge_documents SET title = ?, media = ?, metadata = ?, state = 'ready', error = '', chunks = ?,
updated = ?, text = ? WHERE number = ?
"""
_PASSAGE = """
INSERT INTO knowledge_passages
(number, collection, document, id, start_at, stop_at, path, text, words, length, digest, scale, data)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_KEPT = "UPDATE knowledge_passages SET start_at = ?, stop_at = ? WHERE number = ?"
_VECTOR = "UPDATE knowledge_passages SET digest = ?, scale = ?, data = ? WHERE number = ?"
_POSTINGS = """
INSERT INTO knowledge_postings (collection, term, passage, weight, length)
SELECT ?, * FROM unnest(?::text[], ?::bigint[], ?::real[], ?::integer[])
"""
_THERE = "SELECT id, number FROM knowledge_passages WHERE document = ?"
_LENGTHS = "SELECT COALESCE(SUM(length), 0) FROM knowledge_passages WHERE number = ANY(?)"


def drawn() -> int:
    """A number that nobody has yet."""
    return secrets.randbits(62)


def find(base: Transaction, collection: int, document_id: str) -> tuple[int, Document]:
    """A document and its number. Raises NotFound."""
    row = base.execute(_FIND, (collection, document_id)).fetchone()
    if row is None:
        name = base.execute("SELECT name FROM knowledge_collections WHERE number = ?", (collection,)).fetchone()
        raise missing(name[0] if name else "", document_id)
    return row[0], document_of(row[1:])


def send(base: Transaction, collection: int, draft: Draft) -> tuple[int, str]:
    """Take note of what was sent: the document's number, and what came of it."""
    now, more = time.time(), len(draft.body)
    row = base.execute(_SENT, (collection, draft.id)).fetchone()
    if row is None:
        number = drawn()
        told = (draft.id, draft.title, draft.media, text_of(draft.metadata), draft.digest, more)
        base.execute(_INSERT, (number, collection, *told, now, now))
        base.execute(_GROWN, (1, more, collection))
        return number, "created"
    number, digest, state, size = row
    if digest == draft.digest and state != "failed":
        return number, "unchanged"
    base.execute(_RESEND, (draft.digest, more, now, number))
    base.execute(_GROWN, (0, more - size, collection))
    return number, "updated"


def queue(base: Transaction, collection: int, number: int, draft: Draft, who: Principal) -> None:
    """Keep the draft until someone reads it, in place of an older one."""
    told = (draft.title, draft.media, text_of(draft.metadata), msgspec.json.encode(who))
    base.execute(_DRAFT, (number, collection, *told, time.time(), draft.body))


def kept(base: Transaction, collection: int, draft: Draft, result: Any) -> Kept:
    """What became of a draft."""
    return Kept(find(base, collection, draft.id)[1], result)


def replace(
    base: Transaction, stems: Stems, collection: int, number: int, draft: Draft, text: str, pieces: Sequence[Piece]
) -> list[str]:
    """Make the document ready, with these passages and no others; the ids of those that are gone."""
    there = dict(base.execute(_THERE, (number,)).fetchall())
    wanted = {piece.id for piece in pieces}
    gone = [id_ for id_ in there if id_ not in wanted]
    remove_passages(base, collection, [there[id_] for id_ in gone])
    kept_ones = [piece for piece in pieces if piece.id in there]
    base.many(_KEPT, [(piece.start, piece.end, there[piece.id]) for piece in kept_ones])
    give_vectors(base, number, kept_ones)
    add(base, stems, collection, number, draft.title, [piece for piece in pieces if piece.id not in there])
    base.execute("DELETE FROM knowledge_facets WHERE document = ?", (number,))
    insert = (
        "INSERT INTO knowledge_facets (collection, key, value, document) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
    )
    base.many(insert, [(collection, key, value, number) for key, value in facets(draft.metadata)])
    ready = (draft.title, draft.media, text_of(draft.metadata), len(pieces), time.time(), text, number)
    base.execute(_READY, ready)
    base.execute("DELETE FROM knowledge_drafts WHERE number = ?", (number,))
    return gone


def add(base: Transaction, stems: Stems, collection: int, document: int, title: str, pieces: Sequence[Piece]) -> None:
    """Add passages, to be found by their stems."""
    texts = [text for piece in pieces for text in (title, piece.text, piece.words)]
    counts = stems.counts(texts)
    passages, postings, total = [], [], 0
    for at, piece in enumerate(pieces):
        number, fields = drawn(), counts[3 * at : 3 * at + 3]
        length = sum(sum(field.values()) for field in fields)
        total += length
        weights: dict[str, float] = {}
        for field, weight in zip(fields, (2.0, 1.0, 0.5), strict=True):
            for term, count in field.items():
                weights[term[:LONGEST_TERM]] = weights.get(term[:LONGEST_TERM], 0.0) + weight * count
        postings += [(term, number, weight, length) for term, weight in weights.items()]
        vector = packed(piece.values) if piece.values else (None, None)
        told = (piece.id, piece.start, piece.end, text_of(piece.path), piece.text, piece.words, length, piece.digest)
        passages.append((number, collection, document, *told, *vector))
    base.many(_PASSAGE, passages)
    if postings:
        base.execute(_POSTINGS, (collection, *map(list, zip(*postings, strict=True))))
    base.execute(_CHANGED, (len(passages), total, collection))


def give_vectors(base: Transaction, document: int, pieces: Sequence[Piece]) -> None:
    """Give passages that are there their vectors."""
    there = dict(base.execute(_THERE, (document,)).fetchall())
    known = [piece for piece in pieces if piece.values and piece.id in there]
    base.many(_VECTOR, [(piece.digest, *packed(piece.values), there[piece.id]) for piece in known])


def remove_passages(base: Transaction, collection: int, numbers: Sequence[int]) -> None:
    """Forget passages and their stems."""
    row = base.execute(_LENGTHS, (list(numbers),)).fetchone()
    assert row is not None  # noqa: S101 - a sum is always there
    for sql in (
        "DELETE FROM knowledge_postings WHERE passage = ANY(?)",
        "DELETE FROM knowledge_passages WHERE number = ANY(?)",
    ):
        base.execute(sql, (list(numbers),))
    base.execute(_CHANGED, (-len(numbers), -row[0], collection))


def remove(base: Transaction, collection: int, document_id: str) -> list[str]:
    """Forget a document; the ids of its passages. Raises NotFound."""
    number, document = find(base, collection, document_id)
    there = dict(base.execute(_THERE, (number,)).fetchall())
    remove_passages(base, collection, list(there.values()))
    base.execute("DELETE FROM knowledge_facets WHERE document = ?", (number,))
    base.execute("DELETE FROM knowledge_documents WHERE number = ?", (number,))
    base.execute("DELETE FROM knowledge_drafts WHERE number = ?", (number,))
    base.execute(_GROWN, (-1, -document.size, collection))
    return list(there)


def fail(base: Transaction, number: int, error: str) -> None:
    """The draft is kept, for someone to try it again."""
    base.execute("UPDATE knowledge_drafts SET due = ?, token = '' WHERE number = ?", (NEVER, number))
    done = "UPDATE knowledge_documents SET state = 'failed', error = ?, updated = ? WHERE number = ?"
    base.execute(done, (error, time.time(), number))

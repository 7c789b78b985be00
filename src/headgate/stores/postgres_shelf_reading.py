"""Searching a collection in PostgreSQL by words: BM25 over stems that are kept in a table, in one query."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from headgate.core.knowledge import Hit, Passage, Piece
from headgate.stores.collection_writing import facet, unpacked
from headgate.stores.postgres import PostgresDatabase, Transaction
from headgate.stores.postgres_shelf_writing import LONGEST_TERM
from headgate.stores.stems import Stems

_ABOUT = "SELECT passages, length FROM knowledge_collections WHERE number = ?"
_HAVING = "SELECT term, COUNT(*) FROM knowledge_postings WHERE collection = ? AND term = ANY(?) GROUP BY term"
# BM25 with its usual k1 = 1.2 and b = 0.75.
_LEXICAL = """
SELECT id, score FROM (
    SELECT passage, SUM(weighs * weight * 2.2 / (weight + 1.2 * (0.25 + 0.75 * length / ?))) AS score
    FROM unnest(?::text[], ?::float8[]) AS asked (term, weighs) JOIN knowledge_postings USING (term)
    WHERE collection = ? {filter} GROUP BY passage ORDER BY score DESC LIMIT ?
) AS found JOIN knowledge_passages ON number = passage ORDER BY score DESC, id
"""
_FILTER = "AND passage IN (SELECT number FROM knowledge_passages WHERE document IN ({documents}))"
_FACET = "SELECT document FROM knowledge_facets WHERE collection = ? AND key = ? AND value = ANY(?)"
_PASSAGES = """
SELECT p.id, d.id, d.title, p.text, p.start_at, p.stop_at, p.path, d.metadata
FROM knowledge_passages AS p JOIN knowledge_documents AS d ON d.number = p.document
WHERE p.collection = ? AND p.id = ANY(?)
"""
_PIECES = """
SELECT p.id, p.text, p.start_at, p.stop_at, p.path, p.words
FROM knowledge_passages AS p JOIN knowledge_documents AS d ON d.number = p.document
WHERE d.collection = ? AND d.id = ? ORDER BY p.start_at
"""
_TEXTS = """
SELECT p.id, d.title || ' ' || p.text || ' ' || p.words
FROM knowledge_passages AS p JOIN knowledge_documents AS d ON d.number = p.document
WHERE p.collection = ? AND p.id = ANY(?)
"""
_VECTORS = """
SELECT {key}, scale, data FROM knowledge_passages WHERE collection = ? AND {key} = ANY(?) AND data IS NOT NULL
"""


def rarities(base: Transaction, collection: int, there: int, terms: Sequence[str]) -> dict[str, float]:
    """The inverse document frequency of each stem among so many passages, as BM25 has it."""
    having = dict(base.execute(_HAVING, (collection, list(terms))).fetchall())
    found = {}
    for term in terms:
        count = min(having.get(term, 0), there)
        found[term] = math.log(1 + (there - count + 0.5) / (count + 0.5))
    return found


def lexical(
    base: PostgresDatabase, stems: Stems, collection: int, words: Sequence[str], k: int, where: Mapping[str, Any]
) -> list[Hit]:
    """The best passages that have any of the words."""
    asked = Counter(term[:LONGEST_TERM] for word in words for term in stems.of(word))
    documents, values = _filtered(collection, where)
    sql = _LEXICAL.format(filter=_FILTER.format(documents=documents) if where else "")
    with base.transaction() as asking:
        about = asking.execute(_ABOUT, (collection,)).fetchone()
        if not asked or about is None or not about[0]:
            return []
        there, length = int(about[0]), int(about[1])
        rare = rarities(asking, collection, there, list(asked))
        weights = [count * rare[term] for term, count in asked.items()]
        asking.execute("SET LOCAL jit = off")  # compiling takes longer than the query
        values = [max(1.0, length / there), list(asked), weights, collection, *values, k]
        return [Hit(*row) for row in asking.execute(sql, values).fetchall()]


def coverage(
    base: PostgresDatabase, stems: Stems, collection: int, words: Sequence[str], ids: Sequence[str]
) -> dict[str, float]:
    """How much of the words, each weighted by its rarity, the passages have; title and parts of identifiers count."""
    if not ids:
        return {}
    distinct = {tuple(term[:LONGEST_TERM] for term in stems.of(word)): word for word in words if stems.of(word)}
    with base.transaction() as asking:
        about = asking.execute(_ABOUT, (collection,)).fetchone()
        there = int(about[0]) if about else 0
        rare = rarities(asking, collection, there, sorted({term for terms in distinct for term in terms}))
        rows = asking.execute(_TEXTS, (collection, list(ids))).fetchall()
    weights = {word: max(rare[term] for term in terms) for terms, word in distinct.items()}
    having = stems.having([row[1] for row in rows], list(weights))
    total = sum(weights.values()) or 1.0
    return {
        row[0]: sum(weight for word, weight in weights.items() if at in having[word]) / total
        for at, row in enumerate(rows)
    }


def passages(base: PostgresDatabase, collection: int, ids: Sequence[str]) -> dict[str, Passage]:
    """Those that are there."""
    return {
        row[0]: Passage(
            id=row[0],
            document_id=row[1],
            title=row[2],
            text=row[3],
            start=row[4],
            end=row[5],
            path=tuple(msgspec.json.decode(row[6])),
            metadata=msgspec.json.decode(row[7]),
        )
        for row in base.rows(_PASSAGES, (collection, list(ids)))
    }


def pieces(base: PostgresDatabase, collection: int, document_id: str) -> list[Piece]:
    """The passages of a document in their order."""
    return [
        Piece(
            id=row[0],
            text=row[1],
            start=row[2],
            end=row[3],
            path=tuple(msgspec.json.decode(row[4])),
            words=row[5],
            digest="",
        )
        for row in base.rows(_PIECES, (collection, document_id))
    ]


def vectors(base: PostgresDatabase, collection: int, key: str, names: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Vectors by the passages' `id` or `digest`."""
    rows = base.rows(_VECTORS.format(key=key), (collection, list(names)))
    return {name: unpacked(scale, data) for name, scale, data in rows}


def _filtered(collection: int, where: Mapping[str, Any]) -> tuple[str, list[object]]:
    """A query for the numbers of the documents whose metadata fits, and its values."""
    values: list[object] = []
    for key, wanted in where.items():
        options = wanted if isinstance(wanted, list | tuple) else [wanted]
        values += [collection, key, [facet(each) for each in options]]
    return " INTERSECT ".join([_FACET] * len(where)), values

"""Searching one collection's file by words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct, field

from headgate.core.knowledge import Hit, Passage, Piece
from headgate.stores.collection_writing import facet
from headgate.stores.sqlite import SqliteDatabase
from headgate.stores.stems import Stems, quoted

# The title weighs 2, the text 1, the parts of identifiers a half.
# The plus keeps SQLite from asking the full text once for every row of the filter.
_FILTER = "AND +lexicon.rowid IN (SELECT number FROM passages WHERE document IN ({documents}))"
_LEXICAL = """
SELECT passages.id, found.score FROM (
    SELECT rowid AS number, -bm25(lexicon, 2.0, 1.0, 0.5) AS score FROM lexicon
    WHERE lexicon MATCH ? {filter} ORDER BY score DESC LIMIT ?
) AS found JOIN passages ON passages.number = found.number ORDER BY found.score DESC
"""
_PASSAGES = """
SELECT passages.id, documents.id, title, text, start, stop, path, metadata
FROM passages JOIN documents ON documents.number = passages.document WHERE passages.id IN ({marks})
"""
_PIECES = """
SELECT passages.id, text, start, stop, path, words
FROM passages JOIN documents ON documents.number = passages.document WHERE documents.id = ? ORDER BY start
"""


class Counts(Struct):
    """How many passages have each stem, as long as there are about as many passages as when they were counted."""

    passages: int = 0
    of: dict[str, int] = field(default_factory=dict)


def filtered(where: Mapping[str, Any]) -> tuple[str, list[object]]:
    """A query for the numbers of the documents whose metadata fits, and its values."""
    queries: list[str] = []
    values: list[object] = []
    for key, wanted in where.items():
        options = wanted if isinstance(wanted, list | tuple) else [wanted]
        marks = ", ".join("?" * len(options))
        queries.append(f"SELECT document FROM facets WHERE key = ? AND value IN ({marks})")  # noqa: S608 - marks
        values += [key, *map(facet, options)]
    return " INTERSECT ".join(queries), values


def lexical(base: SqliteDatabase, words: Sequence[str], k: int, where: Mapping[str, Any]) -> list[Hit]:
    """The best passages that have any of the words."""
    documents, values = filtered(where)
    sql = _LEXICAL.format(filter=_FILTER.format(documents=documents) if where else "")
    rows = base.rows(sql, (" OR ".join(map(quoted, words)), *values, k))
    return [Hit(*row) for row in rows]


def passages(base: SqliteDatabase, ids: Sequence[str]) -> dict[str, Passage]:
    """Those that are there."""
    rows = base.rows(_PASSAGES.format(marks=", ".join("?" * len(ids))), ids)
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
        for row in rows
    }


def pieces(base: SqliteDatabase, document_id: str) -> list[Piece]:
    """The passages of a document in their order."""
    rows = base.rows(_PIECES, (document_id,))
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
        for row in rows
    ]


def coverage(
    base: SqliteDatabase, stems: Stems, counts: Counts, words: Sequence[str], ids: Sequence[str]
) -> dict[str, float]:
    """How much of the words, each weighted by its rarity, the passages have; title and parts of identifiers count."""
    if not ids:
        return {}
    marks = ", ".join("?" * len(ids))
    sql = "SELECT passages.id, documents.title || ' ' || passages.text || ' ' || passages.words FROM passages "
    sql += f"JOIN documents ON documents.number = passages.document WHERE passages.id IN ({marks})"
    rows = base.rows(sql, ids)
    distinct = {stems.of(word): word for word in words if stems.of(word)}
    weights = {word: rarity(base, counts, found) for found, word in distinct.items()}
    having = stems.having([row[1] for row in rows], list(weights))
    total = sum(weights.values()) or 1.0
    return {
        row[0]: sum(weight for word, weight in weights.items() if at in having[word]) / total
        for at, row in enumerate(rows)
    }


def rarity(base: SqliteDatabase, counts: Counts, stems: Sequence[str]) -> float:
    """The inverse document frequency of the rarest of the stems, as BM25 has it."""
    passages = base.rows("SELECT passages FROM about")[0][0]
    if not 0.9 * passages <= counts.passages <= 1.1 * passages or len(counts.of) > 100_000:
        counts.passages, counts.of = passages, {}
    for stem in stems:
        if stem not in counts.of:
            row = base.rows("SELECT doc FROM vocabulary WHERE term = ?", (stem,))
            counts.of[stem] = row[0][0] if row else 0
    least = min(passages, *(counts.of[stem] for stem in stems))
    return math.log(1 + (passages - least + 0.5) / (least + 0.5))

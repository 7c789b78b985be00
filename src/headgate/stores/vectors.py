"""`MatrixIndex`: exact search over the vectors of a collection, which the shelf keeps and this process has in memory.

It is never told anything: each search looks whether the collection has changed, and reads what is new. Several
processes each have their own copy of the same truth.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headgate.core.knowledge import Near, Scope, Vector
from headgate.stores.collection import CollectionFile
from headgate.stores.collection_reading import filtered
from headgate.stores.shelf import SqliteShelf

MEMORY = 2 * 2**30
"""Bytes of matrices that one process keeps; past it the collection that was not searched for longest makes room."""

_ROWS = "SELECT number, passage, scale, data FROM vectors WHERE number > ? ORDER BY number"
_FITTING = "SELECT number FROM passages WHERE document IN ({documents})"


class Matrix:
    """A collection's vectors as they were at one generation: a row each, with the passage's number."""

    def __init__(self, dimension: int) -> None:
        self.lock = threading.Lock()
        self.generation = -1
        self.numbers: Any = np.empty(0, np.int64)
        self.passages: Any = np.empty(0, np.int64)
        self.rows: Any = np.empty((0, dimension), np.float32)

    def catch_up(self, file: CollectionFile) -> None:
        """Read what is new, and forget what is gone."""
        with self.lock:
            generation = file.base.rows("SELECT generation FROM about")[0][0]
            if generation == self.generation:
                return
            last = int(self.numbers[-1]) if len(self.numbers) else 0
            new = file.base.rows(_ROWS, (last,))
            keep: Any = np.ones(len(self.numbers), bool)
            there = file.base.rows("SELECT COUNT(*) FROM vectors")[0][0]
            if there != len(self.numbers) + len(new):
                left = np.array(file.base.rows("SELECT number FROM vectors"), np.int64).reshape(-1)
                keep = np.isin(self.numbers, left)
            self._take(new, keep)
            self.generation = generation

    def _take(self, new: list[tuple[Any, ...]], keep: Any) -> None:
        if not new and keep.all():
            return
        scales = np.array([row[2] for row in new], np.float32)
        data = np.frombuffer(b"".join(row[3] for row in new), np.int8)
        added = data.reshape(len(new), self.rows.shape[1]).astype(np.float32) * scales[:, None]
        self.rows = np.concatenate([self.rows[keep], added])
        self.numbers = np.concatenate([self.numbers[keep], np.array([row[0] for row in new], np.int64)])
        self.passages = np.concatenate([self.passages[keep], np.array([row[1] for row in new], np.int64)])

    def nearest(self, vector: Sequence[float], k: int, fitting: Any) -> list[tuple[int, float]]:
        """Passages' numbers with their cosines, the nearest first."""
        with self.lock:
            rows, passages = self.rows, self.passages
        if fitting is not None:
            places = np.flatnonzero(np.isin(passages, fitting))
            rows, passages = rows[places], passages[places]
        cosines = rows @ np.array(vector, np.float32)
        if len(cosines) > k:
            best = np.argpartition(-cosines, k)[:k]
            cosines, passages = cosines[best], passages[best]
        order = np.argsort(-cosines, kind="stable")
        return [(int(passages[at]), float(cosines[at])) for at in order]


class MatrixIndex:
    """A `VectorIndex` over a `SqliteShelf`."""

    def __init__(self, shelf: SqliteShelf, memory: int = MEMORY) -> None:
        self._shelf = shelf
        self._memory = memory
        self._lock = threading.Lock()
        self._matrices: OrderedDict[tuple[str, int], Matrix] = OrderedDict()

    async def put(self, scope: Scope, vectors: Sequence[Vector]) -> None:
        """Do nothing: the shelf is told, and is read."""

    async def remove(self, scope: Scope, passage_ids: Sequence[str]) -> None:
        """Do nothing."""

    async def drop(self, scope: Scope) -> None:
        """Do nothing."""

    async def nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> Sequence[Near]:
        """The k nearest passages. Raises NotFound, Unavailable."""
        return await asyncio.to_thread(self._nearest, scope, vector, k, where)

    def _nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> list[Near]:
        with self._shelf.file(scope) as file:
            matrix = self._matrix(file, len(vector))
            matrix.catch_up(file)
            fitting = None
            if where:
                documents, values = filtered(where)
                rows = file.base.rows(_FITTING.format(documents=documents), values)
                fitting = np.array(rows, np.int64).reshape(-1)
            found = matrix.nearest(vector, k, fitting)
            ids = file.ids([number for number, _ in found])
        return [Near(ids[number], cosine) for number, cosine in found if number in ids]

    def _matrix(self, file: CollectionFile, dimension: int) -> Matrix:
        """The collection's matrix; others that have not been used for long make room."""
        with self._lock:
            key = (str(file.base.path), dimension)
            matrix = self._matrices.pop(key, None) or Matrix(dimension)
            self._matrices[key] = matrix
            while len(self._matrices) > 1 and sum(m.rows.nbytes for m in self._matrices.values()) > self._memory:
                self._matrices.popitem(last=False)
            return matrix

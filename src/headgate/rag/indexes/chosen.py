"""`ChosenIndex`: some collections have an index of their own, all others the same one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headgate.core.knowledge import Near, Scope, Vector
from headgate.core.seams import VectorIndex


class ChosenIndex:
    """A `VectorIndex` that asks another one, by the collection's name."""

    def __init__(self, usual: VectorIndex, special: Mapping[str, VectorIndex]) -> None:
        self._usual = usual
        self._special = special

    async def put(self, scope: Scope, vectors: Sequence[Vector]) -> None:
        """Add vectors. Raises Unavailable."""
        await self._of(scope).put(scope, vectors)

    async def remove(self, scope: Scope, passage_ids: Sequence[str]) -> None:
        """Forget passages. Raises Unavailable."""
        await self._of(scope).remove(scope, passage_ids)

    async def drop(self, scope: Scope) -> None:
        """Forget the collection. Raises Unavailable."""
        await self._of(scope).drop(scope)

    async def nearest(self, scope: Scope, vector: Sequence[float], k: int, where: Mapping[str, Any]) -> Sequence[Near]:
        """The k nearest passages. Raises Unavailable."""
        return await self._of(scope).nearest(scope, vector, k, where)

    def _of(self, scope: Scope) -> VectorIndex:
        return self._special.get(scope.collection, self._usual)

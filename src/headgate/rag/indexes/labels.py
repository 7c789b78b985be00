"""What all indexes share: the name of a collection there, and metadata as plain labels that are equal or not.

A label is a key with one value of its, as the shelf compares them; so every index filters alike, whatever it can do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from headgate.core.knowledge import Scope
from headgate.stores.collection_writing import facet, facets, text_of

T = TypeVar("T")


def name_of(scope: Scope) -> str:
    """The name of a collection in an index: a digest of whose and which it is, so that no two are the same."""
    return "headgate-" + hashlib.sha256(text_of([scope.tenant, scope.collection]).encode()).hexdigest()[:40]


def labels_of(metadata: Mapping[str, Any]) -> list[str]:
    """The labels of a passage."""
    return [text_of(each) for each in dict.fromkeys(facets(metadata))]


def choices(where: Mapping[str, Any]) -> list[list[str]]:
    """A filter: of each of the lists, a passage has at least one label."""
    return [
        [text_of((key, facet(each))) for each in (wanted if isinstance(wanted, list | tuple) else [wanted])]
        for key, wanted in where.items()
    ]


def batches(rows: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """The rows, `most` at a time."""
    for at in range(0, len(rows), most):
        yield rows[at : at + most]

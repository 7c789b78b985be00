"""`Knowledge`: what document search is made of. Fields only; `boot` fills them in."""

from __future__ import annotations

from dataclasses import dataclass

from headgate.core.seams import Shelf, VectorIndex
from headgate.rag.embedder import Embeds
from headgate.rag.ingest import Ingester
from headgate.rag.search import Searcher


@dataclass(slots=True)
class Knowledge:
    """The truth, an index made of it, where vectors come from, and what works with them."""

    shelf: Shelf
    index: VectorIndex
    embedder: Embeds | None
    searcher: Searcher
    ingester: Ingester

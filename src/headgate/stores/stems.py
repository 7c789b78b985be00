"""`Stems`: words as FTS5 sees them. SQLite itself cuts and stems, in memory, so that no second stemmer disagrees."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from functools import lru_cache

_SCHEMA = """
CREATE VIRTUAL TABLE said USING fts5(text, tokenize = 'porter unicode61');
CREATE VIRTUAL TABLE terms USING fts5vocab(said, instance);
"""


class Stems:
    """Cuts texts into stems. Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._base = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._base.executescript(_SCHEMA)
        self.of = lru_cache(maxsize=50_000)(self._of)

    def close(self) -> None:
        """Forget all."""
        self._base.close()

    def _of(self, word: str) -> tuple[str, ...]:
        """The stems of a word, which are several where the tokenizer cuts it, and none where it drops it."""
        with self._lock:
            self._fill([word])
            return tuple(row[0] for row in self._base.execute('SELECT term FROM terms ORDER BY "offset"'))

    def having(self, texts: Sequence[str], words: Sequence[str]) -> dict[str, set[int]]:
        """Which of the texts have each word, by their places."""
        with self._lock:
            self._fill(texts)
            ask = "SELECT rowid FROM said WHERE said MATCH ?"
            return {word: {row[0] for row in self._base.execute(ask, (quoted(word),))} for word in words}

    def counts(self, texts: Sequence[str]) -> list[dict[str, int]]:
        """How often each text has each of its stems."""
        found: list[dict[str, int]] = [{} for _ in texts]
        with self._lock:
            self._fill(texts)
            for at, term, count in self._base.execute("SELECT doc, term, COUNT(*) FROM terms GROUP BY doc, term"):
                found[at][term] = count
        return found

    def _fill(self, texts: Sequence[str]) -> None:
        self._base.execute("DELETE FROM said")
        self._base.executemany("INSERT INTO said (rowid, text) VALUES (?, ?)", enumerate(texts))


def quoted(word: str) -> str:
    """A word in the query language of FTS5, where it means nothing else."""
    return '"' + word.replace('"', '""').replace("\0", " ") + '"'

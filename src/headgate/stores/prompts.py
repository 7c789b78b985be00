"""System prompts kept in the database by name; every change is a new version, old ones stay readable."""

from __future__ import annotations

import time

from msgspec import Struct

from headgate.core.seams import Database

PUT = """
INSERT INTO prompts (name, version, text, at)
SELECT ?, COALESCE(MAX(version), 0) + 1, ?, ? FROM prompts WHERE name = ?
HAVING NOT EXISTS (
    SELECT 1 FROM prompts WHERE name = ? AND text = ? AND version = (SELECT MAX(version) FROM prompts WHERE name = ?)
)
ON CONFLICT DO NOTHING
"""


class SavedPrompt(Struct, frozen=True):
    """One version of a prompt; `at` is when it was saved, in epoch seconds."""

    name: str
    version: int
    text: str
    at: float


class PromptTable:
    """Prompts on any `Database`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str, version: int | None = None) -> SavedPrompt | None:
        """The newest version, or the one asked for; None where there is none."""
        rows = self._database.rows(
            "SELECT name, version, text, at FROM prompts WHERE name = ? AND version = COALESCE(?, version) "
            "ORDER BY version DESC LIMIT 1",
            (name, version),
        )
        return SavedPrompt(*rows[0]) if rows else None

    def put(self, name: str, text: str) -> SavedPrompt:
        """Save a new version and return it; a text that is in force already makes no new version."""
        while True:
            added = self._database.run((PUT, (name, text, time.time(), name, name, text, name)))
            saved = self.get(name)
            if saved is not None and (added or saved.text == text):
                return saved

    def all(self) -> list[SavedPrompt]:
        """The newest version of each prompt, by name."""
        rows = self._database.rows(
            "SELECT name, version, text, at FROM prompts AS p "
            "WHERE version = (SELECT MAX(version) FROM prompts WHERE name = p.name) ORDER BY name"
        )
        return [SavedPrompt(*row) for row in rows]

    def delete(self, name: str) -> bool:
        """Delete a prompt with all its versions; whether there was one."""
        return self._database.run(("DELETE FROM prompts WHERE name = ?", (name,))) > 0

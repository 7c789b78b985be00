"""Where each key was written: the line of the file, the environment variable, or the flag."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Keys = tuple[str | int, ...]

SECRET_NAME = re.compile(r"(^|_)(api_?keys?|key|secret|token|password|credentials?)$", re.IGNORECASE)


class Source:
    """The text behind a configuration. `origins` names what did not come from the file, `files` all that was read."""

    def __init__(self, path: Path | None = None, text: str = "", base_dir: Path | None = None) -> None:
        self.path = path
        self.text = text
        self.base_dir = base_dir or (path.parent if path else Path())
        self.origins: dict[Keys, str] = {}
        self.files: list[Path] = [path] if path else []
        self._lines: dict[Keys, int] | None = None

    def where(self, keys: Keys) -> str:
        """`file:line`, a variable or a flag: the nearest place that speaks of these keys."""
        if self._lines is None:
            self._lines = lines_of(self.text)
        for end in range(len(keys), 0, -1):
            if origin := self.origins.get(keys[:end]):
                return origin
            if line := self._lines.get(keys[:end]):
                return f"{self.path}:{line}"
        within = (origin for known, origin in self.origins.items() if known[: len(keys)] == keys)
        return next(within, str(self.path) if self.path else "configuration")


def lines_of(text: str) -> dict[Keys, int]:
    """The line of every key in sound TOML text. The parser tells no positions, so it is asked for each statement."""
    found: dict[Keys, int] = {}
    lists: dict[Keys, int] = {}
    table: Keys = ()
    statement, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        start = start if statement else number
        statement += line + "\n"
        try:
            data = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table = _header(data, lists)
            for end in range(1, len(table) + 1):
                found.setdefault(table[:end], start)
        for keys in _paths(data, table) if not statement.lstrip().startswith("[") else ():
            found.setdefault(keys, start)
        statement = ""
    return found


def _header(data: dict[str, Any], lists: dict[Keys, int]) -> Keys:
    """The keys of `[a.b]` or `[[a.b]]`, with the number of the item where one of them is a list of tables."""
    keys: Keys = ()
    value: Any = data
    while isinstance(value, dict) and value:
        name, value = next(iter(value.items()))
        keys = (*keys, name)
        if isinstance(value, list):
            lists[keys] = lists.get(keys, -1) + 1
            value = None
        if keys in lists:
            keys = (*keys, lists[keys])
    return keys


def _paths(value: object, at: Keys) -> Iterator[Keys]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*at, key)
        yield from _paths(item, (*at, key))

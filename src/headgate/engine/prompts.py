"""System prompts the operator keeps outside the configuration: in a file, or in the database."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

CHECK_EVERY = 1.0
"""Seconds after which a file or a row is looked at again."""

log = logging.getLogger("headgate")


class Fresh:
    """A text that is read again when its source has changed; a source that fails leaves the last text in place.

    `version` is cheap and changes when the text does; `read` fetches the text.
    """

    def __init__(self, name: str, version: Callable[[], object], read: Callable[[], str]) -> None:
        self._name = name
        self._version = version
        self._read = read
        self._seen = version()
        self._text = read()
        self._checked = time.monotonic()

    def __call__(self) -> str:
        """The text as it is now, at most `CHECK_EVERY` seconds old."""
        now = time.monotonic()
        if now - self._checked >= CHECK_EVERY:
            self._checked = now
            self._look()
        return self._text

    def _look(self) -> None:
        try:
            seen = self._version()
            if seen != self._seen:
                self._text, self._seen = self._read(), seen
        except Exception as error:  # noqa: BLE001 - a prompt that cannot be read must not stop the service
            said = "the prompt %s cannot be read; the last one stays"
            log.warning(said, self._name, extra={"reason": str(error)})


def stamp(path: Path) -> object:
    """What changes when a file does. Raises OSError."""
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def from_file(path: Path) -> Fresh:
    """A prompt kept in a file. Raises OSError where it is not there at the start."""
    return Fresh(str(path), lambda: stamp(path), lambda: path.read_text("utf-8").strip())

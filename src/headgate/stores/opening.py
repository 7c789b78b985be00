"""Which database an address means."""

from __future__ import annotations

from pathlib import Path

from headgate.core.faults import Unavailable
from headgate.stores.sqlite import SqliteDatabase


def open_database(url: str, base_dir: Path) -> SqliteDatabase:
    """The database of `[store] url`: `sqlite:///PATH`, from `base_dir` where PATH is relative.

    Raises Unavailable where it cannot be opened.
    """
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite":
        raise Unavailable(f"{scheme}:// databases are not supported by this version")
    return SqliteDatabase(base_dir / rest.removeprefix("/"))

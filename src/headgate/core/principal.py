"""`Principal`: who is calling and what they may do."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Literal

from msgspec import Struct


class Principal(Struct, frozen=True, kw_only=True, cache_hash=True):
    """A recognised caller. `tenant` scopes everything the caller owns: caches, documents, conversations, usage.

    `models` narrows what the tier allows (patterns over public names and `provider/model`); `limits` are rules of the
    key's own, in the words of the configuration (`("requests", "5/minute")`).
    """

    kind: Literal["key", "user", "anonymous", "admin"]
    id: str
    tier: str
    key_id: str = ""
    scopes: frozenset[str] = frozenset()
    models: tuple[str, ...] | None = None
    limits: tuple[tuple[str, str], ...] = ()

    @property
    def tenant(self) -> str:
        """The owner of what this caller makes: the same for all keys of one user."""
        return f"{'user' if self.kind == 'key' else self.kind}:{self.id}"

    @property
    def is_admin(self) -> bool:
        """Whether the caller may see and change other callers' things."""
        return self.kind == "admin"


def allowed(patterns: tuple[str, ...] | None, *names: str) -> bool:
    """Whether any of the names fits any of the patterns (shell wildcards); None allows all."""
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns for name in names)

"""`KeyStore`: the key records in a SQL database.

Every change advances `api_keys_clock` in its own transaction and stamps the row with the new version, so that any
process finds what changed since it last looked with two small queries, whoever changed it. Rows are never deleted.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

import msgspec

from headgate.core.faults import NotFound
from headgate.core.key import SHOWN, KeyRecord, digest, mint
from headgate.core.seams import Database

_COLUMNS = (
    "id, prefix, digest, previous, previous_until, owner, tier, name, scopes, models, limits, created, expires, revoked"
)
_ADVANCE = ("UPDATE api_keys_clock SET version = version + 1", ())
_NOW = "(SELECT version FROM api_keys_clock)"

_scopes = msgspec.json.Decoder(frozenset[str]).decode
_models = msgspec.json.Decoder(tuple[str, ...]).decode
_limits = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


class KeySettings(TypedDict, total=False):
    """What the owner of a key may choose and later change; the meanings are KeyRecord's."""

    user: str
    tier: str
    name: str
    scopes: frozenset[str]
    models: tuple[str, ...] | None
    limits: tuple[tuple[str, str], ...]
    expires: float | None


class KeyStore:
    """Creates, lists, changes, rotates and revokes. Blocking: call from a worker thread."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def create(self, **settings: Unpack[KeySettings]) -> tuple[str, KeyRecord]:
        """A new key: its text, which is told this once, and its record."""
        text = mint()
        record = KeyRecord(
            id=f"key_{secrets.token_hex(8)}",
            prefix=text[:SHOWN],
            digest=digest(text),
            created=self._clock(),
            **settings,
        )
        insert = f"INSERT INTO api_keys ({_COLUMNS}, version) VALUES ({'?, ' * 14}{_NOW})"  # noqa: S608 - constants
        self._database.run(_ADVANCE, (insert, _values(record)))
        return text, record

    def get(self, key_id: str) -> KeyRecord:
        """The record of a key. Raises NotFound."""
        rows = self._select("WHERE id = ?", key_id)
        if not rows:
            raise NotFound("There is no such API key.")
        return rows[0]

    def list(self, prefix: str = "", user: str = "", limit: int = 1000) -> Sequence[KeyRecord]:
        """The newest keys first, revoked ones too: of one user, or whose text begins so."""
        prefix = prefix[:SHOWN]
        return self._select(
            "WHERE substr(prefix, 1, ?) = ? AND (owner = ? OR ? = '') ORDER BY created DESC, id LIMIT ?",
            len(prefix),
            prefix,
            user,
            user,
            limit,
        )

    def change(self, key_id: str, **settings: Unpack[KeySettings]) -> KeyRecord:
        """Set what is named, leave the rest. Raises NotFound, also for a revoked key."""
        if settings:
            columns = {("owner" if name == "user" else name): _value(value) for name, value in settings.items()}
            self._update(key_id, columns)
        return self.get(key_id)

    def rotate(self, key_id: str, grace: float = 0.0) -> tuple[str, KeyRecord]:
        """A new text for a key, told this once; the old one works for `grace` seconds more.

        Raises NotFound, also for a revoked key.
        """
        text = mint()
        old = self.get(key_id)
        columns: dict[str, object] = {
            "prefix": text[:SHOWN],
            "digest": digest(text).hex(),
            "previous": old.digest.hex() if grace > 0 else "",
            "previous_until": self._clock() + grace,
        }
        self._update(key_id, columns)
        return text, self.get(key_id)

    def revoke(self, key_id: str) -> KeyRecord:
        """End a key for good; revoking it again changes nothing. Raises NotFound."""
        record = self.get(key_id)
        if record.revoked is None:
            self._update(key_id, {"revoked": self._clock()})
        return self.get(key_id)

    def version(self) -> int:
        """A number that grows with every change."""
        return int(self._database.rows("SELECT version FROM api_keys_clock")[0][0])

    def changed(self, since: int) -> Sequence[KeyRecord]:
        """The records made, changed or revoked after that version; all of them after 0."""
        return self._select("WHERE version > ?", since)

    def _select(self, where: str, *values: object) -> Sequence[KeyRecord]:
        rows = self._database.rows(f"SELECT {_COLUMNS} FROM api_keys {where}", values)  # noqa: S608 - constants
        return [_record(row) for row in rows]

    def _update(self, key_id: str, columns: dict[str, object]) -> None:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        update = f"UPDATE api_keys SET {assignments}, version = {_NOW} WHERE id = ? AND revoked IS NULL"  # noqa: S608 - our own column names
        if not self._database.run(_ADVANCE, (update, (*columns.values(), key_id))):
            raise NotFound("There is no such API key.")


def _value(value: object) -> object:
    """Text, times and nothing are themselves; lists become JSON."""
    if isinstance(value, str | float | int) or value is None:
        return value
    return msgspec.json.encode(value, order="deterministic").decode()


def _values(record: KeyRecord) -> tuple[object, ...]:
    """A record as the row of `_COLUMNS`."""
    return (
        record.id,
        record.prefix,
        record.digest.hex(),
        record.previous.hex(),
        record.previous_until,
        record.user,
        record.tier,
        record.name,
        _value(record.scopes),
        _value(record.models),
        _value(record.limits),
        record.created,
        record.expires,
        record.revoked,
    )


def _record(row: tuple[Any, ...]) -> KeyRecord:
    """A row of `_COLUMNS` as a record."""
    (key_id, prefix, own, previous, until, user, tier, name, scopes, models, limits, created, expires, revoked) = row
    return KeyRecord(
        id=key_id,
        prefix=prefix,
        digest=bytes.fromhex(own),
        previous=bytes.fromhex(previous),
        previous_until=until,
        user=user,
        tier=tier,
        name=name,
        scopes=_scopes(scopes),
        models=None if models is None else _models(models),
        limits=_limits(limits),
        created=created,
        expires=expires,
        revoked=revoked,
    )

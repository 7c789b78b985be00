"""`ResponseTable`: answers of the Responses API, kept for their tenant for thirty days and within bounds.

Every query names the tenant: another tenant's response does not exist.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from headgate.core.faults import NotFound
from headgate.core.seams import Database

DAYS = 30
LARGEST = 8 * 1024 * 1024
"""Bytes of one response with its input; a larger one is not kept."""
MOST = 1000
"""Responses of a tenant; past it the oldest tenth makes room."""
MOST_BYTES = 256 * 1024 * 1024
"""Bytes of a tenant's responses; past it the oldest tenth makes room."""

_INSERT = "INSERT INTO responses (tenant, id, created, expires, size, input, body) VALUES (?, ?, ?, ?, ?, ?, ?)"
_INSERT_ITEM = (
    "INSERT INTO response_items (tenant, id, response, item) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (tenant, id) DO UPDATE SET response = excluded.response, item = excluded.item"
)
_ITEMS = (
    "SELECT i.id, i.item FROM response_items AS i JOIN responses AS r ON r.tenant = i.tenant AND r.id = i.response "
    "WHERE i.tenant = ? AND r.expires > ?"
)
_DELETE = "DELETE FROM responses WHERE tenant = ? AND id = ?"
_EXPIRE = "DELETE FROM responses WHERE expires <= ?"
_HELD = "SELECT COUNT(*), SUM(size) FROM responses WHERE tenant = ?"
_PRUNE = """
DELETE FROM responses WHERE tenant = ? AND id IN (
    SELECT id FROM (
        SELECT id, ROW_NUMBER() OVER newest AS place, SUM(size) OVER newest AS total
        FROM responses WHERE tenant = ?
        WINDOW newest AS (ORDER BY created DESC, id DESC)
    ) AS kept WHERE place > ? OR total > ?
)
"""

_encode = msgspec.json.Encoder().encode
_items = msgspec.json.Decoder(list[dict[str, Any]]).decode


class ResponseTable:
    """Responses on any `Database`. Blocking: call from a worker thread."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    def keep(self, tenant: str, said: Sequence[dict[str, Any]], response: dict[str, Any]) -> bool:
        """Keep a response with the input items that led to it; False where it is too large to be kept."""
        id_, now = response["id"], self._clock()
        given, body = _encode(said).decode(), _encode(response).decode()
        size = len(given) + len(body)
        if size > LARGEST:
            return False
        items = [
            (_INSERT_ITEM, (tenant, item["id"], id_, _encode(item).decode()))
            for item in response["output"]
            if isinstance(item.get("id"), str)
        ]
        self._database.run(
            (_EXPIRE, (now,)),
            (_DELETE, (tenant, id_)),
            (_INSERT, (tenant, id_, now, now + DAYS * 86_400, size, given, body)),
            *items,
        )
        held, total = self._database.rows(_HELD, (tenant,))[0]
        if held > MOST or total > MOST_BYTES:
            self._database.run((_PRUNE, (tenant, tenant, MOST * 9 // 10, MOST_BYTES * 9 // 10)))
        return True

    def body(self, tenant: str, id_: str) -> bytes:
        """The response object, as JSON. Raises NotFound."""
        body: str = self._row("body", tenant, id_)[0]
        return body.encode()

    def input(self, tenant: str, id_: str) -> list[dict[str, Any]]:
        """The items that led to it, those of earlier responses included. Raises NotFound."""
        return _items(self._row("input", tenant, id_)[0])

    def history(self, tenant: str, id_: str) -> list[dict[str, Any]]:
        """The items that led to it and those that it consists of. Raises NotFound."""
        said, body = self._row("input, body", tenant, id_)
        output: list[dict[str, Any]] = msgspec.json.decode(body)["output"]
        return _items(said) + output

    def items(self, tenant: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those of the items with these ids that are kept, by id."""
        marks = ", ".join("?" * len(ids))
        rows = self._database.rows(f"{_ITEMS} AND i.id IN ({marks})", (tenant, self._clock(), *ids))
        return {id_: msgspec.json.decode(item) for id_, item in rows}

    def delete(self, tenant: str, id_: str) -> None:
        """Forget a response. Raises NotFound."""
        if not self._database.run((f"{_DELETE} AND expires > ?", (tenant, id_, self._clock()))):
            raise _not_found(id_)

    def expire(self) -> None:
        """Delete those whose time is over."""
        self._database.run((_EXPIRE, (self._clock(),)))

    def _row(self, columns: str, tenant: str, id_: str) -> tuple[Any, ...]:
        rows = self._database.rows(
            f"SELECT {columns} FROM responses WHERE tenant = ? AND id = ? AND expires > ?",  # noqa: S608 - our own names
            (tenant, id_, self._clock()),
        )
        if not rows:
            raise _not_found(id_)
        return rows[0]


def _not_found(id_: str) -> NotFound:
    return NotFound(f"Response with id {id_[:100]!r} not found.", field="id")

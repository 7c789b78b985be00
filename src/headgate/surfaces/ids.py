"""The id of a request: what callers, logs and the ledger know it by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import getrandbits
from typing import Any

SETTLED = "headgate.request_id"
"""Where an ASGI scope keeps the id that was settled on."""

_SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def request_id_of(scope: Mapping[str, Any]) -> str:
    """The id that was settled on already, or `id_of` the request's headers."""
    return scope.get(SETTLED) or id_of(dict(scope["headers"]))


def id_of(named: Mapping[bytes, bytes]) -> str:
    """The caller's `X-Request-Id` if it is a sane one, else a fresh id. Header names are in lower case."""
    wished = named.get(b"x-request-id")
    if wished is not None and _SANE.fullmatch(wished):
        return wished.decode()
    return "req_" + getrandbits(96).to_bytes(12, "big").hex()

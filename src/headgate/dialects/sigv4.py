"""AWS Signature Version 4: a request is signed with a secret that is never sent.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, as every service but S3 has
it: a path is normalised, and encoded once more than it is on the wire.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

from msgspec import Struct

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"
_SPACES = re.compile(" +")


class Keys(Struct, frozen=True):
    """A pair of AWS access keys; temporary ones come with a session token."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""

    def __repr__(self) -> str:
        return f"Keys({self.access_key_id!r})"


class Scope(Struct, frozen=True):
    """Where a signature is good."""

    region: str
    service: str


def sign(
    keys: Keys, scope: Scope, method: str, target: str, headers: Mapping[str, str], body: bytes, now: float
) -> dict[str, str]:
    """The headers to send: those given, which must name the `host`, the time, the session token and the signature.

    `target` is the path, and perhaps a query, as it stands in the request line; `now` is in seconds since the epoch.
    """
    time = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    said = {name.lower(): value for name, value in headers.items()} | {"x-amz-date": time}
    if keys.session_token:
        said["x-amz-security-token"] = keys.session_token
    names = ";".join(sorted(said))
    where = f"{time[:8]}/{scope.region}/{scope.service}/aws4_request"
    request = canonical(method, target, said, body)
    text = f"{_ALGORITHM}\n{time}\n{where}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = b"AWS4" + keys.secret_access_key.encode()
    for part in where.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{keys.access_key_id}/{where}"
    said["authorization"] = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return said


def canonical(method: str, target: str, headers: Mapping[str, str], body: bytes) -> str:
    """The request in the one form that both sides sign; header names are in lower case."""
    path, _, query = target.partition("?")
    values = [f"{name}:{_SPACES.sub(' ', headers[name].strip())}\n" for name in sorted(headers)]
    names, digest = ";".join(sorted(headers)), hashlib.sha256(body).hexdigest()
    return "\n".join([method, _path(path), _query(query), "".join(values), names, digest])


def _path(path: str) -> str:
    """Without empty and dot segments, and encoded."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            kept[-1:] = []
        elif segment not in ("", "."):
            kept.append(segment)
    ending = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + ending, safe="/" + _UNRESERVED)


def _query(query: str) -> str:
    """Sorted by name and value, each encoded in the one way."""
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe=_UNRESERVED)

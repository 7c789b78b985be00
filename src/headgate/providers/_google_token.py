"""Access tokens for Google's APIs: a service account's key is exchanged for one, which is kept until near its end.

https://developers.google.com/identity/protocols/oauth2/service-account (RFC 7523), and for a person's own login
https://developers.google.com/identity/protocols/oauth2/web-server#offline (RFC 6749 6).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from urllib.parse import urlencode

import jwt
import msgspec
from msgspec import Struct

from headgate.core.call import Clocks
from headgate.core.faults import Fault, UpstreamAuth, UpstreamBroken, UpstreamTimeout
from headgate.core.seams import Answered, Ask
from headgate.providers._faults import fault_of
from headgate.providers._wire import HttpWire

EARLY = 300.0
"""Seconds before its end from which on a token is renewed; until the end it still serves if that fails."""
COOLDOWN = 15.0
"""Seconds after a failed renewal in which a token that is still good is not renewed again."""

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LIFE = 3600
_CLOCKS = Clocks(connect=5, first_event=10, idle=10, total=20)
_FORM = (("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json"))

_log = logging.getLogger(__name__)


class ServiceAccount(Struct, frozen=True, tag_field="type", tag="service_account"):
    """A service account's key file. The key signs a statement that it is this account (RS256)."""

    client_email: str
    private_key: str
    private_key_id: str = ""
    project_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    def form(self, now: float) -> dict[str, str]:
        """What is sent to `token_uri`."""
        claims = {
            "iss": self.client_email,
            "scope": _SCOPE,
            "aud": self.token_uri,
            "iat": int(now),
            "exp": int(now) + _LIFE,
        }
        headers = {"kid": self.private_key_id} if self.private_key_id else None
        assertion = jwt.encode(claims, self.private_key, "RS256", headers)
        return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": assertion}

    def __repr__(self) -> str:
        return f"ServiceAccount({self.client_email!r})"


class AuthorizedUser(Struct, frozen=True, tag_field="type", tag="authorized_user"):
    """What `gcloud auth application-default login` writes: a person's own login."""

    client_id: str
    client_secret: str
    refresh_token: str
    project_id: str = ""
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address

    def form(self, now: float) -> dict[str, str]:  # noqa: ARG002 - as a service account's
        """What is sent to `token_uri`."""
        return {
            "grant_type": "refresh_token",
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "refresh_token": self.refresh_token,
        }

    def __repr__(self) -> str:
        return f"AuthorizedUser({self.client_id!r})"


Credentials = ServiceAccount | AuthorizedUser

_decode = msgspec.json.Decoder(Credentials).decode


class _Token(Struct):
    access_token: str
    expires_in: float = _LIFE


_decode_token = msgspec.json.Decoder(_Token).decode


def credentials_of(text: str) -> Credentials:
    """The credentials in a JSON file's text. Raises ValueError, which tells no secret."""
    try:
        found: Credentials = _decode(text)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        raise ValueError("credentials must be the JSON of a service account or of an authorized user") from None
    if isinstance(found, ServiceAccount):
        try:
            found.form(0)
        except Exception:  # noqa: BLE001 - whatever the key is, its text must not be told
            raise ValueError("credentials hold no usable RSA private key") from None
    try:
        HttpWire(found.token_uri)
    except ValueError:
        raise ValueError("the credentials' token_uri is no address") from None
    return found


def _seen(exchange: asyncio.Task[None]) -> None:
    """Its failure is not lost where every caller has left."""
    if not exchange.cancelled():
        exchange.exception()


class Tokens:
    """The current access token of some credentials. However many callers wait for one, one exchange is made."""

    def __init__(self, credentials: Credentials, clock: Callable[[], float] = time.time) -> None:
        self._credentials = credentials
        self._clock = clock
        self._token = ""
        self._ends = 0.0
        self._renew = 0.0
        self._exchange: asyncio.Task[None] | None = None

    async def get(self, deadline: float) -> str:
        """A token that is good now. `deadline` is a `time.monotonic()` second. Raises UpstreamFaults."""
        if self._clock() < self._renew:
            return self._token
        if self._exchange is None:
            self._exchange = asyncio.create_task(self._renewed())
            self._exchange.add_done_callback(_seen)
        patience = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        try:
            async with asyncio.timeout(patience):
                await asyncio.shield(self._exchange)  # who leaves does not take it from the others
        except TimeoutError:
            raise UpstreamTimeout("no access token from Google in time", details={"clock": "deadline"}) from None
        return self._token

    def forget(self, token: str) -> None:
        """This token was refused: the next caller gets another one."""
        if token == self._token:
            self._renew = self._ends = 0.0

    async def _renewed(self) -> None:
        try:
            said = await self._exchanged()
        except Fault as fault:
            if self._clock() >= self._ends:
                raise
            _log.warning("Google's access token is not renewed yet: %s", fault.message)
            self._renew = min(self._clock() + COOLDOWN, self._ends)
        else:
            now = self._clock()
            self._token, self._ends = said.access_token, now + said.expires_in
            self._renew = now + max(said.expires_in - EARLY, said.expires_in / 2)
        finally:
            self._exchange = None

    async def _exchanged(self) -> _Token:
        """Ask for a token. Once an hour is too seldom to keep a connection for."""
        ask = Ask(path="", body=urlencode(self._credentials.form(self._clock())).encode(), headers=_FORM)
        wire = HttpWire(self._credentials.token_uri)
        try:
            return _decode_token(await wire.fetch(ask, _CLOCKS, float("inf")))
        except Answered as answered:
            if answered.status in (400, 401, 403):
                raise UpstreamAuth("the provider refused Headgate's credential") from None
            raise fault_of(answered) from None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise UpstreamBroken("Google answered without an access token") from None
        finally:
            await wire.aclose()

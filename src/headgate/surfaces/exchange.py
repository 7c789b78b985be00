"""An exchange by ASGI: a request whose head is complete, as uvicorn hands it to an application."""

from __future__ import annotations

import asyncio
import urllib.parse
from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class Socket:
    """The transport as an exchange sees it: its `close` is the connection's `finish`."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def exchange_of(connection: HttpToolsProtocol, method: bytes, socket: Socket, *, lasting: bool) -> RequestResponseCycle:
    """The exchange that begins by a connection, with its ASGI scope; one that is not `lasting` is its last."""
    version = connection.parser.get_http_version()
    url = httptools.parse_url(connection.url)
    path = url.path.decode("ascii")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": connection.asgi_version, "spec_version": "2.3"},
        "http_version": version,
        "method": method.decode("ascii"),
        "scheme": connection.scheme,
        "path": urllib.parse.unquote(path) if "%" in path else path,
        "raw_path": url.path,
        "query_string": url.query or b"",
        "root_path": connection.root_path,
        "headers": connection.headers,
        "server": connection.server,
        "client": connection.client,
        "state": connection.app_state.copy(),
        "headgate.connection": connection,
    }
    return RequestResponseCycle(
        scope=scope,  # type: ignore[arg-type]
        transport=socket,  # type: ignore[arg-type]
        flow=connection.flow,
        logger=connection.logger,
        access_logger=connection.access_logger,
        access_log=False,
        default_headers=connection.server_state.default_headers,
        message_event=asyncio.Event(),
        expect_100_continue=connection.expect_100_continue,
        keep_alive=lasting and version != "1.0" and connection.parser.should_keep_alive(),
        on_response=connection.on_response_complete,
    )

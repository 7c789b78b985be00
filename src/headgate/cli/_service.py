"""Asking the running service: where it is, and what it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from headgate.config import Config

PATIENCE = 10.0


def address_of(config: Config, url: str | None) -> str:
    """Where the service is: where somebody said, else where the configuration has it listen."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(config.server.host, config.server.host)  # noqa: S104
    return (url or f"http://{host}:{config.server.port}").rstrip("/")


def answer(
    address: str,
    method: str,
    path: str,
    credential: str,
    *,
    query: dict[str, Any] | None = None,
    body: dict[str, Any] | None = None,
) -> Any:
    """The JSON of its answer. Raises ClickException where it refuses, ConnectionError where nobody answers."""
    import httpx2

    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    try:
        got = httpx2.request(
            method, f"{address}{path}", params=query, json=body, headers=headers, timeout=PATIENCE, trust_env=False
        )
    except httpx2.HTTPError as error:
        raise ConnectionError(f"no service answers at {address}: {error or type(error).__name__}") from None
    try:
        told = got.json()
    except ValueError:
        raise ConnectionError(f"what answers at {address} is no Headgate") from None
    if not got.is_success:
        raise click.ClickException(str(told.get("error", got.status_code) if isinstance(told, dict) else told))
    return told

"""`headgate chat`: talk to a model in the terminal, through the running service or without one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headgate.cli._service import address_of
from headgate.cli._shared import config_option, example

if TYPE_CHECKING:
    from headgate.config import Config

Messages = list[dict[str, str]]
Speak = Callable[[Messages], AsyncIterator[str]]

# What could steer the terminal is left out of a model's words.
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


@click.command(
    epilog=example("chat", 'chat --model assistant "What is a token?"', "chat --url https://llm.example.com")
)
@click.argument("message", required=False)
@config_option
@click.option("--model", default="", help="A public name or provider/model.  [default: the default model]")
@click.option("--system", default="", help="A system prompt.")
@click.option("--url", help="A running service.  [default: the configured address, else no service is needed]")
@click.option(
    "--key", envvar="HEADGATE_API_KEY", default="", help="API key or token for the service.  [env: HEADGATE_API_KEY]"
)
def chat(message: str | None, config_path: Path | None, model: str, system: str, url: str | None, key: str) -> None:
    """Talk to a model, streaming.

    With MESSAGE, or text on standard input, it answers once. Otherwise it is a conversation: end it with Ctrl-D.
    """
    from headgate.config import load

    config = load(config_path)
    messages: Messages = [{"role": "system", "content": system}] if system else []
    if message is None and not sys.stdin.isatty():
        message = sys.stdin.read()
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            speak = runner.run(_connect(stack, config, model, url, key))
            if message is not None:
                runner.run(_turn(speak, messages, message))
                return
            click.echo("Ctrl-D ends the conversation.", err=True)
            while True:
                runner.run(_turn(speak, messages, input("> ")))
        except EOFError:
            click.echo()
        finally:
            runner.run(stack.aclose())


async def _turn(speak: Speak, messages: Messages, text: str) -> None:
    messages.append({"role": "user", "content": text})
    answer = ""
    async for words in speak(messages):
        click.echo(words.translate(_CONTROLS), nl=False)
        answer += words
    click.echo()
    messages.append({"role": "assistant", "content": answer})


async def _connect(stack: AsyncExitStack, config: Config, model: str, url: str | None, key: str) -> Speak:
    """Through the service that was named or answers at the configured address; else in this process."""
    import httpx2

    address = address_of(config, url)
    client = await stack.enter_async_context(httpx2.AsyncClient(timeout=httpx2.Timeout(5, read=600)))
    try:
        here = (await client.get(f"{address}/health")).is_success
    except httpx2.HTTPError:
        here = False
    if here:
        return lambda messages: _through(client, address, key, {"model": model, "messages": messages})
    if url:
        raise click.ClickException(f"no service answers at {url}")
    from headgate.boot.opening import open_runtime

    runtime = await stack.enter_async_context(open_runtime(config, quiet=True))
    return lambda messages: _inside(runtime, {"model": model, "messages": messages})


async def _through(client: Any, address: str, key: str, body: dict[str, Any]) -> AsyncIterator[str]:
    """The words of an answer from a running service."""
    import httpx2

    from headgate.dialects.sse import Frames

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    body = {name: value for name, value in body.items() if value} | {"stream": True}
    frames, done = Frames(), False
    try:
        async with client.stream("POST", f"{address}/v1/chat/completions", json=body, headers=headers) as response:
            if not response.is_success:
                raise click.ClickException(_error(await response.aread(), response.status_code))
            async for chunk in response.aiter_bytes():
                for _, data in frames.feed(chunk):
                    done = done or data == b"[DONE]"
                    if data != b"[DONE]":
                        yield _words(data)
    except httpx2.HTTPError as error:
        raise click.ClickException(f"the service broke off: {error or type(error).__name__}") from None
    if not done:
        raise click.ClickException("the answer was cut off")


def _words(data: bytes) -> str:
    chunk = json.loads(data)
    if "error" in chunk:
        raise click.ClickException(_error(data, 200))
    return "".join(choice.get("delta", {}).get("content") or "" for choice in chunk.get("choices", ()))


def _error(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return f"the service answered {status}"


async def _inside(runtime: Any, fields: dict[str, Any]) -> AsyncIterator[str]:
    """The words of an answer from this process."""
    from headgate.core.events import Text
    from headgate.core.principal import Principal
    from headgate.dialects import openai_chat

    call = openai_chat.parse({**fields, "stream": True}, json.dumps({**fields, "stream": True}).encode())
    call.surface, call.dialect = "cli", ""  # of no dialect: every provider tells its words as Text
    who = Principal(kind="admin", id="terminal", tier="admin")
    async with aclosing(runtime.gate.answer(who, call)) as events:
        async for event in events:
            if isinstance(event, Text):
                yield event.text

"""`headgate replay`: a recorded upstream answer, frame by frame, as Reader and Writer see it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headgate.cli._shared import example, json_option, print_json

if TYPE_CHECKING:
    from headgate.core.call import Call
    from headgate.core.events import Event, Reply
    from headgate.core.seams import Writer

_FRAME = re.compile(rb".*?(?:\r?\n\r?\n|\r\r|\Z)", re.DOTALL)
_LINE = re.compile(rb".*?(?:\n|\Z)", re.DOTALL)


@click.command(
    epilog=example("replay answer.sse --kind anthropic --as openai", "replay answer.json --whole --kind gemini")
)
@click.argument("frames", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--kind", required=True, help="The provider that sent it: openai, anthropic, gemini, ...")
@click.option(
    "--as", "surface", type=click.Choice(["openai", "anthropic", "simple"]), default="openai", show_default=True,
    help="The surface that a caller would use.",
)  # fmt: skip
@click.option("--whole", is_flag=True, help="The recording is an answer in one piece, not a stream.")
@json_option
def replay(frames: Path, kind: str, surface: str, whole: bool, as_json: bool) -> None:
    """Show a recorded upstream answer frame by frame.

    FRAMES holds the bytes of the answer's body as they came. For each frame: the bytes in, the events that they mean,
    and the bytes that a caller gets. A cut or broken recording shows the fault that a caller is told.
    """
    call, writer = _caller(surface, stream=not whole)
    steps = list(_steps(frames.read_bytes(), kind, surface, call, writer))
    if as_json:
        print_json(steps)
        return
    for number, step in enumerate(steps, 1):
        click.secho(f"{number}", bold=True)
        _print_bytes("<", step["in"])
        for event in step["events"]:
            click.echo(f"    {event}")
        _print_bytes(">", step["out"])


def _caller(surface: str, *, stream: bool) -> tuple[Call, Writer]:
    """A call as a client of the surface would make it, and the Writer of its answer."""
    fields: dict[str, Any] = {"model": "replay", "stream": stream}
    if surface == "simple":
        from headgate.dialects import simple

        call = simple.CHAT.parse({"message": "replay", **fields}, b"")
        return call, simple.CHAT.writer(call)
    fields["messages"] = [{"role": "user", "content": "replay"}]
    if surface == "anthropic":
        from headgate.dialects import anthropic_messages, anthropic_messages_writer

        call = anthropic_messages.parse({**fields, "max_tokens": 1024}, b"")
        return call, anthropic_messages_writer.Writer(call)
    from headgate.dialects import openai_chat, openai_chat_writer

    call = openai_chat.parse({**fields, "stream_options": {"include_usage": True}} if stream else fields, b"")
    return call, openai_chat_writer.Writer(call)


def _steps(data: bytes, kind: str, surface: str, call: Call, writer: Writer) -> Iterator[dict[str, Any]]:
    """What happens to each frame, and at the end."""
    from headgate.core.entry import Entry
    from headgate.core.events import Receipt, Reply, Usage
    from headgate.core.faults import Fault

    reader = _reader(kind, call)
    frames = _FRAME if re.search(rb"\n\r?\n|\r\r", data) else _LINE
    step: dict[str, Any] = {}
    reply = Reply()
    try:
        for frame in filter(None, frames.findall(data)):
            step = {"in": frame.decode("utf-8", "replace"), "events": [], "out": ""}
            _follow(reader.feed(frame), writer, step, reply)
            yield step
        step = {"in": "", "events": [], "out": ""}
        _follow(reader.close(), writer, step, reply)
        used = reply.usage or Usage(0, 0)
        entry = Entry(id="replay", at=0.0, request_id="replay", provider=kind, model="replay")
        entry.tokens_in, entry.tokens_out, entry.cached = used.tokens_in, used.tokens_out, used.cached
        _follow([Receipt(entry)], writer, step, reply)
    except Fault as fault:
        from headgate.surfaces.faults import body_of

        step["events"].append(f"{type(fault).__name__}: {fault.message}")
        step["out"] += writer.fail(body_of(fault, surface, "replay")).decode()  # type: ignore[arg-type]
    yield step


def _follow(events: Iterable[Event], writer: Writer, step: dict[str, Any], reply: Reply) -> None:
    for event in events:
        reply.add(event)
        step["events"].append(repr(event))
        step["out"] += writer.feed(event).decode("utf-8", "replace")


def _reader(kind: str, call: Call) -> Any:
    from headgate.providers.kinds import kind_of
    from headgate.testing import ScriptedWire

    found = kind_of(kind)
    provider = found.connect(found.options(), ScriptedWire())
    if not hasattr(provider, "reader"):
        raise click.ClickException(f"the provider {kind} reads no recorded bytes")
    return provider.reader(call)


def _print_bytes(mark: str, text: str) -> None:
    for line in text.splitlines():
        click.echo(f"  {mark} {click.unstyle(line)}")

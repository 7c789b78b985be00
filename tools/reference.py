"""Writes docs/reference from the code: `python tools/reference.py`. A page a function, in `PAGES`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from headgate.cli.main import main
from headgate.config.problems import declared
from headgate.config.sections import BUILT_IN_TIERS, Section
from headgate.config.tree import Config
from headgate.config.values import Says
from headgate.core import faults
from headgate.core.faults import Fault, Then
from headgate.core.seams import Counter, Embedder
from headgate.providers import _http, openai
from headgate.providers.kinds import GROUP, Kind, kinds
from headgate.surfaces.faults import TABLE, Surface, body_of, status_of
from headgate.surfaces.said import REQUEST_ID, SAMPLES
from headgate.telemetry.families import COUNTERS, GAUGES, SECONDS, TIMES
from headgate.telemetry.metrics import OTHER, SERIES
from headgate.testing import ScriptedWire

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
GENERATED = "This page is generated from the code."

CONFIGURATION = """\
# Configuration

Headgate reads one TOML file: `--config`, else the file that `HEADGATE_CONFIG` names, else `headgate.toml` in the
working directory. Then environment variables `HEADGATE__SECTION__KEY` (`HEADGATE__SERVER__PORT=9000`; lists as TOML:
`HEADGATE__TIERS__PRO__REQUESTS='["100/minute"]'`), then flags; later ones win. Nothing is required.

A value may be a reference: `env:NAME` is the variable's text, `file:PATH` that of a file; relative paths are meant from
the configuration's directory. A `.env` file there (without a configuration file: in the working directory) adds to the
environment. `headgate check` tells every mistake with its line, and prints the result with secrets hidden.

- A **duration** is `"30 s"`, `"500 ms"`, `"5 min"`, `"1 h"`, or a number of seconds.
- A **size** is `"20 MiB"`, `"1 MB"`, or a number of bytes.
- **Rules** are one text or a list of them: so much in any span of time, `"60/minute"`, `"5/10 s"`, `"5000/day"`,
  `"200/month"` (30 days). All of them hold. `"unlimited"` is no rule.
- A **secret** is best written as a reference, `env:NAME` or `file:PATH`; it is never shown.

{GENERATED}
"""

_NAMES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}


def configuration() -> str:
    """Every key of the configuration."""
    intro = CONFIGURATION.replace("{GENERATED}", GENERATED)
    return "\n".join([intro, *(line for name, field in Config.model_fields.items() for line in _section(name, field))])


def _section(name: str, field: FieldInfo) -> Iterator[str]:
    section = declared(Config, (name,))
    named = get_origin(section) is dict
    if named:
        section = get_args(section)[1]
    yield f"## `[{name}{'.NAME' if named else ''}]`\n"
    yield f"{field.description}\n"
    if _is_section(section):
        yield from _table(section)
    if name == "tiers":
        yield from _built_in()
    if name == "providers":
        yield "The other keys (`api_key`, `base_url`, …) are the provider's own: see [providers](providers.md).\n"


def _table(section: type[Section]) -> Iterator[str]:
    rows = list(_rows(section, ""))
    if rows:
        yield "| key | type | default | meaning |\n| --- | --- | --- | --- |"
        yield from rows
        yield ""


def _rows(section: type[Section], prefix: str) -> Iterator[str]:
    for name, field in section.model_fields.items():
        inner, item = declared(section, (name,)), declared(section, (name, 0))
        if _is_section(inner):
            yield from _rows(inner, f"{prefix}{name}.")
        elif _is_section(item):
            yield f"| `{prefix}{name}` | list of tables | | {field.description} |"
            yield from _rows(item, f"{prefix}{name}[].")
        else:
            yield f"| `{prefix}{name}` | {_type(inner, field)} | {_default(field)} | {field.description} |"


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _type(inner: Any, field: FieldInfo) -> str:
    says = next((item.words for item in field.metadata if isinstance(item, Says)), None)
    if says:
        return says
    if get_origin(inner) is Literal:
        return ", ".join(f'`"{value}"`' for value in get_args(inner))
    if get_origin(inner) is tuple:
        return f"list of {_NAMES.get(get_args(inner)[0], 'number')}s"
    return _NAMES.get(inner, "number")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if any(item == Says("size") for item in field.metadata):
        return f'`"{field.default // 2**20} MiB"`'
    return "" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value)


def _built_in() -> Iterator[str]:
    yield "Built in; a table of the same name changes the keys that it names:\n\n```toml"
    for name, tier in BUILT_IN_TIERS.items():
        yield f"[tiers.{name}]"
        yield from (f"{key} = {_toml(value)}" for key, value in tier.items())
    yield "```\n"


ERRORS = f"""\
# Errors

One taxonomy, told in the words of the surface that the caller used. {GENERATED}

- The **simple** surface: `{{"error", "error_code", "details", "request_id"}}`.
- **OpenAI**'s paths: `{{"error": {{"message", "type", "param", "code"}}}}`; the code of a model that is not there is
  `model_not_found`.
- **Anthropic**'s paths: `{{"type": "error", "error": {{"type", "message"}}, "request_id"}}`.

Every 429 and 503 carries `Retry-After` in whole seconds, but for a request that is more than a whole limit and never
fits; every 401 carries `WWW-Authenticate`, every refusal by a limit the `RateLimit` headers. After the first byte of a
stream the status is out: the same body then comes as the stream's last event (see
[streaming and errors](../streaming-and-errors.md)).
"""
_SIDES: dict[type[Fault], str] = {
    faults.CallerFault: "The caller can mend it",
    faults.UpstreamFault: "The model's side",
    faults.ServerFault: "Headgate's side",
}
_NEXT = {
    Then.STOP: "the caller is told",
    Then.AGAIN: "the target is asked again, then the next one",
    Then.ELSEWHERE: "the next target is asked",
}


def errors() -> str:
    """Every fault, with its status and its words on each surface."""
    return "\n".join([ERRORS, *(line for side, title in _SIDES.items() for line in _faults(side, title)), *_bodies()])


def _faults(side: type[Fault], title: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield "| status | `error_code` | OpenAI `type`, `code` | Anthropic `type` | what happened | before the first byte |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for sample in SAMPLES:
        if isinstance(sample, side):
            row, kind = TABLE[type(sample)], type(sample)
            simple = status_of(sample, "simple")
            status = f"{row.status}" if simple == row.status else f"{simple}; {row.status} on OpenAI's and Anthropic's"
            openai_words = f"`{row.openai}`, {f'`{row.code}`' if row.code else 'null'}"
            meaning = inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].replace("\n", " ")
            yield f"| {status} | `{kind.code}` | {openai_words} | `{row.anthropic}` | {meaning} | {_NEXT[kind.then]} |"
    yield ""


def _bodies() -> Iterator[str]:
    yield "## The bodies\n\nThe same fault on the three surfaces:\n"
    fault = next(sample for sample in SAMPLES if isinstance(sample, faults.RateLimited))
    for surface in get_args(Surface):
        body = json.dumps(json.loads(body_of(fault, surface, REQUEST_ID)), indent=2)
        yield f"```json\n{body}\n```\n"


METRICS = f"""\
# Metrics

`GET /metrics` in Prometheus's text format; with `Accept: application/json` a summary of all calls and their cost.
It needs the admin key unless `[telemetry] public_metrics` is set. {GENERATED}

Numbers are those of one service since its start, of all its workers together, whichever of them answers; except for the
JSON summary, which comes from the ledger. Counters and histograms are made from the ledger's entries after those are
written, so they are up to a quarter of a second old; gauges of other workers are up to a second old. A worker that died
keeps what it counted and loses its gauges.

| metric | type | labels | meaning | of several workers |
| --- | --- | --- | --- | --- |
"""
LABELS = """
- `surface`: the endpoint, such as `chat`, `openai.chat`, `anthropic.messages`.
- `provider`, `model`: the target that answered; empty for a call that reached none.
- `status`: `ok`, `refused` (never reached a model), `failed` (no answer), `partial` (cut after the first byte),
  `cancelled` (the caller left).
- `error`: an `error_code` of the [errors](errors.md), or `cancelled`; empty where there was none.
- `kind`: of tokens `in` or `out`; of refusals `requests`, `tokens`, `spend` or `concurrent`.
- `limit`: the limit's name, as in the `RateLimit` headers and `headgate limits show`.
- `detail`: `cached` and `cache_write` (parts of the tokens in), `reasoning` (part of the tokens out).
- `target`: `provider/model`. `key`: the place of a provider's key in the configuration, from 1.
- `cache`: how a lookup ended, such as `hit` or `miss`.
- `part`: a check of `/ready`.

"""


def metrics() -> str:
    """Every metric, with its labels."""
    rows = [
        *(_metric(f"{name}_total", "counter", each.labels, each.meaning, "sum") for name, each in COUNTERS.items()),
        *(_metric(name, "histogram", each.labels, each.meaning, "sum") for name, each in TIMES.items()),
        *(_metric(name, "gauge", each.labels, each.meaning, each.together) for name, each in GAUGES.items()),
    ]
    buckets = f"The histograms' buckets end at {', '.join(f'{bound:g}' for bound in SECONDS)} seconds.\n"
    most = f"A metric has at most {SERIES:,} sets of labels; what is more is counted under `{OTHER}`.\n"
    return METRICS + "".join(rows) + LABELS + buckets + most


def _metric(name: str, kind: str, labels: tuple[str, ...], meaning: str, together: str) -> str:
    return f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {meaning} | {together} |\n"


CLI = f"""\
# Command line

In a clone, `headgate` is `.venv/bin/python -m headgate` once `python3 dev.py serve` or `python3 dev.py test` has made
`.venv`. Exit codes: 0 done, 1 failed, 2 wrong usage. `HEADGATE_TRACEBACK=1` shows where an error was raised.
{GENERATED}
"""


def cli() -> str:
    """The help text of every command."""
    return "\n".join([CLI, *_help(main, click.Context(main, info_name="headgate", **main.context_settings), "##")])


def _help(command: click.Command, context: click.Context, level: str) -> Iterator[str]:
    context.terminal_width = context.max_content_width = 110
    yield f"{level} `{context.command_path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            inside = click.Context(inner, context, info_name=name, **inner.context_settings)
            yield from _help(inner, inside, "##" if level == "##" and context.parent is None else "###")


PROVIDERS = f"""\
# Providers

The kinds that `[providers.NAME] kind` may name. A variable in the second column configures the provider without a
file; the first one that is set wins. More kinds come from plug-ins: see [writing a provider](../writing-a-provider.md).
{GENERATED}

Every provider has `api_key` (`api_keys` for a pool of several), `base_url` and `headers` (sent with every request).
"""
PRESETS = """
## Presets

Servers and vendors that speak OpenAI's chat dialect. They are asked for embeddings in OpenAI's way too; not all of them
have any.
"""


def providers() -> str:
    """Every kind of provider, with its variables and settings."""
    plugged = {point.name for point in entry_points(group=GROUP)}
    kinds_ = {name: kind for name, kind in sorted(kinds().items()) if name not in plugged}
    presets = {name: kind for name, kind in kinds_.items() if kind.connect is openai.connect and name != "openai"}
    own = {name: kind for name, kind in kinds_.items() if name not in presets}
    lines = [
        PROVIDERS,
        "## With a file of their own\n",
        _row("kind", "variables", "default model", "default `base_url`"),
    ]
    lines[-1] += " embeds | counts |\n| --- | --- | --- | --- | --- | --- |"
    lines += [_row(*_told(kind)) + _able(kind) for kind in own.values()]
    lines += [PRESETS, _row("kind", "variables", "default model", "default `base_url`") + "\n| --- | --- | --- | --- |"]
    lines += [_row(*_told(kind)) for kind in presets.values()]
    return "\n".join([*lines, "", *(line for kind in own.values() for line in _settings(kind))])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _told(kind: Kind) -> tuple[str, ...]:
    options = kind.options
    variables = ", ".join(f"`{variable}`" for variable in options.env)
    url = options.model_fields["base_url"].get_default() or ""
    return f"`{kind.name}`", variables, _code(options.default_model), _code(url if isinstance(url, str) else "")


def _able(kind: Kind) -> str:
    """Whether it can turn texts into vectors, and count tokens."""
    required = (key for key, field in kind.options.model_fields.items() if field.is_required())
    provider = kind.connect(kind.options(**dict.fromkeys(required, "https://example.com")), ScriptedWire())
    return "".join(f" {'yes' if isinstance(provider, ability) else ''} |" for ability in (Embedder, Counter))


def _settings(kind: Kind) -> Iterator[str]:
    name, options = kind.name, kind.options
    fields = {key: field for key, field in options.model_fields.items() if key not in _http.Options.model_fields}
    if fields:
        yield f"## `{name}`\n\n{inspect.cleandoc(options.__doc__ or '')}\n\n| key | default |\n| --- | --- |"
        yield from (f"| `{key}` | {_default(field)} |" for key, field in fields.items())
        yield ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli,
    "configuration.md": configuration,
    "errors.md": errors,
    "metrics.md": metrics,
    "providers.md": providers,
}

if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")

"""Writes docs/reference/configuration.md from the configuration tree: `python tools/reference.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from headgate.config.problems import declared
from headgate.config.sections import BUILT_IN_TIERS, Section
from headgate.config.tree import Config
from headgate.config.values import Says

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "configuration.md"

INTRO = """\
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

This page is generated from the code.
"""

_NAMES = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}


def page() -> str:
    """The whole reference, as Markdown."""
    return "\n".join([INTRO, *(line for name, field in Config.model_fields.items() for line in _section(name, field))])


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
        yield "The other keys (`api_key`, `base_url`, …) are the provider's own: see its page.\n"


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


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())

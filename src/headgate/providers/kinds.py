"""Finding providers: a kind is the name of a file here, of an entry point in the group `headgate.providers`, or a preset.

There is no list to edit. Presets are vendors that speak OpenAI's dialect: rows of `presets.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pkgutil import iter_modules
from typing import Any, ClassVar

from msgspec import Struct

import headgate.providers
from headgate.core.seams import Provider, Wire
from headgate.providers import openai
from headgate.providers._http import Options

GROUP = "headgate.providers"


class Kind(Struct, frozen=True):
    """A kind of provider: its settings' class, and how one is made."""

    name: str
    options: type[Options]
    connect: Callable[[Any, Wire], Provider]


@cache
def kinds() -> dict[str, Kind]:
    """Every kind that can be named, by name. A file wins over a preset, a preset over an entry point."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    named = {name: _kind(name, point.load()) for name, point in found.items()}
    named |= {row["name"]: _preset(row) for row in _rows()}
    own = [module.name for module in iter_modules(headgate.providers.__path__) if not module.name.startswith("_")]
    for name in own:
        module = import_module(f"headgate.providers.{name}")
        if hasattr(module, "connect"):
            named[name] = _kind(name, module)
    return named


def _kind(name: str, module: Any) -> Kind:
    return Kind(name, module.Options, module.connect)


def _rows() -> Iterator[dict[str, Any]]:
    yield from tomllib.loads(files(headgate.providers).joinpath("presets.toml").read_text("utf-8"))["preset"]


def _preset(row: dict[str, Any]) -> Kind:
    """OpenAI's dialect with this vendor's address and habits as the defaults."""
    known = openai.Options.model_fields
    fields = {name: value for name, value in row.items() if name in known}
    class_vars = {"env": row.get("env", {}), "default_model": row.get("default_model", "")}
    notes = {name: known[name].annotation for name in fields} | dict.fromkeys(class_vars, ClassVar[Any])
    body = {"__module__": __name__, "__annotations__": notes, **fields, **class_vars}
    return Kind(row["name"], type("Options", (openai.Options,), body), openai.connect)

"""Finding providers: a kind is a file here, an entry point in the group `headgate.providers`, or a preset.

There is no list to edit. Presets are vendors that speak OpenAI's dialect: rows of `presets.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.resources import files
from pkgutil import iter_modules
from typing import Any, ClassVar

from msgspec import Struct

import headgate.providers
from headgate.config import Config, ConfigError, Problem
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


def kind_of(name: str) -> Kind:
    """The kind of that name. Raises LookupError, which names the nearest one there is."""
    known = kinds()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
        raise LookupError(f'there is no provider of the kind "{name}"; {hint}')
    return known[name]


def options_of(config: Config) -> dict[str, Options]:
    """The settings of every `[providers.NAME]`, as its kind declares them. Raises ConfigError with all problems."""
    options: dict[str, Options] = {}
    problems: list[Problem] = []
    for name, table in config.providers.items():
        try:
            options[name] = config.options(name, kind_of(str(table["kind"])).options)
        except LookupError as error:
            problems.append(config.problem(("providers", name, "kind"), f"is wrong: {error}"))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return options


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

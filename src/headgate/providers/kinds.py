"""Finding providers: a kind is a file here, an entry point in the group `headgate.providers`, or a preset.

There is no list to edit, and a plug-in that cannot be loaded harms nobody but those who ask for it. Presets are vendors
that speak OpenAI's dialect: rows of `presets.toml`.
"""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from functools import cache, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
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
log = logging.getLogger("headgate")


class Kind(Struct, frozen=True):
    """A kind of provider: its settings' class, and how one is made."""

    name: str
    options: type[Options]
    connect: Callable[[Any, Wire], Provider]


@cache
def loaders() -> dict[str, Callable[[], Kind]]:
    """What loads each kind that can be named. A file wins over a preset, a preset over an entry point."""
    points = entry_points(group=GROUP)
    modules = [module.name for module in iter_modules(headgate.providers.__path__)]
    own = [name for name in modules if not name.startswith("_") and name != "kinds"]
    named: dict[str, Callable[[], Kind]] = {point.name: partial(_plugged, point) for point in points}
    named |= {row["name"]: partial(_preset, row) for row in _rows()}
    return named | {name: partial(_own, name) for name in own}


@cache
def kind_of(name: str) -> Kind:
    """The kind of that name; no other is loaded.

    Raises LookupError, which names the nearest one there is, or the plug-in that cannot be loaded.
    """
    known = loaders()
    if name not in known:
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
        raise LookupError(f'there is no provider of the kind "{name}"; {hint}')
    return known[name]()


@cache
def kinds() -> dict[str, Kind]:
    """Every kind, by name; a plug-in that cannot be loaded is left out, and the log says why."""
    found: dict[str, Kind] = {}
    for name in loaders():
        try:
            found[name] = kind_of(name)
        except LookupError as error:
            log.warning("%s", error)
    return found


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


def _own(name: str) -> Kind:
    module: Any = import_module(f"headgate.providers.{name}")
    return Kind(name, module.Options, module.connect)


def _plugged(point: EntryPoint) -> Kind:
    try:
        module = point.load()
        return Kind(point.name, module.Options, module.connect)
    except Exception as error:
        origin = f"{point.value}, of {point.dist.name} {point.dist.version}" if point.dist else point.value
        said = f'the plug-in "{point.name}" ({origin}) cannot be loaded: {type(error).__name__}: {error}'
        raise LookupError(said) from error


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

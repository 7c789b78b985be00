"""Finding a provider by its kind: a file of this directory, or a plug-in's entry point `headgate.providers`."""

from __future__ import annotations

import pkgutil
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

import headgate.providers
from headgate.config import Config, ConfigError, Problem
from headgate.providers._http import Options

GROUP = "headgate.providers"


def kinds() -> list[str]:
    """Every kind that can be configured: the files first, then plug-ins."""
    own = _files()
    return [*own, *sorted({point.name for point in entry_points(group=GROUP)} - set(own))]


def module_of(kind: str) -> Any:
    """The module of a kind, with its `Options` and its `connect(options, wire)`. Raises LookupError."""
    found = kinds()
    if kind not in found:
        near = get_close_matches(kind, found, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(found)}"
        raise LookupError(f'there is no provider of the kind "{kind}"; {hint}')
    if kind in _files():
        return import_module(f"headgate.providers.{kind}")
    return next(iter(entry_points(group=GROUP, name=kind))).load()


def options_of(config: Config) -> dict[str, Options]:
    """The settings of every `[providers.NAME]`, as its kind declares them. Raises ConfigError with all problems."""
    options: dict[str, Options] = {}
    problems: list[Problem] = []
    for name, table in config.providers.items():
        try:
            options[name] = config.options(name, module_of(str(table["kind"])).Options)
        except LookupError as error:
            problems.append(config.problem(("providers", name, "kind"), f"is wrong: {error}"))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return options


def _files() -> list[str]:
    names = (module.name for module in pkgutil.iter_modules(headgate.providers.__path__))
    return [name for name in names if not name.startswith("_") and name != "finding"]

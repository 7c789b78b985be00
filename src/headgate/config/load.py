"""Reading the configuration: the file, then `HEADGATE__SECTION__KEY` variables, then flags; later ones win."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from headgate.config.problems import ConfigError, Problem, declared, faults, problem
from headgate.config.source import SECRET_NAME, Keys, Source
from headgate.config.tree import Config
from headgate.config.values import Secret

PREFIX = "HEADGATE__"
FILE_NAME = "headgate.toml"


def load(
    path: Path | None = None, env: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Config:
    """The configuration in force.

    Args:
        path: the file; else the one that `HEADGATE_CONFIG` names; else `headgate.toml` in the working directory, if
            there is one. Nothing is required.
        env: the environment, by default the process's. What `.env` beside the file (or in the working directory)
            says is added to it.
        overrides: flags, by dotted key: `{"server.port": 9000}`. None means: not given.

    Raises:
        ConfigError: with all the problems at once, each with its key and place.
    """
    given = dict(os.environ if env is None else env)
    source, data = _read(path, given)
    environ = _with_dotenv(given, source)
    problems: dict[Keys, str] = {}
    _lay_environment(data, environ, source)
    _lay_flags(data, overrides or {}, source)
    _resolve(data, environ, source, problems)
    config = _validate(data, source, problems)
    config._environ = environ  # noqa: SLF001 -- made here, complete only now
    config._overrides = dict(overrides or {})  # noqa: SLF001 -- likewise
    return config


def _read(path: Path | None, env: Mapping[str, str]) -> tuple[Source, dict[str, Any]]:
    named = path or (Path(env["HEADGATE_CONFIG"]) if env.get("HEADGATE_CONFIG") else None)
    if named is None and not Path(FILE_NAME).is_file():
        return Source(), {}
    path = named or Path(FILE_NAME)
    try:
        text = path.read_text("utf-8")
        return Source(path, text), tomllib.loads(text)
    except FileNotFoundError:
        what = "there is no such file; `headgate init` writes one"
    except OSError as error:
        what = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError:
        what = "is not UTF-8 text"
    except tomllib.TOMLDecodeError as error:
        what = f"is not TOML: {error}"
    raise ConfigError([Problem("", str(path), what)])


def _with_dotenv(env: dict[str, str], source: Source) -> dict[str, str]:
    path = source.base_dir / ".env"
    if not path.is_file():
        return env
    from dotenv import dotenv_values  # noqa: PLC0415 -- only where there is a .env

    source.files.append(path)
    values = dotenv_values(path, interpolate=False, encoding="utf-8")
    return {**{name: value for name, value in values.items() if value is not None}, **env}


def _lay_environment(data: dict[str, Any], env: Mapping[str, str], source: Source) -> None:
    for name in sorted(env):
        if name.startswith(PREFIX) and name != PREFIX:
            keys = _as_in(data, name.removeprefix(PREFIX).lower().split("__"))
            _put(data, keys, _value(keys, env[name]))
            source.origins[keys] = f"environment variable {name}"
    access = data.setdefault("access", {})
    if env.get("HEADGATE_ADMIN_KEY") and isinstance(access, dict) and "admin_key" not in access:
        access["admin_key"] = Secret(env["HEADGATE_ADMIN_KEY"])
        source.origins["access", "admin_key"] = "environment variable HEADGATE_ADMIN_KEY"


def _as_in(data: Any, names: list[str]) -> Keys:
    """The keys with the spelling that the file has for them: variables know neither case nor dashes."""
    keys: Keys = ()
    for name in names:
        there = data if isinstance(data, dict) else {}
        key = next((key for key in there if key.lower().replace("-", "_") == name), name)
        data = there.get(key)
        keys = (*keys, key)
    return keys


def _value(keys: Keys, text: str) -> Any:
    """A variable's value: text where text is wanted, else the TOML value it spells, else text."""
    if declared(Config, keys) in (str, SecretStr) or SECRET_NAME.search(str(keys[-1])):
        return text
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def _lay_flags(data: dict[str, Any], overrides: Mapping[str, Any], source: Source) -> None:
    for name, value in overrides.items():
        if value is not None:
            keys = tuple(name.split("."))
            _put(data, keys, value)
            source.origins[keys] = f"--{str(keys[-1]).replace('_', '-')}"


def _put(data: dict[str, Any], keys: Keys, value: Any) -> None:
    for key in keys[:-1]:
        inner = data.get(str(key))
        if not isinstance(inner, dict):
            inner = data[str(key)] = {}
        data = inner
    data[str(keys[-1])] = value


def _resolve(data: dict[str, Any], env: Mapping[str, str], source: Source, problems: dict[Keys, str]) -> None:
    """Put in place what `env:NAME` and `file:PATH` mean. A prompt's `file:` stays: it is read again when it changes."""
    for keys, holder, key, text in list(_texts(data, ())):
        kind, _, name = text.partition(":")
        if kind == "env":
            if not env.get(name):
                problems[keys] = f"needs the environment variable {name}, which is not set"
            holder[key] = Secret(env.get(name, ""))
        elif kind == "file" and key not in {"system_prompt", "template"}:
            path = source.base_dir / name
            source.files.append(path)
            try:
                holder[key] = Secret(path.read_text("utf-8").strip())
            except (OSError, UnicodeDecodeError):
                problems[keys] = f"needs the file {path}, which cannot be read"
                holder[key] = Secret()


def _texts(value: Any, at: Keys) -> Iterator[tuple[Keys, Any, Any, str]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(item, str):
            yield (*at, key), value, key, item
        else:
            yield from _texts(item, (*at, key))


def _validate(data: dict[str, Any], source: Source, problems: dict[Keys, str]) -> Config:
    """The tree. What is sound is checked for contradictions even where something else is not."""
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        found = faults(error, Config, data)
        problems.update({keys: what for keys, what in found.items() if keys not in problems})
        config = Config.model_validate(_without(data, found))
    config._source = source  # noqa: SLF001 -- made here, complete only now
    for keys, what in _contradictions(config, data):
        problems.setdefault(keys, what)
    if problems:
        raise ConfigError([problem(source, keys, what) for keys, what in problems.items()])
    return config


def _without(data: Mapping[str, Any], faulty: Iterable[Keys]) -> dict[str, Any]:
    """The data without the entries of its sections that have a fault."""
    rest = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for keys in faulty:
        if len(keys) == 1:
            rest.pop(str(keys[0]), None)
        elif keys[0] in rest:
            rest[str(keys[0])].pop(keys[1], None)
    return rest


def _contradictions(config: Config, data: Mapping[str, Any]) -> Iterator[tuple[Keys, str]]:
    """What no section can see for itself."""
    default, models, tiers = config.routing.default, _table(data, "models"), {**config.tiers, **_table(data, "tiers")}
    if default and "/" not in default and default not in models:
        yield ("routing", "default"), f'names no model of this file: "{default}"' + _near(default, models)
    for number, issuer in enumerate(config.access.jwt):
        if issuer.tier not in tiers:
            yield ("access", "jwt", number, "tier"), f'names no tier: "{issuer.tier}"' + _near(issuer.tier, tiers)
    for tier in config.access.key_tiers:
        if tier not in tiers:
            yield ("access", "api_keys"), f'names no tier: "{tier}"' + _near(tier, tiers)
    for name, model in models.items():
        path = config.prompt_file(str(model.get("system_prompt", ""))) if isinstance(model, dict) else None
        if path and not path.is_file():
            yield ("models", name, "system_prompt"), f"needs the file {path}, which is not there"
    yield from _of_recipes(config, {**_table(data, "recipes")}, models)
    if config.server.workers > 1 and not config.shared.url and not config.shared.per_process:
        what = "needs `[shared] url`, so that the workers count together; or `[shared] per_process = true` to accept"
        yield ("server", "workers"), f"{what} that each counts for itself"


def _of_recipes(config: Config, recipes: dict[str, Any], models: Mapping[str, Any]) -> Iterator[tuple[Keys, str]]:
    for keys, ask in [(("ask",), config.ask), *((("recipes", name), config.recipes.get(name)) for name in recipes)]:
        if ask is None:
            continue  # it has a fault that is told already
        path = config.prompt_file(ask.template)
        if path and not path.is_file():
            yield (*keys, "template"), f"needs the file {path}, which is not there"
        for key, model in (("model", ask.model), ("judge", ask.judge)):
            if model and "/" not in model and model not in models:
                yield (*keys, key), f'names no model of this file: "{model}"' + _near(model, models)


def _table(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    table = data.get(name)
    return table if isinstance(table, dict) else {}


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""

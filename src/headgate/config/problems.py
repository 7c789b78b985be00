"""What is wrong with a configuration, in the operator's words: which key, where, why, and what was meant."""

from __future__ import annotations

import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from headgate.config.source import SECRET_NAME, Keys, Source
from headgate.config.values import Secret

M = TypeVar("M", bound=BaseModel)

_WORDS = {
    "missing": "is required",
    "string": "must be text",
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a finite number",
    "decimal": "must be a number",
    "bool": "must be true or false",
    "list": "must be a list",
    "tuple": "must be a list",
    "set": "must be a list",
    "dict": "must be a table",
    "model": "must be a table",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "too_short": "must have at least {min_length} of them",
    "too_long": "must have at most {max_length} of them",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must fit the pattern {pattern}",
}


@dataclass(frozen=True)
class Problem:
    """One thing to mend: `key` as written in TOML, `where` it stands (`file:line`), `what` is wrong with it."""

    key: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.key} {self.what}" if self.key else f"{self.where}: {self.what}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` are all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = list(problems)


def dotted(keys: Keys) -> str:
    """The keys as one would write them: `access.jwt[0].secret`, `prices."openai/gpt-4o".input`."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += "." * bool(text) + (key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else f'"{key}"')
    return text


def problem(source: Source, keys: Keys, what: str) -> Problem:
    """A problem with a key, placed."""
    return Problem(dotted(keys), source.where(keys), what)


def validated(model: type[M], data: Mapping[str, Any], source: Source, at: Keys = ()) -> M:
    """The data as the model declares it; `at` is where the data stands in the file. Raises ConfigError."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = faults(error, model, data, at)
        raise ConfigError([problem(source, (*at, *keys), what) for keys, what in found.items()]) from None


def faults(error: ValidationError, model: type[BaseModel], data: Mapping[str, Any], at: Keys = ()) -> dict[Keys, str]:
    """What is wrong, one sentence a key. The keys are those of the data, which stands at `at`."""
    found: dict[Keys, str] = {}
    for item in error.errors(include_url=False):
        keys = _real(item["loc"], data, missing=item["type"] == "missing")
        if item["type"] == "extra_forbidden":
            found.setdefault(keys, _unknown(keys, model, at))
        else:
            found.setdefault(keys, _words(item, keys))
    return found


def declared(model: Any, keys: Keys) -> Any:
    """The type that a model declares for these keys; None where nothing is declared."""
    for key in keys:
        model = _bare(model)
        origin = get_origin(model)
        if isinstance(model, type) and issubclass(model, BaseModel) and origin is None:
            field = model.model_fields.get(str(key))
            model = field.annotation if field else None
        elif origin is dict:
            model = get_args(model)[1]
        elif origin in (list, tuple):
            model = get_args(model)[0]
        else:
            return None
    return _bare(model)


def _bare(annotation: Any) -> Any:
    """The type without `Annotated` and without `| None`."""
    if hasattr(annotation, "__metadata__"):
        return _bare(annotation.__origin__)
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [arg for arg in get_args(annotation) if arg is not type(None)]
        return _bare(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _real(loc: Keys, data: Any, *, missing: bool) -> Keys:
    """The part of a location that names keys of the data; the rest names branches of a type."""
    for depth, key in enumerate(loc):
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):
            return loc[: depth + 1] if missing else loc[:depth]
    return loc


def _unknown(keys: Keys, model: type[BaseModel], at: Keys) -> str:
    section = declared(model, keys[:-1])
    known = list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []
    near = get_close_matches(str(keys[-1]), known, n=1, cutoff=0.5)
    if near:
        return f"is not a known key; did you mean {dotted((*at, *keys[:-1], *near))}?"
    return "is not a known key; " + (f"known here: {', '.join(known)}" if known else "there are none here")


def _words(item: Mapping[str, Any], keys: Keys) -> str:
    kind, context = item["type"], item.get("ctx", {})
    words = _WORDS.get(kind) or _WORDS.get(kind.partition("_")[0]) or "is not a value this key can have"
    text = words.format_map({name: str(value) for name, value in context.items()})
    value = item["input"]
    secret = isinstance(value, Secret) or any(SECRET_NAME.search(str(key)) for key in keys)
    if kind in ("missing", "value_error") or secret or not isinstance(value, (str, int, float)):
        return text
    shown = str(value).lower() if isinstance(value, bool) else f'"{value:.80}"' if isinstance(value, str) else value
    return f"{text}, not {shown}"

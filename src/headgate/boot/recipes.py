"""The recipes of the configuration: how `/ask` and `/recipes/NAME` answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from headgate.config import Ask, Config, ConfigError
from headgate.config import Recipe as Said
from headgate.engine.prompts import Fresh, stamp
from headgate.rag.recipe import Recipe
from headgate.rag.template import ANSWER, UnknownPlaceholder, checked


def recipes_of(config: Config) -> dict[str, Recipe]:
    """Every recipe by its name, and that of `/ask` under an empty one. Raises ConfigError."""
    recipes = {"": _recipe(config, "", config.ask)}
    return recipes | {name: _recipe(config, name, _completed(config, said)) for name, said in config.recipes.items()}


def _completed(config: Config, said: Said) -> Said:
    """The recipe with what `[ask]` says in the place of what it does not say itself."""
    missing = Ask.model_fields.keys() - said.model_fields_set
    return said.model_copy(update={name: getattr(config.ask, name) for name in missing})


def _recipe(config: Config, name: str, said: Ask) -> Recipe:
    own = said if isinstance(said, Said) else Said()
    return Recipe(
        name=name,
        template=_template(config, name, said.template, own.inputs),
        model=said.model,
        judge=said.judge,
        unknown=said.unknown,
        context_tokens=said.context_tokens,
        cache=own.cache,
        description=own.description,
        collections=own.collections,
        inputs=own.inputs,
        top_k=said.top_k,
        min_similarity=said.min_similarity,
        mode=said.mode,
        evaluate=own.evaluate,
        max_tokens=said.max_tokens,
    )


def _template(config: Config, name: str, said: str, inputs: tuple[str, ...]) -> Callable[[], str]:
    """The text as it is now: one in a file is read again when it has changed, unless the change is faulty."""
    path = config.prompt_file(said)
    try:
        if path is not None:
            return _from_file(path, inputs)
        text = checked(said or ANSWER, inputs)
    except (UnknownPlaceholder, OSError, UnicodeDecodeError) as error:
        keys = ("recipes", name, "template") if name else ("ask", "template")
        raise ConfigError([config.problem(keys, f"cannot be used: {error}")]) from None
    return lambda: text


def _from_file(path: Path, inputs: tuple[str, ...]) -> Fresh:
    return Fresh(str(path), lambda: stamp(path), lambda: checked(path.read_text("utf-8"), inputs))

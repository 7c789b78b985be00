"""`Config`: the whole configuration, frozen. What a file may say is what this tree declares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, Field, PrivateAttr, SecretStr, field_validator

from headgate.config.asking import Ask, Recipe
from headgate.config.knowledge import Knowledge
from headgate.config.problems import Problem, problem, validated
from headgate.config.sections import (
    BUILT_IN_TIERS,
    Access,
    Cache,
    Limits,
    Model,
    ProviderTable,
    Routing,
    Section,
    Server,
    Shared,
    Store,
    Telemetry,
    Tier,
    UsdPerMillion,
)
from headgate.config.source import SECRET_NAME, Keys, Source
from headgate.config.values import Secret

Options = TypeVar("Options", bound=BaseModel)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_HIDDEN = "********"


class Config(Section):
    """Everything an operator can say. Made by `headgate.config.load`."""

    server: Server = Field(Server(), description="How the service listens and what it takes in.")
    providers: dict[str, ProviderTable] = Field(
        {},
        repr=False,
        description="Where models are asked, `[providers.NAME]`; `kind` (default: the name) picks the provider.",
    )
    models: dict[str, Model] = Field({}, description="Public model names, `[models.NAME]`.")
    routing: Routing = Field(Routing(), description="Which model answers.")
    access: Access = Field(Access(), description="Who may call.")
    tiers: dict[str, Tier] = Field(
        {}, validate_default=True, description="What callers may do, `[tiers.NAME]`, over the built-in tiers."
    )
    limits: Limits = Field(Limits(), description="Limits for the whole service, on top of the tiers.")
    store: Store = Field(Store(), description="Where keys and the ledger are kept.")
    shared: Shared = Field(Shared(), description="What replicas and workers count together.")
    cache: Cache = Field(Cache(), description="Remembered answers.")
    knowledge: Knowledge = Field(Knowledge(), description="Document search.")
    ask: Ask = Field(Ask(), description="Answers from documents.")
    recipes: dict[str, Recipe] = Field({}, description="Pipelines of answers by name, `[recipes.NAME]`.")
    telemetry: Telemetry = Field(Telemetry(), description="What the service says about itself.")
    prices: dict[str, UsdPerMillion] = Field({}, description="Prices of your own, before the built-in ones.")

    _source: Source = PrivateAttr(default_factory=Source)
    _environ: dict[str, str] = PrivateAttr(default_factory=dict)
    _overrides: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("providers")
    @classmethod
    def _each_has_a_kind(cls, tables: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {name: {"kind": name, **table} for name, table in tables.items()}

    @field_validator("recipes")
    @classmethod
    def _fit_into_a_path(cls, recipes: dict[str, Recipe]) -> dict[str, Recipe]:
        for name in recipes:
            if not _NAME.fullmatch(name):
                raise ValueError(f'cannot have one called "{name}": letters, digits, - and _ make a path')
        return recipes

    @field_validator("tiers", mode="before")
    @classmethod
    def _over_the_built_in(cls, tiers: object) -> object:
        if not isinstance(tiers, dict):
            return tiers
        own = {name: {**BUILT_IN_TIERS.get(name, {}), **t} if isinstance(t, dict) else t for name, t in tiers.items()}
        return {**BUILT_IN_TIERS, **own}

    @property
    def path(self) -> Path | None:
        """The file that was read, if any."""
        return self._source.path

    @property
    def base_dir(self) -> Path:
        """The directory that relative paths are meant from: the file's, else the working directory."""
        return self._source.base_dir

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment, with what `.env` adds to it."""
        return self._environ

    @property
    def overrides(self) -> Mapping[str, Any]:
        """The flags it was loaded with."""
        return self._overrides

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file whose change may change the configuration: the file itself, `.env`, secrets and prompts."""
        prompts = (self.prompt_file(model.system_prompt) for model in self.models.values())
        return (*self._source.files, *(path for path in prompts if path))

    @property
    def anonymous(self) -> bool:
        """Whether callers without a credential are served."""
        if self.access.anonymous is None:
            return self.server.loopback and not self.access.configured
        return self.access.anonymous

    def prompt_file(self, system_prompt: str) -> Path | None:
        """The file that a `file:PATH` prompt means; None for a prompt that stands in the configuration itself."""
        if not system_prompt.startswith("file:"):
            return None
        return self.base_dir / system_prompt.removeprefix("file:")

    def problem(self, keys: Keys, what: str) -> Problem:
        """A problem with a key, at the place where it was written."""
        return problem(self._source, keys, what)

    def options(self, name: str, model: type[Options]) -> Options:
        """The settings of `[providers.NAME]`, without `kind`, as that provider declares them. Raises ConfigError."""
        table = {key: value for key, value in self.providers[name].items() if key != "kind"}
        return validated(model, table, self._source, ("providers", name))

    def resolved(self) -> dict[str, Any]:
        """The whole tree as plain values, secrets hidden."""
        plain = _plain(self)
        assert isinstance(plain, dict)  # noqa: S101 -- for the type checker: a Section is a dict
        return plain


def _plain(value: object, name: str = "") -> Any:
    match value:
        case BaseModel():
            return {key: _plain(getattr(value, key), key) for key in type(value).model_fields}
        case dict():
            whole = name == "headers"
            return {key: _HIDDEN if whole else _plain(item, key) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, name) for item in value]
        case SecretStr() | Secret():
            return _HIDDEN
        case str() if value and SECRET_NAME.search(name):
            return _HIDDEN
        case str() if re.match(r"[a-z]+://[^/]*@", value):
            parts = urlsplit(value)
            host = parts.netloc.rpartition("@")[2]
            return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:{_HIDDEN}@{host}"))
    return value

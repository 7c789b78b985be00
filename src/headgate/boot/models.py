"""Which providers there are and why, and which models they make reachable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import SystemRandom

from msgspec import Struct

from headgate.config import Config, ConfigError, Model, Problem
from headgate.core.call import Clocks
from headgate.core.seams import Wire
from headgate.engine.hedge import Hedge
from headgate.engine.history import Window
from headgate.engine.prompts import Fresh, from_file
from headgate.engine.routing import Route, Routes
from headgate.engine.strategies import order_of
from headgate.engine.targets import Target, Upstream
from headgate.providers._http import Options
from headgate.providers._wire import HttpWire
from headgate.providers.kinds import Kind, kind_of, kinds, loaders
from headgate.stores.prompts import PromptTable

PREFERRED = ("gemini", "openai", "anthropic", "mistral", "cohere", "ollama", "huggingface")
"""Which of several providers found in the environment answers when nobody chose."""


class Source(Struct):
    """A provider: its settings, and why it is there, in words for the start-up text."""

    name: str
    kind: Kind
    options: Options
    why: str
    upstream: Upstream | None = None
    wire: Wire | None = None

    def connect(self) -> Upstream:
        """The provider itself, once for each of its keys, made when first asked for; no socket is opened yet."""
        if self.upstream is None:
            wire = HttpWire(self.options.base_url or "http://127.0.0.1", headers=self.options.headers)
            self.wire = wire
            self.upstream = Upstream.of(
                self.name, *(self.kind.connect(options, wire) for options in self.options.each_key)
            )
        return self.upstream

    def same(self, other: Source | None) -> bool:
        """Whether the other was made from the same settings, so that its connections may be kept."""
        return other is not None and (self.kind.name, self.options) == (other.kind.name, other.options)


def sources_of(config: Config) -> dict[str, Source]:
    """The configured providers; and from the well-known variables, those that no file configures.

    With a file that names providers, only those it refers to are looked for in the environment. Raises ConfigError.
    """
    sources: dict[str, Source] = {}
    for name, table in config.providers.items():
        try:
            kind = kind_of(str(table["kind"]))
        except LookupError as error:
            raise ConfigError([config.problem(("providers", name, "kind"), f"is wrong: {error}")]) from None
        sources[name] = Source(name, kind, config.options(name, kind.options), f"[providers.{name}]")
    wanted = _named(config)
    known = {name: found for name in wanted if (found := _kind(config, name))} if sources else kinds()
    for name in sorted(known.keys() - sources.keys(), key=_preference):
        settings = known[name].options.found(config.environ)
        if settings:
            variable = next(v for v in known[name].options.env if config.environ.get(v))
            sources[name] = Source(name, known[name], known[name].options(**settings), f"variable {variable}")
    if not sources or "echo" in wanted:
        echo = kind_of("echo")
        sources.setdefault(
            "echo",
            Source(
                "echo",
                echo,
                echo.options(),
                "built in: a model names it" if sources else "built in: no provider is configured",
            ),
        )
    return sources


def _kind(config: Config, name: str) -> Kind | None:
    """The kind that a provider without a table of its own must be; None where there is no such. Raises ConfigError."""
    if name not in loaders():
        return None
    try:
        return kind_of(name)
    except LookupError as error:
        raise ConfigError([Problem(name, str(config.path or "environment"), str(error))]) from None


def _named(config: Config) -> set[str]:
    """The providers that the configuration refers to."""
    names = [target for model in config.models.values() for target in model.targets]
    return {name.partition("/")[0] for name in [*names, config.routing.default, _chosen(config)]} - {""}


def _chosen(config: Config) -> str:
    return config.environ.get("LLM_PROVIDER", "")


def _preference(name: str) -> tuple[int, str]:
    return (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED), name)


def default_of(config: Config, sources: Mapping[str, Source]) -> str:
    """The model of a request that names none: `[routing] default`, else the first configured one, else a provider's.

    Raises ConfigError where `LLM_PROVIDER` names one that is not there.
    """
    if config.routing.default:
        return config.routing.default
    chosen = _chosen(config)
    if config.models and not chosen:
        return next(iter(config.models))
    if chosen and chosen not in sources:
        kind = _kind(config, chosen)
        needs = f"set {' or '.join(kind.options.env)}" if kind else f"known are {', '.join(sorted(loaders()))}"
        raise ConfigError([Problem("", "environment variable LLM_PROVIDER", f"{chosen!r} is not configured: {needs}")])
    source = sources[chosen] if chosen else next(iter(sources.values()))
    model = source.kind.options.default_model
    return f"{source.name}/{model}" if model else ""


def routes_of(config: Config, sources: Mapping[str, Source], prompts: PromptTable, before: Routes | None) -> Routes:
    """The routes; targets that were there before keep their health. Raises ConfigError."""
    upstreams = {name: connected(config, source) for name, source in sources.items()}
    kept = before.targets.items() if before else ()
    targets = {name: target for name, target in kept if target.upstream in upstreams.values()}
    named: dict[str, Route] = {}
    check_targets(config, upstreams)
    for name, model in config.models.items():
        for text in model.targets:
            provider, _, asked = text.partition("/")
            targets.setdefault(text, Target(upstreams[provider], asked))
        named[name] = _route(name, model, tuple(targets[text] for text in model.targets), config, prompts)
    return Routes(named, upstreams, default=default_of(config, sources), direct=config.routing.direct, targets=targets)


def _route(name: str, model: Model, targets: tuple[Target, ...], config: Config, prompts: PromptTable) -> Route:
    """The route of `[models.NAME]`."""
    hedge, tokens, policy = model.hedge, model.context_window, model.history
    return Route(
        name,
        targets,
        Clocks(model.timeout.connect, model.timeout.first_event, model.timeout.idle, model.timeout.total),
        prompt_of(config, name, model, prompts),
        model.max_tokens,
        model.default_max_tokens,
        model.strategy,
        order_of(model.strategy, model.shares, SystemRandom()),
        Hedge(hedge.after, hedge.extra) if hedge is not None else None,
        shared=model.shared_cache,
        window=Window(tokens, policy) if tokens is not None and policy is not None else None,
    )


def connected(config: Config, source: Source) -> Upstream:
    """The provider. Raises ConfigError for settings with which it cannot be asked."""
    try:
        return source.connect()
    except ValueError as error:
        raise ConfigError([Problem(f"providers.{source.name}", str(config.path or source.why), str(error))]) from None


def check_targets(config: Config, providers: Collection[str]) -> None:
    """See that every model's targets are at providers that are there. Raises ConfigError."""
    asked = [(name, target.partition("/")[0]) for name, model in config.models.items() for target in model.targets]
    missing = [_missing(config, name, provider) for name, provider in asked if provider not in providers]
    if missing:
        raise ConfigError(missing)


def _missing(config: Config, model: str, provider: str) -> Problem:
    kind = _kind(config, provider)
    needs = f"add [providers.{provider}]"
    if kind is not None and kind.options.env:
        needs += f" or set {next(iter(kind.options.env))}"
    return config.problem(("models", model, "targets"), f"names no provider {provider!r} that is there: {needs}")


def prompt_of(config: Config, name: str, model: Model, prompts: PromptTable) -> Fresh | None:
    """The operator's system prompt: text, `file:PATH`, or `db:NAME` from the database."""
    said = model.system_prompt
    if not said:
        return None
    path = config.prompt_file(said)
    if path is not None:
        return from_file(path)
    if said.startswith("db:"):
        wanted = said.removeprefix("db:")

        def read() -> str:
            found = prompts.get(wanted)
            return found.text if found else ""

        return Fresh(f"db:{wanted}", read, read)
    return Fresh(name, lambda: None, lambda: said)

"""Opening a Runtime: every part is made here, once, and closed in the reverse order."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from headgate.access.address import client_address, networks, peer_address
from headgate.access.identify import ANONYMOUS, Identify
from headgate.access.jwt import Issuer, JwtVerifier
from headgate.access.keys import KeyRing, configured_keys
from headgate.boot.caching import cache_of, reuse_of
from headgate.boot.knowledge import open_knowledge
from headgate.boot.limiter import limiter_of, refill
from headgate.boot.models import Source, check_targets, connected, default_of, routes_of, sources_of
from headgate.boot.recipes import recipes_of
from headgate.boot.reload import take_over
from headgate.boot.tracer import tracer_of
from headgate.boot.upkeep import keep_up, look_after, settle_down
from headgate.config import Config, ConfigError, Problem, text_of
from headgate.core.entry import Entry
from headgate.core.principal import Principal
from headgate.engine.admission import Admission
from headgate.engine.gate import Gate
from headgate.engine.ledger import Ledger
from headgate.engine.limits import RuleBook
from headgate.engine.prices import Prices
from headgate.rag.ask import Asker
from headgate.runtime import RawHeaders, Runtime
from headgate.stores.idempotency import IdempotencyTable
from headgate.stores.keys import KeyStore
from headgate.stores.ledger import LedgerTable
from headgate.stores.opening import make_ready, open_database
from headgate.stores.prompts import PromptTable
from headgate.stores.responses import ResponseTable
from headgate.telemetry.crew import Crew
from headgate.telemetry.logs import CallLog
from headgate.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from headgate.stores.opening import AnyDatabase
    from headgate.telemetry.traces import Tracer

log = logging.getLogger("headgate")


class Recorded:
    """The ledger's store, with metrics, log lines and traces made from the same batches."""

    def __init__(self, table: LedgerTable, metrics: Metrics, lines: CallLog, tracer: Tracer | None) -> None:
        self._table = table
        self._metrics = metrics
        self._lines = lines
        self._tracer = tracer

    def write(self, entries: Sequence[Entry]) -> None:
        """Write them down first; only what is safe is counted."""
        self._table.write(entries)
        self._metrics.record(entries)
        self._lines.write(entries)
        if self._tracer is not None:
            self._tracer.write(entries)


@asynccontextmanager
async def open_runtime(config: Config, crew: Crew | None = None, *, quiet: bool = False) -> AsyncIterator[Runtime]:
    """A Runtime, of one process of a `crew`; a quiet one logs no calls. Raises ConfigError, Unavailable."""
    async with AsyncExitStack() as stack:
        database = await _ready(config, stack)
        metrics, entries = Metrics(crew), LedgerTable(database)
        lines = CallLog("error" if quiet else config.telemetry.log_level, config.telemetry.log_format, sys.stderr)
        tracer = _traced(stack, config)
        ledger = Ledger(Recorded(entries, metrics, lines, tracer), database.folder / "outbox", others=entries)
        stack.push_async_callback(ledger.close)
        await ledger.catch_up()
        ring = KeyRing(static_keys(config), keys := KeyStore(database))
        await asyncio.to_thread(ring.refresh)
        prompts = PromptTable(database)
        sources = sources_of(config)
        routes = routes_of(config, sources, prompts, None)
        limiter, rules = limiter_of(config), rules_of(config)
        await refill(limiter, entries, rules, routes, ring.principals())
        admission = Admission(routes, config.tiers, rules, limiter, ledger, prices_of(config, sources))
        gate = Gate(admission, ledger, await stack.enter_async_context(cache_of(config)))
        knowledge = await open_knowledge(config, database, gate, stack)
        runtime = Runtime(
            config=config,
            first=config,
            database=database,
            identify=identify_of(config, ring),
            address=address_of(config),
            admission=admission,
            gate=gate,
            ledger=ledger,
            entries=entries,
            keys=keys,
            ring=ring,
            prompts=prompts,
            responses=ResponseTable(database),
            idempotency=IdempotencyTable(database),
            knowledge=knowledge,
            asker=Asker(gate, knowledge.searcher),
            recipes=recipes_of(config),
            metrics=metrics,
            tracer=tracer,
            reload=lambda: take_over(runtime, sources),
            reuse=reuse_of(config),
        )
        runtime.checks = checks_of(runtime)
        look_after(limiter, runtime, stack)
        stack.push_async_callback(close_wires, sources)
        keep_up(stack, runtime, sources)
        settle_down()
        yield runtime


async def _ready(config: Config, stack: AsyncExitStack) -> AnyDatabase:
    """The database, with its schema up to date."""
    database = open_database(config.store.url, config.base_dir)
    stack.callback(database.close)
    await asyncio.to_thread(make_ready, database)
    return database


def _traced(stack: AsyncExitStack, config: Config) -> Tracer | None:
    """The tracer, which sends what waits before it is closed."""
    tracer = tracer_of(config)
    if tracer is not None:
        stack.push_async_callback(asyncio.to_thread, tracer.close)
    return tracer


async def close_wires(sources: dict[str, Source]) -> None:
    """Close the connections to the providers."""
    for source in sources.values():
        if source.wire is not None:
            await source.wire.aclose()


def static_keys(config: Config) -> dict[bytes, Principal]:
    """The keys that the configuration holds. Raises ConfigError."""
    try:
        return configured_keys(text_of(config.access.api_keys), text_of(config.access.admin_key))
    except ValueError as error:
        raise ConfigError([Problem("access.api_keys", str(config.path or "environment"), str(error))]) from None


def prices_of(config: Config, sources: dict[str, Source]) -> Prices:
    """What tokens cost at these providers; the operator's own prices first."""
    own = {name: price.model_dump(exclude_none=True) for name, price in config.prices.items()}
    return Prices.load(own, {name: (source.kind.name, source.options.base_url) for name, source in sources.items()})


def rules_of(config: Config) -> RuleBook:
    """The limits of the configuration."""
    return RuleBook(
        {name: tier.rules for name, tier in config.tiers.items()},
        {name: model.limits.rules for name, model in config.models.items()},
        config.limits.rules,
    )


def verifier_of(config: Config) -> JwtVerifier | None:
    """What verifies the issuers' tokens; None where none is configured. Raises ConfigError."""
    issuers = [issuer_of(config, number) for number in range(len(config.access.jwt))]
    return JwtVerifier(issuers, config.tiers.keys()) if issuers else None


def issuer_of(config: Config, number: int) -> Issuer:
    """One of the configured issuers. Raises ConfigError for a key that is none."""
    jwt = config.access.jwt[number]
    try:
        return Issuer(
            secret=text_of(jwt.secret),
            public_key=jwt.public_key,
            jwks_url=jwt.jwks_url,
            issuer=jwt.issuer,
            audience=jwt.audience,
            tier_claim=jwt.tier_claim,
            tier=jwt.tier,
            user_claim=jwt.user_claim,
            user_prefix=jwt.user_prefix,
            leeway=jwt.leeway,
        )
    except ValueError as error:
        raise ConfigError([Problem(f"access.jwt[{number}]", str(config.path or "environment"), str(error))]) from None


def check(config: Config) -> dict[str, Source]:
    """The providers of a configuration that can be served, without opening anything. Raises ConfigError."""
    sources = sources_of(config)
    static_keys(config)
    for number in range(len(config.access.jwt)):
        issuer_of(config, number)
    for source in sources.values():
        connected(config, source)
    check_targets(config, sources)
    default_of(config, sources)
    return sources


def identify_of(config: Config, ring: KeyRing) -> Identify:
    """Who calls, from a request's headers. Raises ConfigError."""
    return Identify(ring, verifier_of(config), ANONYMOUS if config.anonymous else None)


def address_of(config: Config) -> Callable[[Any, RawHeaders], str]:
    """Where a request comes from; forwarded headers count only behind trusted proxies."""
    proxies = networks(config.access.trusted_proxies)
    if not proxies:
        return peer_address

    def address(client: Any, headers: RawHeaders) -> str:
        return client_address(client, headers, proxies)

    return address


def checks_of(runtime: Runtime) -> dict[str, Callable[[], str]]:
    """The readiness checks. None of them costs anything, or calls a model."""

    def store() -> str:
        return "" if runtime.ledger.healthy else "the ledger's database cannot be written"

    def draining() -> str:
        return "the process is stopping" if runtime.draining else ""

    def model() -> str:
        routes = runtime.admission.routes
        if not routes.default:
            return "no default model is configured"
        targets = routes.find("").targets
        tripped = all(target.breaker.tripped for target in targets)
        return f"every target of {routes.default} keeps failing" if tripped else ""

    return {"store": store, "draining": draining, "model": model}

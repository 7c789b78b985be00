"""A gate over one model, with everything behind it real but the model."""

from __future__ import annotations

from contextlib import asynccontextmanager

from headgate.config import Tier
from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.principal import Principal
from headgate.engine.admission import Admission
from headgate.engine.cache import Cache
from headgate.engine.gate import Gate
from headgate.engine.ledger import Ledger
from headgate.engine.limits import RuleBook
from headgate.engine.prices import Prices
from headgate.engine.routing import Route, Routes
from headgate.engine.targets import Target, Upstream
from headgate.stores.cache import MemoryCache
from headgate.stores.ledger import LedgerTable
from headgate.stores.memory import MemoryLimiter
from headgate.stores.sqlite import SqliteDatabase

ANN = Principal(kind="user", id="ann", tier="free")


def call(text="Hi", **fields):
    prompt = Prompt(messages=(Message("user", (TextPart(text),)),), max_tokens=fields.get("max_tokens"))
    return Call(model="m", understand=lambda _: prompt, **fields)


@asynccontextmanager
async def gate_over(provider, folder, *, limiter=None, price=None, cache=None, **tier):
    """A gate whose only model `m` is the provider's; the caller's tier `free` has these rules."""
    database = SqliteDatabase(folder / "headgate.db")
    database.migrate()
    ledger = Ledger(LedgerTable(database), folder / "outbox")
    route = Route("m", (Target(Upstream.of("p", provider), "m"),))
    admission = Admission(
        Routes({"m": route}, {}, default="m"),
        {"free": Tier()},
        RuleBook({"free": tier}),
        limiter or MemoryLimiter(),
        ledger,
        Prices.load({"p/m": price} if price else {}),
    )
    try:
        yield Gate(admission, ledger, cache or Cache(MemoryCache(1 << 20)))
    finally:
        await ledger.close()
        database.close()

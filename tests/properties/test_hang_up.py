"""A caller that leaves, at whatever event: the upstream is hung up on, what was reserved is settled exactly once."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest

from contracts._features import FEATURES
from contracts._suite import asked_on, callers, connected, own, script_of
from headgate.config import Tier
from headgate.core.events import Receipt
from headgate.core.principal import Principal
from headgate.engine.admission import Admission
from headgate.engine.cache import Cache
from headgate.engine.gate import Gate
from headgate.engine.ledger import Ledger
from headgate.engine.limits import RuleBook
from headgate.engine.prices import Prices
from headgate.engine.routing import Routes
from headgate.engine.targets import Upstream
from headgate.stores.cache import MemoryCache
from headgate.stores.memory import MemoryLimiter

pytestmark = pytest.mark.anyio

ANN = Principal(kind="key", id="ann", tier="open")
LIMITS = {"concurrent": 1, "tokens": "1_000_000/minute"}
CALLER = callers()["openai"]
VENDORS = own()
FOR_EVER = 3600.0


class Store:
    """Keeps the entries."""

    def __init__(self):
        self.entries = []

    def write(self, entries):
        self.entries += entries


class Counted:
    """A grant that counts how often it is settled."""

    def __init__(self, grant):
        self._grant = grant
        self.levels = grant.levels
        self.settled = 0

    def settle(self, actual):
        self.settled += 1
        self._grant.settle(actual)


class CountingLimiter(MemoryLimiter):
    """Remembers what it granted."""

    def __init__(self):
        super().__init__()
        self.grants = []

    async def reserve(self, wants):
        self.grants.append(Counted(await super().reserve(wants)))
        return self.grants[-1]


class House:
    """A gate with one provider, whose wire says what a test tells it."""

    def __init__(self, name, script, folder):
        self.provider, self.wire = connected(name, VENDORS[name], *script)
        self.store, self.limiter = Store(), CountingLimiter()
        self.ledger = Ledger(self.store, folder)
        routes = Routes({}, {name: Upstream.of(name, self.provider)})
        rules = RuleBook({"open": LIMITS}, {}, {})
        tiers = {"open": Tier(**LIMITS)}
        admission = Admission(routes, tiers, rules, self.limiter, self.ledger, Prices.load({}, {}))
        self.gate = Gate(admission, self.ledger, Cache(MemoryCache(1 << 20)))
        self.name = name

    def call(self, *, stream=True):
        return asked_on(CALLER, CALLER.QUESTIONS["text"], f"{self.name}/{VENDORS[self.name].model}", stream=stream)

    async def check(self, status):
        """One call was let in, settled once and written down once, and somebody else may speak now."""
        assert [grant.settled for grant in self.limiter.grants] == [1]
        await self.ledger.flush()
        assert [entry.status for entry in self.store.entries] == [status]
        levels = await self.limiter.levels([level.want for level in self.limiter.grants[0].levels])
        assert [level.left for level in levels if level.want.kind == "concurrent"] == [1]


@asynccontextmanager
async def house(name, script, folder):
    made = House(name, script, folder)
    try:
        yield made
    finally:
        await made.ledger.close()


@pytest.mark.parametrize("name", VENDORS)
async def test_a_caller_who_leaves_after_any_event_is_settled_once(name, tmp_path):
    script = script_of(VENDORS[name], FEATURES["text"].says, stream=True)
    for taken in range(1, 100):
        async with house(name, script, tmp_path / str(taken)) as here:
            events = here.gate.answer(ANN, here.call())
            said = [await anext(events) for _ in range(taken)]
            await events.aclose()
            if isinstance(said[-1], Receipt):
                await here.check("ok")
                return
            await here.check("cancelled")
            assert here.wire.hung_up == 1 or taken > len(script)  # the last events come when the upstream has ended
    pytest.fail("the stream has no end")


@pytest.mark.parametrize("name", VENDORS)
async def test_a_caller_who_leaves_while_the_model_is_silent_is_settled_once(name, tmp_path):
    script = script_of(VENDORS[name], FEATURES["text"].says, stream=True)
    for at in range(len(script)):
        async with house(name, [*script[:at], FOR_EVER], tmp_path / str(at)) as here:
            task = asyncio.create_task(consumed(here.gate.answer(ANN, here.call())))
            await waiting(here)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await here.check("cancelled")
            assert here.wire.hung_up == 1


async def consumed(events):
    """Take what comes."""
    try:
        async for _ in events:
            pass
    finally:
        await events.aclose()


async def waiting(here):
    """Wait until the upstream has been asked, and has said all that it will."""
    async with asyncio.timeout(5):
        while not here.wire.asks:  # noqa: ASYNC110 - tests may look and wait
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", VENDORS)
async def test_a_caller_who_does_not_wait_for_a_whole_answer_is_settled_once(name, tmp_path):
    async with house(name, [FOR_EVER], tmp_path) as here:
        task = asyncio.create_task(here.gate.reply(ANN, here.call(stream=False)))
        await waiting(here)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await here.check("cancelled")
        assert here.wire.hung_up == 1

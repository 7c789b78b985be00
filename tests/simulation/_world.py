"""One schedule, played: the real gate, limiter, router, breakers and ledger between scripted callers and upstreams."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter, defaultdict
from contextlib import aclosing
from pathlib import Path
from random import Random

from headgate.config import Tier
from headgate.core.call import Call, Clocks, Message, Prompt, TextPart
from headgate.core.entry import Entry
from headgate.core.events import Receipt
from headgate.core.faults import Fault
from headgate.core.limit import parse_rule
from headgate.core.principal import Principal
from headgate.engine import targets
from headgate.engine.admission import Admission
from headgate.engine.cache import Cache
from headgate.engine.gate import Gate
from headgate.engine.ledger import Ledger
from headgate.engine.limits import RuleBook
from headgate.engine.outbox import recover
from headgate.engine.prices import Prices
from headgate.engine.routing import Route, Routes
from headgate.stores.cache import MemoryCache
from headgate.stores.memory import MemoryLimiter
from simulation._loop import VirtualLoop, virtual
from simulation._parts import Asked, Store, Upstream, Watched
from simulation._plan import BUG, FIRST, IDLE, MODELS, TOTAL, Caller, Plan

PRICES = Prices.load({"up/*": {"input": 1.0, "output": 10.0, "request": 0.00001}})
SLACK = 0.5
AFTERWARDS = 200.0
"""Seconds until every store is back and every breaker has rested."""

STATUSES = {"end": {"ok"}, "left": {"cancelled"}, "bug": {"failed"}, "fault": {"refused", "failed", "partial"}}


class World:
    """A schedule while it is played."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self._folder = folder
        self._callers = {str(caller.number): caller for caller in plan.callers}
        self._asked: dict[str, list[Asked]] = defaultdict(list)
        self._outcomes: dict[str, str] = {}
        self._store = Store(plan.out, plan.torn, Random(plan.seed))
        self._limiter = Watched(MemoryLimiter(time.monotonic))
        self._ledger = Ledger(self._store, folder / "outbox")
        self._upstreams = {
            f"{model}{n}": Upstream(f"{model}{n}", self._callers, self._asked)
            for model, number in MODELS.items()
            for n in range(number)
        }
        self._targets: dict[str, targets.Target] = {}
        routes = {model: self._route(model) for model in MODELS}
        rules = RuleBook({"t": plan.tier}, dict.fromkeys(MODELS, plan.model), plan.service)
        admission = Admission(Routes(routes, {}), {"t": Tier()}, rules, self._limiter, self._ledger, PRICES)
        self._gate = Gate(admission, self._ledger, Cache(MemoryCache(1 << 20)))

    def _route(self, model: str) -> Route:
        found = []
        for name, upstream in self._upstreams.items():
            if name.startswith(model):
                self._targets[name] = targets.Target(targets.Upstream.of("up", upstream), name, upstream.breaker)
                found.append(self._targets[name])
        return Route(model, tuple(found), Clocks(first_event=FIRST, idle=IDLE, total=TOTAL))

    async def play(self, loop: VirtualLoop) -> None:
        """Let everything happen, and check it."""
        look = loop.call_at(self.plan.dies, self._look)
        try:
            async with asyncio.timeout(10_000):
                await asyncio.gather(*(self._call(loop, caller) for caller in self.plan.callers))
                await asyncio.sleep(AFTERWARDS)
            self._store.torn = 0.0
            assert await self._ledger.close(100), "what was posted is not in the store"
            await self._limiter.check_idle(loop.time())
            self._check()
        finally:
            look.cancel()

    async def _call(self, loop: VirtualLoop, caller: Caller) -> None:
        await asyncio.sleep(caller.at)
        task = loop.create_task(self._speak(caller))
        if caller.leaves is not None:
            loop.call_later(caller.leaves, task.cancel)
        await asyncio.wait([task])
        took = loop.time() - caller.at
        assert took <= TOTAL + SLACK, f"caller {caller.number} was kept for {took} s"
        if task.cancelled():
            self._outcomes[str(caller.number)] = "left"
        elif isinstance(error := task.exception(), AssertionError):
            raise error

    async def _speak(self, caller: Caller) -> None:
        who = Principal(kind="key", id=caller.user, tier="t", key_id=caller.key, limits=self.plan.own)
        prompt = Prompt(messages=(Message("user", (TextPart("x" * caller.size),)),), max_tokens=caller.max_tokens)
        call = Call(
            model=caller.model,
            understand=lambda _: prompt,
            stream=caller.stream,
            max_tokens=caller.max_tokens,
            body=b"x" * (caller.size + 50),
            _fields={},
            id=str(caller.number),
            address=caller.address,
        )
        try:
            ended = await self._listen(who, call, caller)
            self._outcomes[call.id] = "end" if ended else "left"
        except Fault:
            self._outcomes[call.id] = "fault"
        except BUG:
            self._outcomes[call.id] = "bug"

    async def _listen(self, who: Principal, call: Call, caller: Caller) -> bool:
        """Whether the end of the answer was seen."""
        if not caller.stream:
            await self._gate.reply(who, call)
            return True
        seen = 0
        async with aclosing(self._gate.answer(who, call)) as events:
            async for event in events:
                seen += 1
                if isinstance(event, Receipt):
                    return True
                if seen == caller.full:
                    return False
        raise AssertionError("a stream ended without a receipt")

    def _look(self) -> None:
        """As if the process were killed now: whoever saw an end is in the outbox or in the store, once."""
        left = self._folder / "left"
        shutil.copytree(self._folder / "outbox", left)
        found = Store((), 0.0, Random(0))
        found.rows = dict(self._store.rows)
        recover(left, found)
        times = Counter(row.request_id for row in found.rows.values())
        assert set(times.values()) <= {1}, "doubled"
        ended = {number for number, outcome in self._outcomes.items() if outcome == "end"}
        assert ended <= times.keys(), f"lost by a kill: {ended - times.keys()}"

    def _check(self) -> None:
        rows: dict[str, list[Entry]] = defaultdict(list)
        for row in self._store.rows.values():
            rows[row.request_id].append(row)
        assert {number: len(found) for number, found in rows.items()} == dict.fromkeys(self._callers, 1)
        for number, outcome in self._outcomes.items():
            self._check_row(rows[number][0], outcome, self._asked[number])
        for name, upstream in self._upstreams.items():
            # calls that wait for their retry count as under way too, and nobody sees them from outside
            most = max(targets.RETRIES_LEAST, targets.RETRIES_SHARE * (upstream.most_busy + upstream.most_retries))
            assert upstream.most_retries <= most + 1, f"{name}: {upstream.most_retries} retries at once"
            target = self._targets[name]
            assert (target.busy, target.upstream.active, target.upstream.retrying) == (0, 0, 0), f"{name} is not idle"
            assert upstream.breaker.allows(), f"{name} is spared for ever"
        for kind, rule in self.plan.tier.items():
            if kind in {"spend_usd", "tokens"}:
                self._check_windows(kind, rule, [row for [row] in rows.values()])

    def _check_row(self, row: Entry, outcome: str, asked: list[Asked]) -> None:
        assert row.status in STATUSES[outcome], (row, outcome)
        assert row.tries == len(asked), (row, asked)
        assert len(asked) <= 3 * MODELS[row.model]
        if row.status == "refused" and "limit" in row.error:
            assert not asked, "a refused call was asked for"
        heard = outcome == "end" or row.stream  # of a whole answer that broke nobody heard anything
        spoken = asked[-1] if asked and asked[-1].words and heard else None
        if spoken is None:
            assert (row.tokens_in, row.tokens_out, row.cost) == (0, 0, None), row
            return
        assert row.target == spoken.target
        assert row.tokens_out == spoken.words, (row, spoken)
        assert row.estimated is not (row.status == "ok" and spoken.counted), (row, spoken)
        if not row.estimated:
            assert row.tokens_in == spoken.tokens_in
        price = PRICES.find("up", row.target)
        assert price is not None
        assert row.cost == price.cost(row.tokens_in, row.tokens_out)

    def _check_windows(self, kind: str, text: object, rows: list[Entry]) -> None:
        """No window of a user's rows in the ledger holds more than the user's cap."""
        rule = parse_rule(kind, str(text))
        for row in rows:
            since = row.at - rule.window
            mine = [one for one in rows if one.principal == row.principal and since < one.at - 1e-6 <= row.at]
            used = [one.cost or 0 if kind == "spend_usd" else one.tokens_in + one.tokens_out for one in mine]
            assert sum(used) <= rule.limit, f"{sum(used)} of {rule} within its window"


def play(plan: Plan, folder: Path) -> None:
    """Play a schedule. Raises AssertionError where a promise is broken."""
    folder.mkdir()
    try:
        with virtual(plan.seed) as loop:
            world = World(plan, folder)
            try:
                loop.run_until_complete(world.play(loop))
            finally:
                loop.run_until_complete(_left())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _left() -> None:
    """End what a broken promise left running."""
    for task in (tasks := asyncio.all_tasks() - {asyncio.current_task()}):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()

"""Admission: the right to the model, then every limit at once; a `Hold` or a Fault.

A refusal is immediate: nobody is kept waiting inside a request for a limit to free.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from msgspec import Struct

from headgate.config import Tier
from headgate.core.call import Call
from headgate.core.entry import Entry
from headgate.core.faults import Fault, Forbidden, LimitReached
from headgate.core.principal import Principal, allowed
from headgate.core.seams import Limiter, Refusal
from headgate.engine.history import fit
from headgate.engine.hold import Hold, status_of
from headgate.engine.ledger import Ledger, new_id
from headgate.engine.levels import fault_of, name_of
from headgate.engine.limits import METERED, Plan, RuleBook
from headgate.engine.prices import Prices
from headgate.engine.routing import Route, Routes
from headgate.engine.targets import Spoken
from headgate.engine.worst import worst_case

PASSES = 10_000

_ADMIN = Tier(system_prompt="replace")


class Pass(Struct, frozen=True):
    """What holds for all calls of a caller to a model: its route, the policy on system prompts, the limits' plan."""

    route: Route
    policy: str
    plan: Plan


class Admission:
    """Decides whether a call may go on, and writes down those that may not."""

    def __init__(
        self,
        routes: Routes,
        tiers: Mapping[str, Tier],
        rules: RuleBook,
        limiter: Limiter,
        ledger: Ledger,
        prices: Prices,
    ) -> None:
        self.limiter = limiter
        self._ledger = ledger
        self.configure(routes, tiers, rules, prices)

    def configure(self, routes: Routes, tiers: Mapping[str, Tier], rules: RuleBook, prices: Prices) -> None:
        """Decide by these from now on."""
        self.routes = routes
        self.tiers = tiers
        self.rules = rules
        self.prices = prices
        self._passes: dict[tuple[Principal, str, bool], Pass] = {}

    async def admit(self, who: Principal, call: Call, *, free: bool = False, part: bool = False) -> Hold:
        """A Hold for the call; a free one uses no tokens and no money.

        A part of what was admitted already is no request of its own, and the operator chose its model.

        Raises NotFound, Forbidden, ContextTooLong, RateLimited, BudgetExhausted, all written down.
        """
        entry = entry_of(who, call, self.routes.default)
        try:
            given = self._passes.get((who, call.model, part)) or self._pass(who, call.model, part=part)
            route, plan = given.route, given.plan
            system = route.system(given.policy)
            tokens, spend = (0, 0) if free else worst_case(call, route, system, plan.metered, self.prices)
            dropped = 0
            if route.window is not None and not free and (dropped := fit(call, route.window, system)):
                tokens, spend = worst_case(call, route, system, plan.metered, self.prices)
            wants = plan.wants(call.address, tokens, spend)
            grant = await self.limiter.reserve(wants if not part else [w for w in wants if w.kind in METERED])
            if isinstance(grant, Refusal):
                raise fault_of(grant, answered=call.max_tokens != 0)
        except Fault as fault:
            await self.refuse(entry, fault)
            raise
        spoken = Spoken(since=entry.at)
        began = time.monotonic()
        return Hold(entry, route, system, spoken, dropped, began, call, grant, self._ledger, self.prices)

    async def check(self, who: Principal, call: Call) -> None:
        """Refuse, and write down, what would be refused now in any case; for calls that take work before `admit`.

        Raises NotFound, Forbidden, RateLimited, BudgetExhausted. Takes nothing from any limit.
        """
        try:
            route = self.routes.find(call.model)
            self.check_right(who, self.tier_of(who), route)
            levels = await self.limiter.levels(self.rules.wants(who, route.name, call.address, 0, 0))
            if any(level.retry_after for level in levels):
                raise fault_of(Refusal(levels))
        except Fault as fault:
            await self.refuse(entry_of(who, call), fault)
            raise

    async def refuse(self, entry: Entry, fault: Fault) -> None:
        """Write down a call that never reached a model."""
        entry.status = status_of(fault, spoke=False)
        entry.error = fault.code
        if isinstance(fault, LimitReached) and fault.levels:
            refusing = Refusal(fault.levels).worst.want
            entry.limit, entry.limit_kind = name_of(refusing), refusing.kind
        fault.recorded = True
        await self._ledger.written(entry)

    def _pass(self, who: Principal, model: str, *, part: bool) -> Pass:
        """Look up what the caller may do with the model, and remember it. Raises NotFound, Forbidden."""
        route = self.routes.find(model)
        tier = self.tier_of(who)
        if not part:
            self.check_right(who, tier, route)
        if len(self._passes) >= PASSES:
            self._passes.clear()
        given = self._passes[who, model, part] = Pass(route, tier.system_prompt, self.rules.plan(who, route.name))
        return given

    def check_right(self, who: Principal, tier: Tier, route: Route) -> None:
        """Raise Forbidden where the tier or the key does not allow the model."""
        if not allowed(who.models, route.name):
            raise Forbidden(f"this key may not use the model {route.name}", field="model")
        if not self.may_use(who, tier, route.name):
            raise Forbidden(f"the tier {who.tier} may not use the model {route.name}", field="model")

    def may_use(self, who: Principal, tier: Tier, model: str) -> bool:
        """Whether the tier and the key allow the model; anonymous callers get the default one unless told otherwise."""
        patterns = tier.models
        if patterns is None and who.kind == "anonymous":
            patterns = (self.routes.default,)
        return allowed(patterns, model) and allowed(who.models, model)

    def tier_of(self, who: Principal) -> Tier:
        """What the caller's tier may do; the admin may do everything. Raises Forbidden for an unknown tier."""
        if who.is_admin:
            return _ADMIN
        tier = self.tiers.get(who.tier)
        if tier is None:
            raise Forbidden(f"the tier {who.tier[:100]!r} is not configured here")
        return tier


def entry_of(who: Principal | None, call: Call, default: str = "") -> Entry:
    """The beginning of a call's ledger row; `default` is the model that it is for where it names none."""
    at = time.time()
    return Entry(
        id=new_id(at),
        at=at,
        request_id=call.id,
        kind="nobody" if who is None else who.kind,
        principal="" if who is None else who.id,
        key_id="" if who is None else who.key_id,
        tier="" if who is None else who.tier,
        address=call.address,
        surface=call.surface,
        stream=call.stream,
        model=call.model or default,
        trace=call.trace,
    )

"""`RuleBook`: which limits a call is under: its tier's, its key's own, its model's and the whole service's.

A tier's rules count for each tenant, so all keys of one user share them; all anonymous callers share theirs. A key's
own rules count for the key, a model's and the service's for everybody. A rule per address counts, within its owner,
each IPv4 address and each IPv6 /64. A limit never delays a call: it is let in or refused at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import Any

from msgspec import Struct

from headgate.core.faults import Forbidden
from headgate.core.limit import Rule, Want, parse_rule
from headgate.core.principal import Principal

METERED = ("tokens", "spend")
PLANS = 10_000
PLAIN = 80


class _Owner(Struct, frozen=True):
    """Whose rules: `key` begins the names of their counters, `who` ends those of rules that are not per address."""

    rules: tuple[Rule, ...]
    key: str
    who: str
    scope: str
    shared: bool = False


class Plan(Struct, frozen=True):
    """The wants of a caller for a model, as far as they are known before the call is.

    `metered` lack their amount, `addressed` the address at the end of their key.
    """

    fixed: tuple[Want, ...]
    metered: tuple[Want, ...]
    addressed: tuple[Want, ...]

    def wants(self, address: str, tokens: int, spend: int) -> tuple[Want, ...]:
        """What a call must be granted: one request, `tokens` and `spend` (nano-USD) at their worst case."""
        wants = self.fixed
        if self.addressed:
            network = network_of(address)
            wants += tuple(_replaced(want, want.key + network, 1) for want in self.addressed)
        if self.metered:
            wants += tuple(_replaced(w, w.key, tokens if w.kind == "tokens" else spend) for w in self.metered)
        return wants


class RuleBook:
    """All limits of a configuration. A changed configuration is a new book; counts go on, since keys stay."""

    def __init__(
        self,
        tiers: Mapping[str, Mapping[str, Any]],
        models: Mapping[str, Mapping[str, Any]] | None = None,
        service: Mapping[str, Any] | None = None,
    ) -> None:
        """Each mapping holds a rule, or a list of them, under keys of `core.limit.KINDS`. Raises ValueError."""
        self._tiers = {name: parse_rules(values) for name, values in tiers.items()}
        self._models = {name: parse_rules(values) for name, values in (models or {}).items()}
        self._service = parse_rules(service or {})
        self._plans: dict[tuple[Principal, str], Plan] = {}

    def plan(self, principal: Principal, model: str) -> Plan:
        """What a caller's calls to a model must be granted.

        Raises Forbidden for a tier that the configuration does not know: nobody is let in without limits by a typo.
        """
        plan = self._plans.get((principal, model))
        if plan is None:
            if len(self._plans) >= PLANS:
                self._plans.clear()
            plan = self._plans[principal, model] = self._plan(principal, model)
        return plan

    def wants(self, principal: Principal, model: str, address: str, tokens: int, spend: int) -> tuple[Want, ...]:
        """The wants of one call; see `Plan.wants`. Raises Forbidden."""
        return self.plan(principal, model).wants(address, tokens, spend)

    def windows(self, own: Iterable[tuple[tuple[str, str], ...]]) -> set[float]:
        """The lengths of all rules' windows in seconds, those of keys' `own` limits too."""
        rules = [*self._tiers.values(), *self._models.values(), self._service]
        return {rule.window for each in (*rules, *(parse_rules(_grouped(o)) for o in own)) for rule in each}

    def _plan(self, principal: Principal, model: str) -> Plan:
        fixed: list[Want] = []
        metered: list[Want] = []
        addressed: list[Want] = []
        for owner in self._owners(principal, model):
            for rule in owner.rules:
                kinds = addressed if rule.per_address else metered if rule.kind in METERED else fixed
                kinds.append(_want(owner, rule))
        return Plan(tuple(fixed), tuple(metered), tuple(addressed))

    def _owners(self, principal: Principal, model: str) -> Iterable[_Owner]:
        tier, tenant, key_id = principal.tier, _short(principal.tenant), _short(principal.key_id)
        if tier not in self._tiers and not principal.is_admin:
            raise Forbidden(f'The tier "{tier}" is not configured.')
        who = "" if principal.kind == "anonymous" else tenant
        own = parse_rules(_grouped(principal.limits))
        yield _Owner(self._tiers.get(tier, ()), f"tier|{tier}", who, f"tier {tier}")
        yield _Owner(own, f"key|{key_id or tenant}", "", "this key")
        yield _Owner(self._models.get(model, ()), f"model|{model}", "", f"model {model}", shared=True)
        yield _Owner(self._service, "service", "", "the service", shared=True)


def parse_rules(values: Mapping[str, Any]) -> tuple[Rule, ...]:
    """The rules of one tier, key, model or service; of two over the same time the stricter. Raises ValueError."""
    rules: dict[tuple[object, ...], Rule] = {}
    for kind, value in values.items():
        texts = () if value is None else value if isinstance(value, list | tuple) else (value,)
        for rule in (parse_rule(kind, text) for text in texts):
            same = (rule.kind, rule.window, rule.per_address)
            if same not in rules or rule.limit < rules[same].limit:
                rules[same] = rule
    return tuple(rules.values())


def _grouped(limits: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for kind, text in limits:
        groups.setdefault(kind, []).append(text)
    return groups


def _want(owner: _Owner, rule: Rule) -> Want:
    counted, who = (f"{rule.kind}@", "") if rule.per_address else (rule.kind, owner.who)
    return Want(
        key=f"{owner.key}|{counted}|{rule.window:.0f}|{who}",
        kind=rule.kind,
        amount=0 if rule.kind in METERED else 1,
        limit=rule.limit,
        window=rule.window,
        scope="this address" if rule.per_address else owner.scope,
        private=owner.shared and rule.kind == "spend",
    )


def _replaced(want: Want, key: str, amount: int) -> Want:
    return Want(key, want.kind, amount, want.limit, want.window, want.scope, want.private)


def _short(name: str) -> str:
    """A name that a caller may have made long, with a bound on what it takes in memory."""
    return name if len(name) <= PLAIN else blake2b(name.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """What counts as one address: an IPv4 address, an IPv6 /64 (which one household or host has to itself)."""
    try:
        ip = ip_address(address)
    except ValueError:
        return _short(address)
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or f"{IPv6Address(int(ip) >> 64 << 64)}/64")
    return str(ip)

"""Strategies: which of a route's targets is asked first. The others follow, for when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import inf
from random import Random
from time import monotonic

from headgate.engine.targets import Target

Order = Callable[[Sequence[Target]], Sequence[Target]]

FORGETTING = 30.0
"""Seconds in which half of a latency is forgotten: a target that was slow once is looked at again."""


class Weighted:
    """Each target comes first in its share of the calls, by its weight; one of weight 0 is asked only after the others.

    Those that come after keep their shares among themselves: of exponential variates the least is drawn by its rate.
    """

    def __init__(self, weights: Mapping[str, float], rng: Random) -> None:
        self._weights = weights
        self._rng = rng

    def __call__(self, targets: Sequence[Target]) -> Sequence[Target]:
        """The targets in the order in which to ask them."""
        drawn = {target: self._draw(self._weights.get(target.name, 0.0)) for target in targets}
        return sorted(targets, key=drawn.__getitem__)

    def _draw(self, weight: float) -> float:
        return self._rng.expovariate(weight) if weight > 0 else inf


class LeastBusy:
    """Of two targets drawn by lot the one with the shorter expected wait: calls under way times smoothed latency.

    Two choices are nearly as good as the best of all, and do not send everybody to the same target at once
    (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001). A target that waits for its trial
    call gets it first, one that is spared comes last.
    """

    def __init__(self, rng: Random, clock: Callable[[], float] = monotonic) -> None:
        self._rng = rng
        self._clock = clock

    def __call__(self, targets: Sequence[Target]) -> Sequence[Target]:
        """The targets in the order in which to ask them."""
        now = self._clock()
        waits = {target: self._wait(target, now) for target in targets}
        known = [wait for wait in waits.values() if wait]
        guess = min(known, default=1.0) / 2  # who is not known yet is to be
        rank = {target: (target.busy + 1) * (waits[target] or guess) for target in targets}
        well = [target for target in targets if not target.breaker.tripped]
        chosen = min(self._rng.sample(well, min(2, len(well))), key=rank.__getitem__, default=None)

        def place(target: Target) -> tuple[int, float]:
            if target.breaker.tripped:
                return (3 if target.breaker.opens_in() else 0), 0.0
            return (1 if target is chosen else 2), rank[target]

        return sorted(targets, key=place)

    def _wait(self, target: Target, now: float) -> float:
        return target.latency * float(0.5 ** ((now - target.heard_at) / FORGETTING))


def order_of(strategy: str, weights: Mapping[str, float], rng: Random) -> Order | None:
    """The order that the configuration names; None where it is the order of the list."""
    if strategy == "weighted":
        return Weighted(weights, rng)
    return LeastBusy(rng) if strategy == "least_busy" else None

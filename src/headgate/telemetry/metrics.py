"""Metrics in Prometheus's words, fed from finished ledger entries in batches, never on a request's own path.

They are plain numbers in dictionaries until somebody asks for them. Callers choose some of the labels' values, so each
metric has at most `SERIES` sets of them; what is more is counted under "other".
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from msgspec import Struct
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from headgate.core.entry import Entry
from headgate.telemetry.crew import Crew
from headgate.telemetry.families import COUNTERS, GAUGES, SECONDS, TIMES

SERIES = 2000
OTHER = "other"

_BOUNDS = tuple(1000 * seconds for seconds in SECONDS)

Labels = tuple[str, ...]
Gauges = dict[str, dict[Labels, float]]


class Counts(Struct):
    """What one process has counted; of a histogram's numbers the last is the sum, the others its buckets."""

    counters: dict[str, dict[Labels, float]]
    times: dict[str, dict[Labels, list[float]]]
    gauges: Gauges

    @classmethod
    def none(cls) -> Counts:
        """Nothing yet."""
        return cls({name: {} for name in COUNTERS}, {name: {} for name in TIMES}, {})

    def add(self, other: Counts) -> None:
        """Count what another process has counted, too."""
        for name, counts in other.counters.items():
            for labels, count in counts.copy().items():
                _count(self.counters[name], labels, count)
        for name, times in other.times.items():
            for labels, numbers in times.copy().items():
                _merge(self.times[name], labels, numbers)
        for name, gauges in other.gauges.items():
            together = max if GAUGES[name].together == "max" else _sum
            mine = self.gauges.setdefault(name, {})
            for labels, value in gauges.items():
                mine[labels] = together(mine[labels], value) if labels in mine else value


class Metrics:
    """The metrics of one process, and of the `crew` of workers that it may belong to."""

    def __init__(self, crew: Crew | None = None) -> None:
        self._crew = crew
        self._counts = Counts.none()
        if crew is not None and (before := crew.mine(Counts)) is not None:
            before.gauges = {}
            self._counts.add(before)

    @property
    def shared(self) -> bool:
        """Whether other workers count with this one."""
        return self._crew is not None

    def record(self, entries: Iterable[Entry]) -> None:
        """Count finished calls, those that are alike together."""
        alike: defaultdict[tuple[object, ...], list[Entry]] = defaultdict(list)
        for e in entries:
            # Written out: to have attrgetter get them costs twice as much.
            shared = (e.surface, e.provider, e.target, e.status, e.error, e.limit, e.limit_kind, e.cache)
            alike[shared, e.estimated, e.tries, e.attempts].append(e)
        for calls in alike.values():
            self._count(calls)
        if self._crew is not None:
            self._crew.save(self._counts)

    def show(self, gauges: Gauges) -> None:
        """Let the other workers know how things stand here."""
        self._counts.gauges = gauges
        if self._crew is not None:
            self._crew.save(self._counts)

    def text(self, gauges: Gauges) -> bytes:
        """Prometheus's text format, of all workers together."""
        self._counts.gauges = gauges
        counts = Counts.none()
        counts.add(self._counts)
        for others, run in self._crew.others(Counts) if self._crew is not None else ():
            if not run:
                others.gauges = {}  # how things stood with the dead is nobody's news
            counts.add(others)
        return generate_latest(cast("CollectorRegistry", _Collected(counts)))

    def _count(self, calls: list[Entry]) -> None:
        """Count calls of one kind."""
        counters, times = self._counts.counters, self._counts.times
        one = calls[0]
        labels = (one.surface, one.provider, one.target)
        _count(counters["headgate_calls"], (*labels, one.status, one.error), len(calls))
        if one.limit:
            _count(counters["headgate_refusals"], (one.limit_kind, one.limit), len(calls))
        if one.cache != "off":
            _count(counters["headgate_cache_lookups"], (one.surface, one.cache), len(calls))
        if one.tries:
            self._count_tries(one, len(calls))
        spoke = [call for call in calls if call.first_ms is not None]
        if not spoke:
            return
        _observe(times["headgate_first_event_seconds"], labels, [call.first_ms or 0.0 for call in spoke])
        _observe(times["headgate_call_seconds"], labels, [call.total_ms for call in spoke])
        if one.cache == "hit":
            _count(counters["headgate_cache_saved_usd"], labels, sum([call.saved for call in spoke]))
            return
        _count(counters["headgate_tokens"], (*labels, "in"), sum([call.tokens_in for call in spoke]))
        _count(counters["headgate_tokens"], (*labels, "out"), sum([call.tokens_out for call in spoke]))
        details = {
            "cached": sum([call.cached for call in spoke]),
            "cache_write": sum([call.cache_write for call in spoke]),
            "reasoning": sum([call.reasoning for call in spoke]),
        }
        for detail, amount in details.items():
            if amount:
                _count(counters["headgate_token_details"], (*labels, detail), amount)
        if one.estimated:
            _count(counters["headgate_estimated_calls"], labels, len(spoke))
        costs = [call.cost for call in spoke if call.cost is not None]
        if costs:
            _count(counters["headgate_cost_usd"], labels, sum(costs))
        if len(costs) < len(spoke) and (
            unpriced := sum(call.cost is None and call.tokens_in + call.tokens_out > 0 for call in spoke)
        ):
            _count(counters["headgate_unpriced_calls"], labels, unpriced)

    def _count_tries(self, call: Entry, calls: int) -> None:
        """Count the attempts of so many calls like this one."""
        counters = self._counts.counters
        before = ""
        for attempt in call.tried:
            _count(counters["headgate_tries"], (attempt.target, attempt.error), calls)
            if attempt.target == before:
                _count(counters["headgate_retries"], (before,), calls)
            elif before:
                _count(counters["headgate_fallbacks"], (before,), calls)
            before = attempt.target


class _Collected:
    """What Prometheus's writer asks for its families."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """The families, those without numbers too."""
        for name, counted in COUNTERS.items():
            counter = CounterMetricFamily(name, counted.meaning, labels=counted.labels)
            for labels, count in self._counts.counters[name].items():
                counter.add_metric(labels, count / counted.unit)
            yield counter
        for name, timed in TIMES.items():
            histogram = HistogramMetricFamily(name, timed.meaning, labels=timed.labels)
            for labels, numbers in self._counts.times[name].items():
                histogram.add_metric(labels, _cumulated(numbers), numbers[-1])
            yield histogram
        for name, gauged in GAUGES.items():
            gauge = GaugeMetricFamily(name, gauged.meaning, labels=gauged.labels)
            for labels, value in self._counts.gauges.get(name, {}).items():
                gauge.add_metric(labels, value)
            yield gauge


def _count(counts: dict[Labels, float], labels: Labels, amount: float = 1) -> None:
    if labels not in counts and len(counts) >= SERIES:
        labels = (OTHER,) * len(labels)
    counts[labels] = counts.get(labels, 0) + amount


def _observe(times: dict[Labels, list[float]], labels: Labels, durations: Sequence[float]) -> None:
    """Put durations, in milliseconds, into a histogram."""
    numbers = _numbers(times, labels)
    ordered = sorted(durations)
    start = 0
    for place, bound in enumerate(_BOUNDS):
        end = bisect_right(ordered, bound, start)
        numbers[place] += end - start
        start = end
        if end == len(ordered):
            break
    numbers[len(_BOUNDS)] += len(ordered) - start
    numbers[-1] += sum(durations) / 1000


def _merge(times: dict[Labels, list[float]], labels: Labels, more: list[float]) -> None:
    numbers = _numbers(times, labels)
    for place, number in enumerate(more):
        numbers[place] += number


def _numbers(times: dict[Labels, list[float]], labels: Labels) -> list[float]:
    numbers = times.get(labels)
    if numbers is None:
        if len(times) >= SERIES:
            labels = (OTHER,) * len(labels)
        numbers = times.setdefault(labels, [0.0] * (len(SECONDS) + 2))
    return numbers


def _sum(one: float, other: float) -> float:
    return one + other


def _cumulated(numbers: list[float]) -> list[tuple[str, float]]:
    total = 0.0
    buckets = []
    for bound, count in zip((*SECONDS, float("inf")), numbers[:-1], strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    return buckets

"""Metrics in Prometheus's words, fed from finished ledger entries in batches, never on a request's own path."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from headgate.core.entry import Entry

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the histograms' buckets, in seconds."""

LABELS = ("surface", "provider", "model")
COUNTERS = {
    "headgate_calls": ("Calls, by how they ended.", ("status", "error")),
    "headgate_tokens": ("Tokens used.", ("kind",)),
    "headgate_cost_usd": ("Known cost in US dollars.", ()),
    "headgate_unpriced_calls": ("Calls that used tokens whose price is unknown.", ()),
    "headgate_retries": ("Attempts after a call's first.", ()),
}
HISTOGRAMS = {
    "headgate_first_event_seconds": "Time from admission to the first event of the answer.",
    "headgate_call_seconds": "Time from admission to the end of the answer.",
}


class Metrics(Collector):
    """The metrics of one process. They are plain numbers in dictionaries until somebody asks for them."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in COUNTERS}
        self._times: dict[str, dict[tuple[str, ...], list[float]]] = {name: {} for name in HISTOGRAMS}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self.degraded = Gauge(
            "headgate_degraded", "1 while a part that calls may need is out.", ["part"], registry=self.registry
        )
        self.tripped = Gauge(
            "headgate_target_tripped", "1 while a target is spared.", ["target"], registry=self.registry
        )
        self.in_flight = Gauge("headgate_in_flight", "Calls being answered.", registry=self.registry)
        self.busy = Gauge(
            "headgate_target_in_flight", "Calls under way at a target.", ["target"], registry=self.registry
        )
        self.latency = Gauge(
            "headgate_target_latency_seconds",
            "Smoothed time to a target's first event.",
            ["target"],
            registry=self.registry,
        )
        self.key_tripped = Gauge(
            "headgate_key_tripped",
            "1 while a provider's key, one of several, is spared.",
            ["provider", "key"],
            registry=self.registry,
        )

    def record(self, entries: Iterable[Entry]) -> None:
        """Count finished calls."""
        calls, tokens, cost, unpriced, retries = self._counts.values()
        first, total = self._times.values()
        for entry in entries:
            labels = (entry.surface, entry.provider, entry.target)
            calls[*labels, entry.status, entry.error] += 1
            if entry.first_ms is None:
                continue
            tokens[*labels, "in"] += entry.tokens_in
            tokens[*labels, "out"] += entry.tokens_out
            _observe(first, labels, entry.first_ms / 1000)
            _observe(total, labels, entry.total_ms / 1000)
            if entry.tries > 1:
                retries[labels] += entry.tries - 1
            if entry.cost is not None:
                cost[labels] += entry.cost
            elif entry.tokens_in or entry.tokens_out:
                unpriced[labels] += 1

    def collect(self) -> Iterator[Metric]:
        """What was counted, in Prometheus's families."""
        for name, (meaning, more) in COUNTERS.items():
            family = CounterMetricFamily(name, meaning, labels=[*LABELS, *more])
            unit = 1e9 if name == "headgate_cost_usd" else 1
            for labels, count in list(self._counts[name].items()):
                family.add_metric(labels, count / unit)
            yield family
        for name, meaning in HISTOGRAMS.items():
            histogram = HistogramMetricFamily(name, meaning, labels=LABELS)
            for labels, counts in list(self._times[name].items()):
                histogram.add_metric(labels, _cumulated(counts), counts[-1])
            yield histogram

    def text(self) -> bytes:
        """Prometheus's text format."""
        return generate_latest(self.registry)


def _observe(times: dict[tuple[str, ...], list[float]], labels: tuple[str, ...], seconds: float) -> None:
    """Count into its bucket; the last number is the sum."""
    counts = times.get(labels)
    if counts is None:
        counts = times[labels] = [0.0] * (len(SECONDS) + 2)
    counts[bisect_left(SECONDS, seconds)] += 1
    counts[-1] += seconds


def _cumulated(counts: list[float]) -> list[tuple[str, float]]:
    total = 0.0
    buckets = []
    for bound, count in zip((*SECONDS, float("inf")), counts[:-1], strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    return buckets

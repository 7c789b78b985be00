"""Metrics in Prometheus's words. They are fed from finished ledger entries, in batches, never on a request's own path."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from headgate.core.entry import Entry

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("surface", "model", "provider")
        self.calls = Counter(
            "headgate_calls", "Calls, by how they ended.", (*labels, "status", "error"), registry=self.registry
        )
        self.tokens = Counter("headgate_tokens", "Tokens used.", (*labels, "kind"), registry=self.registry)
        self.cost = Counter("headgate_cost_usd", "Cost in US dollars.", labels, registry=self.registry)
        self.unpriced = Counter(
            "headgate_unpriced_calls", "Calls whose price is unknown.", labels, registry=self.registry
        )
        self.retries = Counter("headgate_retries", "Attempts after the first.", labels, registry=self.registry)
        self.first = Histogram(
            "headgate_first_event_seconds", "Time to the first event.", labels, buckets=SECONDS, registry=self.registry
        )
        self.total = Histogram(
            "headgate_call_seconds", "Time of a call in all.", labels, buckets=SECONDS, registry=self.registry
        )
        self.tripped = Gauge(
            "headgate_target_tripped", "1 while a target is spared.", ("target",), registry=self.registry
        )

    def record(self, entries: Iterable[Entry]) -> None:
        """Count finished calls."""
        for entry in entries:
            model = f"{entry.provider}/{entry.target}" if entry.target else ""
            labels = (entry.surface, model, entry.provider)
            self.calls.labels(*labels, entry.status, entry.error).inc()
            if entry.first_ms is None:
                continue
            self.tokens.labels(*labels, "in").inc(entry.tokens_in)
            self.tokens.labels(*labels, "out").inc(entry.tokens_out)
            self.first.labels(*labels).observe(entry.first_ms / 1000)
            self.total.labels(*labels).observe(entry.total_ms / 1000)
            if entry.tries > 1:
                self.retries.labels(*labels).inc(entry.tries - 1)
            if entry.cost is None:
                self.unpriced.labels(*labels).inc()
            else:
                self.cost.labels(*labels).inc(entry.cost / 1e9)

    def text(self) -> bytes:
        """Prometheus's text format."""
        return generate_latest(self.registry)

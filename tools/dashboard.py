"""Writes deploy/grafana/headgate.json, the dashboard: `python tools/dashboard.py`. A panel a line, in `ROWS`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).parent.parent / "deploy" / "grafana" / "headgate.json"
SOURCE = {"type": "prometheus", "uid": "${source}"}
WIDE, HIGH = 8, 8
ACROSS = 24
RATE = "[$__rate_interval]"


class Panel(NamedTuple):
    """A plot: its title, Grafana's name of its unit, and expressions with what their lines are called."""

    title: str
    unit: str
    lines: tuple[tuple[str, str], ...]


def rate(metric: str, by: str = "", where: str = "") -> str:
    """How much a second a counter grows, by a label or in all."""
    chosen = ", ".join(filter(None, ('instance=~"$instance"', where)))
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{{{chosen}}}{RATE}))"


def quantile(share: float, metric: str, by: str = "") -> str:
    """What a share of the calls stays below."""
    inside = f'rate({metric}_bucket{{instance=~"$instance"}}{RATE})'
    return f"histogram_quantile({share}, sum by (le{', ' + by if by else ''}) ({inside}))"


def now(metric: str, by: str = "instance", how: str = "sum") -> str:
    """How a gauge stands."""
    return f'{how} by ({by}) ({metric}{{instance=~"$instance"}})'


BAD = 'status=~"failed|partial"'
ROWS: dict[str, tuple[Panel, ...]] = {
    "Calls": (
        Panel("Calls by their end", "reqps", ((rate("headgate_calls_total", "status"), "{{status}}"),)),
        Panel(
            "Calls by model", "reqps", ((rate("headgate_calls_total", "provider, model"), "{{provider}}/{{model}}"),)
        ),
        Panel(
            "Share that failed",
            "percentunit",
            ((f"{rate('headgate_calls_total', '', BAD)} / {rate('headgate_calls_total')}", "failed or cut"),),
        ),
        Panel("Errors", "reqps", ((rate("headgate_calls_total", "error", 'error!=""'), "{{error}}"),)),
        Panel("Refused by a limit", "reqps", ((rate("headgate_refusals_total", "kind, limit"), "{{limit}}"),)),
        Panel("Calls by endpoint", "reqps", ((rate("headgate_calls_total", "surface"), "{{surface}}"),)),
    ),
    "Time": (
        Panel(
            "To the first event",
            "s",
            tuple((quantile(share, "headgate_first_event_seconds"), f"{share:.0%}") for share in (0.5, 0.95, 0.99)),
        ),
        Panel(
            "To the end",
            "s",
            tuple((quantile(share, "headgate_call_seconds"), f"{share:.0%}") for share in (0.5, 0.95, 0.99)),
        ),
        Panel(
            "To the first event by model, 95%",
            "s",
            ((quantile(0.95, "headgate_first_event_seconds", "provider, model"), "{{provider}}/{{model}}"),),
        ),
    ),
    "Tokens and money": (
        Panel("Tokens a second", "short", ((rate("headgate_tokens_total", "kind"), "{{kind}}"),)),
        Panel(
            "Dollars an hour",
            "currencyUSD",
            ((f"3600 * {rate('headgate_cost_usd_total', 'provider, model')}", "{{provider}}/{{model}}"),),
        ),
        Panel(
            "Not priced, not counted",
            "reqps",
            (
                (rate("headgate_unpriced_calls_total"), "unknown price"),
                (rate("headgate_estimated_calls_total"), "tokens estimated"),
            ),
        ),
        Panel("Of these tokens", "short", ((rate("headgate_token_details_total", "detail"), "{{detail}}"),)),
        Panel("Cache", "reqps", ((rate("headgate_cache_lookups_total", "cache"), "{{cache}}"),)),
        Panel(
            "Dollars an hour saved by the cache",
            "currencyUSD",
            ((f"3600 * {rate('headgate_cache_saved_usd_total')}", "saved"),),
        ),
    ),
    "Targets": (
        Panel("Tries", "reqps", ((rate("headgate_tries_total", "target"), "{{target}}"),)),
        Panel(
            "Tries that failed",
            "reqps",
            ((rate("headgate_tries_total", "target, error", 'error!=""'), "{{target}} {{error}}"),),
        ),
        Panel(
            "Retries and fallbacks",
            "reqps",
            (
                (rate("headgate_retries_total", "target"), "again {{target}}"),
                (rate("headgate_fallbacks_total", "target"), "given up {{target}}"),
            ),
        ),
        Panel(
            "Tripped",
            "short",
            (
                (now("headgate_target_tripped", "target", "max"), "{{target}}"),
                (now("headgate_key_tripped", "provider, key", "max"), "{{provider}} key {{key}}"),
            ),
        ),
        Panel("In flight by target", "short", ((now("headgate_target_in_flight", "target"), "{{target}}"),)),
        Panel("Smoothed first event", "s", ((now("headgate_target_latency_seconds", "target", "max"), "{{target}}"),)),
    ),
    "The service": (
        Panel(
            "In flight",
            "short",
            (
                (now("headgate_in_flight_requests"), "requests {{instance}}"),
                (now("headgate_open_streams"), "streams {{instance}}"),
                (now("headgate_connections"), "connections {{instance}}"),
            ),
        ),
        Panel("Event loop lag", "s", ((now("headgate_event_loop_lag_seconds", how="max"), "{{instance}}"),)),
        Panel("Memory", "bytes", ((now("headgate_resident_memory_bytes"), "{{instance}}"),)),
        Panel("Degraded", "short", ((now("headgate_degraded", "instance, part", "max"), "{{instance}} {{part}}"),)),
        Panel(
            "Ledger on its way",
            "bytes",
            (
                (now("headgate_outbox_bytes"), "outbox {{instance}}"),
                (now("headgate_lost_entries"), "lost entries {{instance}}"),
            ),
        ),
        Panel(
            "Processes and keys",
            "short",
            ((now("headgate_workers"), "workers {{instance}}"), (now("headgate_keys", how="max"), "keys {{instance}}")),
        ),
    ),
}


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS.items():
        panels.append({"type": "row", "title": title, "gridPos": {"x": 0, "y": top, "w": ACROSS, "h": 1}, "panels": []})
        top += 1
        for number, panel in enumerate(row):
            place = {"x": number * WIDE % ACROSS, "y": top + number * WIDE // ACROSS * HIGH, "w": WIDE, "h": HIGH}
            panels.append(_plot(panel, place))
        top += -(-len(row) * WIDE // ACROSS) * HIGH
    for number, panel in enumerate(panels, start=1):
        panel["id"] = number
    source = {"name": "source", "type": "datasource", "query": "prometheus", "label": "Data source"}
    instance = {
        "name": "instance",
        "type": "query",
        "datasource": SOURCE,
        "query": "label_values(headgate_info, instance)",
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "label": "Instance",
    }
    return {
        "title": "Headgate",
        "uid": "headgate",
        "tags": ["llm"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [source, instance]},
        "panels": panels,
    }


def _plot(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
            for number, (expression, legend) in enumerate(panel.lines)
        ],
    }


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")

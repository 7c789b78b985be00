"""The dashboard and the alerts ask for metrics that there are, by labels that they have."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from headgate.telemetry.families import COUNTERS, GAUGES, TIMES

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "deploy" / "grafana" / "headgate.json"
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"

LABELS = {f"{name}_total": set(each.labels) for name, each in COUNTERS.items()}
LABELS |= {f"{name}_{part}": set(each.labels) for name, each in TIMES.items() for part in ("bucket", "sum", "count")}
LABELS |= {name: set(each.labels) for name, each in GAUGES.items()}
SCRAPED = {"instance", "job"}
BUCKETS = {name for name in LABELS if name.endswith("_bucket")}


def dashboard_expressions():
    board = json.loads(DASHBOARD.read_text("utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]


def alert_expressions():
    return re.findall(r"^ +expr: (.+)$", ALERTS.read_text("utf-8"), re.MULTILINE)


def wrong(expression: str) -> list[str]:
    """What of an expression asks for something that there is not."""
    found = []
    bare = re.sub(r'"[^"]*"', '""', expression)
    metrics = re.findall(r"\bheadgate_\w+", bare)
    for metric, chosen in re.findall(r"\b(headgate_\w+)(?:\{([^}]*)\})?", bare):
        if metric not in LABELS:
            found.append(metric)
            continue
        asked = set(re.findall(r"(\w+)\s*[!=]~?", chosen))
        found += [f"{metric}{{{label}}}" for label in asked - LABELS[metric] - SCRAPED]
    known = set.union(
        SCRAPED, *(LABELS.get(metric, set()) for metric in metrics), {"le"} if BUCKETS & {*metrics} else ()
    )
    for labels in re.findall(r"\bby \(([^)]*)\)", bare):
        found += [f"by {label}" for label in re.split(r",\s*", labels) if label not in known]
    return found


@pytest.mark.parametrize("expressions", [dashboard_expressions, alert_expressions])
def test_every_expression_asks_for_what_there_is(expressions):
    asked = expressions()
    assert len(asked) > 10
    assert not {expression: wrong(expression) for expression in asked if wrong(expression)}


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("rate(headgate_calls[5m])", ["headgate_calls"]),
        ('headgate_degraded{target="x"}', ["headgate_degraded{target}"]),
        ("sum by (part) (headgate_keys)", ["by part"]),
        ("sum by (le) (headgate_calls_total)", ["by le"]),
        ("sum by (le, model) (rate(headgate_call_seconds_bucket[5m]))", []),
        ('up{job="headgate_x"}', []),
    ],
)
def test_a_wrong_expression_would_be_found(expression, what):
    assert wrong(expression) == what


def test_every_metric_is_on_the_dashboard():
    shown = " ".join(dashboard_expressions()) + DASHBOARD.read_text("utf-8")
    assert not [name for name in {**COUNTERS, **TIMES, **GAUGES} if name not in shown and name not in UNPLOTTED]


UNPLOTTED = {"headgate_started_seconds"}  # there are alerts on it


def test_every_alert_has_a_name_a_severity_and_a_sentence():
    rules = ALERTS.read_text("utf-8").split("- alert: ")[1:]
    assert len(rules) == len(alert_expressions())
    assert len({rule.split("\n")[0] for rule in rules}) == len(rules)
    for rule in rules:
        assert re.search(r"labels: \{severity: (page|warn)\}", rule), rule
        assert re.search(r'summary: ".+\."', rule), rule


def test_the_dashboard_is_what_its_tool_makes():
    spec = importlib.util.spec_from_file_location("dashboard", ROOT / "tools" / "dashboard.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert json.loads(DASHBOARD.read_text("utf-8")) == tool.dashboard()
    places = [tuple(panel["gridPos"].values()) for panel in tool.dashboard()["panels"]]
    assert len({place[:2] for place in places}) == len(places)

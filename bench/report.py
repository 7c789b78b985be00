"""What is said: ratios to nginx, per round, their median and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

YARDSTICK = "nginx"


class Metric(NamedTuple):
    """One row of the table: where its figure stands in a round, and what it is."""

    key: str
    title: str
    unit: str


METRICS = (
    Metric("cpu_request", "CPU per request, full load", "µs"),
    Metric("cpu_paced", "CPU per request, steady pace", "µs"),
    Metric("cpu_chunks", "CPU per 100 streamed chunks", "µs"),
    Metric("added_latency", "median latency added", "µs"),
    Metric("added_first", "time to first token added", "µs"),
    Metric("added_transit", "delay of a chunk added", "µs"),
    Metric("memory_idle", "memory, idle", "MB"),
    Metric("memory_load", "memory, under load", "MB"),
    Metric("startup", "start to first answer", "ms"),
)

Round = Mapping[str, Mapping[str, float]]  # target -> metric -> figure


CALM = 0.05  # of the target's core may go to others; more, and the round says nothing


def calm(rounds: Sequence[Round]) -> Sequence[Round]:
    """The rounds in which the machine was ours; all of them, if it never was."""
    return [figures for figures in rounds if disturbance(figures) < CALM] or rounds


def disturbance(figures: Round) -> float:
    """The largest share of the target's core that others took while a target was measured."""
    return max(target.get("intruders", 0.0) for target in figures.values())


class Ratio(NamedTuple):
    """A target's figure divided by the yardstick's of the same round: median, smallest, largest over the rounds."""

    median: float
    low: float
    high: float


def ratio(rounds: Sequence[Round], target: str, key: str, yardstick: str = YARDSTICK) -> Ratio | None:
    """None where there is nothing to divide by."""
    quotients = [
        figures[target][key] / figures[yardstick][key]
        for figures in calm(rounds)
        if target in figures and figures.get(yardstick, {}).get(key, 0) > 0
    ]
    return Ratio(median(quotients), min(quotients), max(quotients)) if quotients else None


def raw(rounds: Sequence[Round], target: str, key: str) -> float | None:
    """The median figure itself, in the metric's unit."""
    figures = [figures[target][key] for figures in calm(rounds) if target in figures]
    return median(figures) if figures else None


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def result(rounds: Sequence[Round], targets: Sequence[str], about: Mapping[str, Any]) -> dict[str, Any]:
    """Everything, for `result.json`: ratios first, the figures of every round last."""
    ratios = {
        name: {metric.key: found._asdict() for metric in METRICS if (found := ratio(rounds, name, metric.key))}
        for name in targets
    }
    return {"about": dict(about), "ratios_to_nginx": ratios, "rounds": [dict(figures) for figures in rounds]}


def with_spread(found: Ratio, rounds: int) -> str:
    """The median, and in brackets from where to where."""
    spread = f" ({number(found.low)} to {number(found.high)})" if rounds > 1 else ""
    return number(found.median) + spread


def table(
    rounds: Sequence[Round],
    targets: Sequence[str],
    *,
    show_raw: bool,
    markdown: bool,
    yardstick: str = YARDSTICK,
    metrics: Sequence[Metric] = METRICS,
) -> str:
    """A row a metric, a column a target; each cell is the median ratio and, in brackets, its spread."""
    header = [f"times {yardstick}" if yardstick in rounds[0] else "", *targets]
    rows = [header]
    for metric in metrics:
        row = [metric.title]
        for name in targets:
            found, figure = ratio(rounds, name, metric.key, yardstick), raw(rounds, name, metric.key)
            parts = [] if found is None else ["1" if name == yardstick else with_spread(found, len(calm(rounds)))]
            if show_raw and figure is not None:
                parts.append(f"{number(figure)} {metric.unit}")
            row.append(" · ".join(parts) or "-")
        rows.append(row)
    return as_markdown(rows) if markdown else as_text(rows)


def footnote(rounds: Sequence[Round]) -> str:
    """How many rounds are behind the table, and whether they can be believed."""
    used = len(calm(rounds))
    text = f"Median of {used} interleaved rounds; in brackets the smallest and the largest ratio of a round."
    worst = max(map(disturbance, rounds))
    if worst < CALM:
        return text
    if used < len(rounds):
        return (
            f"{text} Left out: {len(rounds) - used} rounds in which other programs took up to {worst:.0%} of the core."
        )
    return (
        f"{text} The machine was busy: other programs took up to {worst:.0%} of the core. Do not quote these figures."
    )


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table for the documentation."""
    rule = ["---", *("---:" for _ in rows[0][1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """A table for the terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )

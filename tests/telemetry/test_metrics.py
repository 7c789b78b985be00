"""What is counted, and how several workers are told as one service."""

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from headgate.core.entry import Attempt, Entry
from headgate.telemetry.crew import Crew
from headgate.telemetry.families import COUNTERS, GAUGES, TIMES
from headgate.telemetry.metrics import SERIES, Counts, Metrics

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def entry(**fields):
    answered = {
        "surface": "chat",
        "provider": "openai",
        "target": "gpt",
        "tries": 1,
        "first_ms": 30.0,
        "total_ms": 80.0,
    }
    return Entry(id="1", at=1000.0, request_id="r", **{**answered, **fields})


def samples(text: bytes) -> dict[tuple[str, ...], float]:
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = (*{**COUNTERS, **TIMES, **GAUGES}[family.name].labels, "le")
            found[sample.name, *(sample.labels[label] for label in labels if label in sample.labels)] = sample.value
    return found


def counted(*entries, gauges=None):
    metrics = Metrics()
    metrics.record(entries)
    return samples(metrics.text(gauges or {}))


def test_a_call_is_counted_by_its_target_and_its_end():
    found = counted(
        entry(tokens_in=10, tokens_out=5, cost=2_000_000_000), entry(status="partial", error="upstream_error")
    )
    where = ("chat", "openai", "gpt")
    assert found["headgate_calls_total", *where, "ok", ""] == 1
    assert found["headgate_calls_total", *where, "partial", "upstream_error"] == 1
    assert found["headgate_tokens_total", *where, "in"] == 10
    assert found["headgate_tokens_total", *where, "out"] == 5
    assert found["headgate_cost_usd_total", *where] == 2
    assert found["headgate_tries_total", "openai/gpt", ""] == 1
    assert found["headgate_first_event_seconds_bucket", *where, "0.025"] == 0
    assert found["headgate_first_event_seconds_bucket", *where, "0.05"] == 2
    assert found["headgate_call_seconds_count", *where] == 2
    assert round(found["headgate_call_seconds_sum", *where], 6) == 0.16


def test_a_refusal_is_counted_by_the_limit_that_refused():
    found = counted(
        entry(
            provider="",
            target="",
            tries=0,
            first_ms=None,
            status="refused",
            error="rate_limited",
            limit="tier-free-requests-60s",
            limit_kind="requests",
        )
    )
    assert found["headgate_refusals_total", "requests", "tier-free-requests-60s"] == 1
    assert found["headgate_calls_total", "chat", "", "", "refused", "rate_limited"] == 1
    assert not [name for name in found if name[0].startswith("headgate_tries")]


def test_retries_and_fallbacks_are_counted_by_target():
    tried = [("a/x", "upstream_busy"), ("a/x", "upstream_busy"), ("b/y", "upstream_timeout"), ("c/z", "")]
    found = counted(entry(tries=4, attempts=tuple(Attempt(target, 0, 1, error) for target, error in tried)))
    assert found["headgate_tries_total", "a/x", "upstream_busy"] == 2
    assert found["headgate_tries_total", "c/z", ""] == 1
    assert found["headgate_retries_total", "a/x"] == 1
    assert found["headgate_fallbacks_total", "a/x"] == 1
    assert found["headgate_fallbacks_total", "b/y"] == 1
    assert ("headgate_fallbacks_total", "c/z") not in found


def test_lookups_in_the_cache_are_counted_where_there_is_one():
    hit = entry(cache="hit", tries=0, tokens_in=5, cost=0, saved=3_000_000_000)
    found = counted(entry(), hit, entry(cache="miss"), hit)
    assert found["headgate_cache_saved_usd_total", "chat", "openai", "gpt"] == 6
    assert found["headgate_tokens_total", "chat", "openai", "gpt", "in"] == 0
    assert found["headgate_tries_total", "openai/gpt", ""] == 2
    assert found["headgate_cache_lookups_total", "chat", "hit"] == 2
    assert found["headgate_cache_lookups_total", "chat", "miss"] == 1
    assert ("headgate_cache_lookups_total", "chat", "off") not in found


def test_tokens_without_a_price_or_a_count_are_told_apart():
    found = counted(entry(tokens_in=3), entry(tokens_in=3, cost=0, estimated=True, reasoning=2))
    where = ("chat", "openai", "gpt")
    assert found["headgate_unpriced_calls_total", *where] == 1
    assert found["headgate_estimated_calls_total", *where] == 1
    assert found["headgate_token_details_total", *where, "reasoning"] == 2


def test_callers_who_name_ever_new_models_do_not_fill_the_memory():
    metrics = Metrics()
    metrics.record(entry(target=f"model-{number}") for number in range(SERIES + 50))
    found = samples(metrics.text({}))
    series = [name for name in found if name[0] == "headgate_calls_total"]
    assert len(series) == SERIES + 1
    assert found["headgate_calls_total", *["other"] * 5] == 50
    assert found["headgate_call_seconds_count", *["other"] * 3] == 50


def test_hostile_labels_cannot_forge_a_line():
    found = counted(entry(target='x"} 1\nheadgate_calls_total{surface="'))
    assert [name for name in found if name[0] == "headgate_calls_total"] == [
        ("headgate_calls_total", "chat", "openai", 'x"} 1\nheadgate_calls_total{surface="', "ok", "")
    ]


def test_any_worker_tells_the_sum_of_all(tmp_path):
    crew = [Metrics(Crew(tmp_path, place)) for place in range(3)]
    for number, metrics in enumerate(crew):
        metrics.record([entry()] * (number + 1))
        metrics.show({"headgate_keys": {(): 7.0}, "headgate_workers": {(): 1.0}})
    for metrics in crew:
        found = samples(metrics.text({"headgate_keys": {(): 7.0}, "headgate_workers": {(): 1.0}}))
        assert found["headgate_calls_total", "chat", "openai", "gpt", "ok", ""] == 6
        assert found["headgate_call_seconds_count", "chat", "openai", "gpt"] == 6
        assert found["headgate_keys",] == 7
        assert found["headgate_workers",] == 3


DYING = """
import os, signal, sys
from pathlib import Path
from headgate.core.entry import Entry
from headgate.telemetry.crew import Crew
from headgate.telemetry.metrics import Metrics
metrics = Metrics(Crew(Path(sys.argv[1]), 1))
metrics.show({"headgate_workers": {(): 1.0}})
metrics.record([Entry(id="1", at=0, request_id="", surface="chat")] * 5)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_dead_worker_counted_stays_and_how_it_stood_does_not(tmp_path):
    subprocess.run([sys.executable, "-c", DYING, tmp_path], env={**os.environ, "PYTHONPATH": "src"}, check=False)
    living = Metrics(Crew(tmp_path, 0))
    found = samples(living.text({"headgate_workers": {(): 1.0}}))
    assert found["headgate_calls_total", "chat", "", "", "ok", ""] == 5
    assert found["headgate_workers",] == 1
    heir = Metrics(Crew(tmp_path, 1))
    heir.record([entry(provider="", target="", tries=0)])
    assert samples(living.text({}))["headgate_calls_total", "chat", "", "", "ok", ""] == 6


def test_a_file_that_is_none_is_passed_over(tmp_path):
    (tmp_path / "1.counts").write_bytes(b"12\nnot what anybody wrote")
    (tmp_path / "2.counts").write_bytes(b"")
    crew = Crew(tmp_path, 0)
    assert list(crew.others(Counts)) == []
    assert Metrics(Crew(tmp_path, 1)).text({})


def test_every_metric_is_documented_and_nothing_else_is():
    rows = [line.split("|") for line in REFERENCE.read_text("utf-8").splitlines() if line.startswith("| `headgate_")]
    told = {
        cells[1].strip(" `"): [label.strip(" `") for label in cells[3].split(",") if label.strip()] for cells in rows
    }
    expected = {f"{name}_total": list(each.labels) for name, each in COUNTERS.items()}
    expected |= {name: list(each.labels) for name, each in [*TIMES.items(), *GAUGES.items()]}
    assert told == expected
    families = {family.name for family in text_string_to_metric_families(Metrics().text({}).decode())}
    assert families == {*COUNTERS, *TIMES, *GAUGES}

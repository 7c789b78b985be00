"""Traces for OpenTelemetry, made from finished ledger entries: a span a call, with one below it for each try.

The names are those of the semantic conventions for generative AI
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/), which are still in development: they stand here and
nowhere else. Prompts and answers are never in a span. Needs the extra `otel`, imported only where traces are wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from random import random
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from headgate import __version__
from headgate.core.entry import Attempt, Entry
from headgate.core.trace import HEADER, Trace, begun, continued, new_span

PATH = "/v1/traces"
MOST = 8192
"""Spans that wait at most; more of them, where the collector is slow, are dropped."""
BATCH = 512
EVERY_MS = 1000
PATIENCE = 5.0

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
TOKENS_IN = "gen_ai.usage.input_tokens"
TOKENS_OUT = "gen_ai.usage.output_tokens"
CACHED = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE = "gen_ai.usage.cache_creation.input_tokens"
REASONING = "gen_ai.usage.reasoning.output_tokens"
ERROR = "error.type"

OPERATIONS = {
    "complete": "text_completion",
    "stream": "text_completion",
    "openai.completions": "text_completion",
    "openai.embeddings": "embeddings",
    "anthropic.count_tokens": "count_tokens",
    "search": "retrieval",
    "openai.vector_stores.search": "retrieval",
}
"""What endpoints do in the conventions' words; all others `chat`."""
PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
}
"""Providers whose name in the conventions is another."""

_SCOPE = InstrumentationScope("headgate", __version__)
_FAILED = {"failed", "partial"}


class Tracer:
    """Sends spans to a collector at `endpoint`, from a thread of its own. `headers` are the collector's.

    `share` of the calls (0 to 1) are traced whose callers did not decide; `told` tells upstreams of the trace.
    """

    def __init__(
        self, endpoint: str, headers: dict[str, str] | None = None, *, share: float = 1.0, told: bool = False
    ) -> None:
        url = endpoint.rstrip("/")
        exporter = OTLPSpanExporter(
            url if url.endswith(PATH) else url + PATH, headers=headers or None, timeout=PATIENCE
        )
        self._spans = BatchSpanProcessor(exporter, MOST, EVERY_MS, BATCH)
        self._resource = Resource.create({"service.name": "headgate", "service.version": __version__})
        self._share = share
        self._told = told

    def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> Trace | None:
        """The call's place in its caller's trace; None where there is none and nobody must hear of ours."""
        name = HEADER.encode()
        found = [value for key, value in headers if key == name]
        trace = continued(found[0], told=self._told) if len(found) == 1 else None
        if trace is None and self._told:
            return begun(sampled=random() < self._share, told=True)  # noqa: S311 - spreads, guards nothing
        return trace

    def write(self, entries: Iterable[Entry]) -> None:
        """Trace these calls; does not wait for the collector."""
        for entry in entries:
            trace = entry.trace or begun(sampled=random() < self._share)  # noqa: S311 - spreads, guards nothing
            if trace.sampled:
                for span in spans_of(entry, trace, self._resource):
                    self._spans.on_end(span)

    def close(self) -> None:
        """Send what waits, within `PATIENCE` seconds, and stop. Blocks."""
        self._spans.shutdown()  # type: ignore[no-untyped-call]


def spans_of(entry: Entry, trace: Trace, resource: Resource | None = None) -> Iterator[ReadableSpan]:
    """The spans of a call: its own, and one for each try."""
    operation = OPERATIONS.get(entry.surface, "chat")
    own = _context(trace.id, trace.span)
    yield ReadableSpan(
        f"{operation} {entry.model[:100]}".strip(),
        own,
        _context(trace.id, trace.parent) if trace.parent else None,
        resource,
        _of_call(entry, operation),
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR, entry.error) if entry.status in _FAILED else Status(),
        start_time=int(entry.at * 1e9),
        end_time=int((entry.at + entry.total_ms / 1000) * 1e9),
        instrumentation_scope=_SCOPE,
    )
    for number, attempt in enumerate(entry.tried):
        yield ReadableSpan(
            f"{operation} {attempt.target.partition('/')[2]}",
            _context(trace.id, new_span()),
            own,
            resource,
            _of_attempt(attempt, operation, number),
            kind=SpanKind.CLIENT,
            status=Status(StatusCode.ERROR, attempt.error) if attempt.error else Status(),
            start_time=int(attempt.at * 1e9),
            end_time=int((attempt.at + attempt.ms / 1000) * 1e9),
            instrumentation_scope=_SCOPE,
        )


def _context(trace: str, span: str) -> SpanContext:
    return SpanContext(int(trace, 16), int(span, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _of_call(entry: Entry, operation: str) -> dict[str, Any]:
    said: dict[str, Any] = {
        OPERATION: operation,
        PROVIDER: PROVIDERS.get(entry.provider, entry.provider),
        REQUEST_MODEL: entry.model[:100],
        RESPONSE_MODEL: entry.target,
        FINISH_REASONS: (entry.finish,) if entry.finish else (),
        ERROR: entry.error,
        "headgate.request_id": entry.request_id,
        "headgate.surface": entry.surface,
        "headgate.tier": entry.tier,
        "headgate.key_id": entry.key_id,
        "headgate.provider": entry.provider,
        "headgate.status": entry.status,
        "headgate.limit": entry.limit,
        "headgate.cache": entry.cache if entry.cache != "off" else "",
    }
    said = {name: value for name, value in said.items() if value}
    if entry.stream:
        said[STREAM] = True
    if entry.first_ms is not None:
        said |= {TOKENS_IN: entry.tokens_in, TOKENS_OUT: entry.tokens_out, "headgate.estimated": entry.estimated}
        said |= _if({CACHED: entry.cached, CACHE_WRITE: entry.cache_write, REASONING: entry.reasoning})
        if entry.stream:
            said[FIRST_CHUNK] = entry.first_ms / 1000
    if entry.cost_usd is not None:
        said["headgate.cost_usd"] = entry.cost_usd
    return said


def _if(numbers: dict[str, int]) -> dict[str, int]:
    return {name: number for name, number in numbers.items() if number}


def _of_attempt(attempt: Attempt, operation: str, number: int) -> dict[str, Any]:
    provider, _, model = attempt.target.partition("/")
    said: dict[str, Any] = {
        OPERATION: operation,
        PROVIDER: PROVIDERS.get(provider, provider),
        REQUEST_MODEL: model,
        "headgate.provider": provider,
        "headgate.try": number + 1,
    }
    return said | ({ERROR: attempt.error} if attempt.error else {})

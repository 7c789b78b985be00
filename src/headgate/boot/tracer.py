"""What sends traces, where the operator names a collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headgate.config import Config, ConfigError, Problem, text_of

if TYPE_CHECKING:
    from headgate.telemetry.traces import Tracer


def tracer_of(config: Config) -> Tracer | None:
    """The tracer that `[telemetry]` asks for. Raises ConfigError where OpenTelemetry is not installed."""
    telemetry = config.telemetry
    if not telemetry.otlp_endpoint:
        return None
    where = str(config.path or "environment")
    try:
        from headgate.telemetry.traces import Tracer  # noqa: PLC0415 - an extra, which takes half a second to import
    except ImportError:
        what = 'needs OpenTelemetry: pip install "headgate[otel]"'
        raise ConfigError([Problem("telemetry.otlp_endpoint", where, what)]) from None
    headers = {}
    for number, part in enumerate(filter(None, text_of(telemetry.otlp_headers).split(",")), start=1):
        name, is_, value = (word.strip() for word in part.partition("="))
        if not name or not is_ or not part.isascii() or not part.isprintable():
            what = f"header {number} is not name=value"
            raise ConfigError([Problem("telemetry.otlp_headers", where, what)])
        headers[name] = value
    share, told = telemetry.trace_share, telemetry.trace_upstream
    return Tracer(telemetry.otlp_endpoint, headers, share=share, told=told)

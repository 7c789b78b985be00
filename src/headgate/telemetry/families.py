"""Which metrics there are: their names, meanings and labels, in one table each for counters, times and gauges."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the histograms' buckets, in seconds."""

CALL = ("surface", "provider", "model")


class Counted(Struct, frozen=True):
    """A number that only grows, until its service starts anew; `unit` is what it is counted in, for one of it."""

    meaning: str
    labels: tuple[str, ...]
    unit: float = 1.0


class Timed(Struct, frozen=True):
    """A histogram of seconds."""

    meaning: str
    labels: tuple[str, ...]


class Gauged(Struct, frozen=True):
    """How something stands now; of several workers the `sum`, or the `max` of what all see alike."""

    meaning: str
    labels: tuple[str, ...] = ()
    together: Literal["sum", "max"] = "sum"


COUNTERS: dict[str, Counted] = {
    "headgate_calls": Counted("Calls, by how they ended.", (*CALL, "status", "error")),
    "headgate_refusals": Counted("Calls that a limit refused.", ("kind", "limit")),
    "headgate_tokens": Counted("Tokens used; of remembered answers none.", (*CALL, "kind")),
    "headgate_token_details": Counted("What some of those tokens were.", (*CALL, "detail")),
    "headgate_cost_usd": Counted("Known cost in US dollars.", CALL, 1e9),
    "headgate_unpriced_calls": Counted("Calls that used tokens whose price is unknown.", CALL),
    "headgate_estimated_calls": Counted("Calls whose tokens no provider counted.", CALL),
    "headgate_tries": Counted("Attempts at targets.", ("target", "error")),
    "headgate_retries": Counted("Attempts at a target after a call's first there.", ("target",)),
    "headgate_fallbacks": Counted("Calls that gave a target up and went on to another.", ("target",)),
    "headgate_cache_lookups": Counted("Calls that looked into the cache.", ("surface", "cache")),
    "headgate_cache_saved_usd": Counted("Dollars that remembered answers would have cost again.", CALL, 1e9),
}

TIMES: dict[str, Timed] = {
    "headgate_first_event_seconds": Timed("Time from admission to the first event of the answer.", CALL),
    "headgate_call_seconds": Timed("Time from admission to the end of the answer.", CALL),
}

GAUGES: dict[str, Gauged] = {
    "headgate_info": Gauged("Always 1; its label is the version.", ("version",), "max"),
    "headgate_workers": Gauged("Processes that serve."),
    "headgate_started_seconds": Gauged("When the newest of them started, as seconds since the epoch.", (), "max"),
    "headgate_resident_memory_bytes": Gauged("Memory that they occupy."),
    "headgate_event_loop_lag_seconds": Gauged("The longest wait for the event loop in the last 15 seconds.", (), "max"),
    "headgate_connections": Gauged("Open connections of clients."),
    "headgate_in_flight_requests": Gauged("Requests that are being answered."),
    "headgate_open_streams": Gauged("Those of them whose answer has begun."),
    "headgate_outbox_bytes": Gauged("Ledger entries on their way to the database."),
    "headgate_lost_entries": Gauged("Ledger entries that neither the database nor the local disk took."),
    "headgate_keys": Gauged("API keys that are valid.", (), "max"),
    "headgate_degraded": Gauged("1 while a part that calls may need is out.", ("part",), "max"),
    "headgate_target_tripped": Gauged("1 while a target is passed over because it keeps failing.", ("target",), "max"),
    "headgate_target_in_flight": Gauged("Calls under way at a target.", ("target",)),
    "headgate_target_latency_seconds": Gauged("Smoothed time to a target's first event.", ("target",), "max"),
    "headgate_key_tripped": Gauged("1 while one of a provider's keys is passed over.", ("provider", "key"), "max"),
}

"""How a running service stands: what no ledger entry tells, looked at when somebody asks and once a second."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from contextlib import suppress
from pathlib import Path

from headgate import __version__
from headgate.runtime import Runtime
from headgate.telemetry.metrics import Gauges

EVERY = 1.0
MEMORY = 15
"""Seconds for which a late event loop is remembered, about as long as Prometheus stays away."""


class Pulse:
    """Looks at a Runtime once a second, and measures by how much the event loop is late for it."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lags = deque([0.0], MEMORY)

    async def beat(self) -> None:
        """For ever: measure, and tell the other workers."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + EVERY
            await asyncio.sleep(EVERY)
            self._lags.append(max(0.0, loop.time() - due))
            if self._runtime.metrics.shared:
                await asyncio.to_thread(self._runtime.metrics.show, self.gauges())

    def gauges(self) -> Gauges:
        """Every gauge, as it is now."""
        runtime = self._runtime
        busy = runtime.busy()
        checks = (*runtime.checks.items(), *runtime.degraded.items())
        targets = list(runtime.admission.routes.targets.values())
        pools = (each for each in runtime.admission.routes.upstreams.values() if len(each.keys) > 1)
        single = {
            "headgate_workers": 1,
            "headgate_started_seconds": runtime.started,
            "headgate_resident_memory_bytes": _resident(),
            "headgate_event_loop_lag_seconds": max(self._lags),
            "headgate_connections": busy.connections,
            "headgate_in_flight_requests": busy.requests,
            "headgate_open_streams": busy.streams,
            "headgate_outbox_bytes": runtime.ledger.backlog,
            "headgate_lost_entries": runtime.ledger.lost,
            "headgate_keys": len(runtime.ring),
        }
        return {
            "headgate_info": {(__version__,): 1},
            **{name: {(): float(value)} for name, value in single.items()},
            "headgate_degraded": {(name,): float(bool(check())) for name, check in checks},
            "headgate_target_tripped": {(target.name,): float(target.breaker.tripped) for target in targets},
            "headgate_target_in_flight": {(target.name,): float(target.busy) for target in targets},
            "headgate_target_latency_seconds": {(target.name,): target.latency for target in targets},
            "headgate_key_tripped": {
                (pool.name, key.name): float(key.breaker.tripped) for pool in pools for key in pool.keys
            },
        }


def _resident() -> int:
    """Bytes of memory that this process occupies (proc(5), statm); 0 where the system does not tell."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0

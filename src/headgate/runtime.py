"""`Runtime`: what a running Headgate is made of. Fields only; `boot.py` fills them in."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from headgate.access.identify import Identify
from headgate.access.keys import KeyRing
from headgate.config import Config
from headgate.core.call import Reuse
from headgate.core.seams import Database
from headgate.engine.admission import Admission
from headgate.engine.gate import Gate
from headgate.engine.ledger import Ledger
from headgate.rag.ask import Asker
from headgate.rag.knowledge import Knowledge
from headgate.rag.recipe import Recipe
from headgate.stores.idempotency import IdempotencyTable
from headgate.stores.keys import KeyStore
from headgate.stores.ledger import LedgerTable
from headgate.stores.prompts import PromptTable
from headgate.stores.responses import ResponseTable
from headgate.telemetry.metrics import Gauges, Metrics

if TYPE_CHECKING:
    from headgate.telemetry.traces import Tracer

RawHeaders = list[tuple[bytes, bytes]]


class Busy(NamedTuple):
    """What a server has to do now: open connections, requests being answered, those whose answer has begun."""

    connections: int = 0
    requests: int = 0
    streams: int = 0


@dataclass(slots=True)
class Runtime:
    """Everything that handlers need, made once at start.

    `identify` turns a request's headers into a Principal; `address` says where the request came from.
    `recipes` are by name; the one of `/ask` has none.
    `checks` are readiness checks by name: each returns what is wrong, or an empty string. So do those of `degraded`,
    of what calls can be served without. `in_flight` calls are being answered. `reuse` is what holds for calls that do
    not say whether they may be cached. `first` is the configuration of the start.
    `gauges` says how everything stands, `busy` what the server has to do.
    """

    config: Config
    first: Config
    database: Database
    identify: Identify
    address: Callable[[Any, RawHeaders], str]
    admission: Admission
    gate: Gate
    ledger: Ledger
    entries: LedgerTable
    keys: KeyStore
    ring: KeyRing
    prompts: PromptTable
    responses: ResponseTable
    idempotency: IdempotencyTable
    knowledge: Knowledge
    metrics: Metrics
    asker: Asker
    recipes: dict[str, Recipe]
    reload: Callable[[], Awaitable[list[str]]]
    reuse: Reuse | None = None
    started: float = field(default_factory=time.time)
    checks: dict[str, Callable[[], str]] = field(default_factory=dict)
    degraded: dict[str, Callable[[], str]] = field(default_factory=dict)
    gauges: Callable[[], Gauges] = dict
    busy: Callable[[], Busy] = Busy
    tracer: Tracer | None = None
    draining: bool = False
    in_flight: int = 0

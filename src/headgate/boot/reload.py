"""Taking over a changed configuration while running: all of it at once, or, if it is faulty, nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from pathlib import Path

from headgate.access.identify import Identify
from headgate.boot import opening
from headgate.boot.caching import reuse_of
from headgate.boot.models import Source, routes_of, sources_of
from headgate.boot.recipes import recipes_of
from headgate.config import ConfigError, load
from headgate.runtime import Runtime

EVERY = 0.5
FIXED = ("server", "store", "shared", "knowledge", "telemetry")
"""Sections that take effect at the next start only."""

log = logging.getLogger("headgate")


async def watch(runtime: Runtime, sources: dict[str, Source]) -> None:
    """Look at the configuration's files twice a second, and take over what was saved."""
    seen = _stamps(runtime.config.files)
    while True:
        await asyncio.sleep(EVERY)
        now = _stamps(runtime.config.files)
        if now != seen:
            seen = now
            try:
                await take_over(runtime, sources)
            except ConfigError as error:
                told = "; ".join(str(error).splitlines())
                log.error("the changed configuration is faulty, the running one stays: %s", told)  # noqa: TRY400
            except OSError as error:
                log.error("the changed configuration cannot be read, the running one stays: %s", error)  # noqa: TRY400
            except Exception:  # whatever it is, the next save may be better
                log.exception("the changed configuration cannot be taken over, the running one stays")


async def take_over(runtime: Runtime, sources: dict[str, Source]) -> list[str]:
    """Load the configuration again and put it in force; names the sections that wait for a restart.

    Raises ConfigError, and leaves everything as it was.
    """
    new = load(runtime.config.path, overrides=runtime.config.overrides)
    fresh = sources_of(new)
    kept = {name: sources[name] if source.same(sources.get(name)) else source for name, source in fresh.items()}
    routes = routes_of(new, kept, runtime.prompts, runtime.admission.routes)
    rules = opening.rules_of(new)
    keys = opening.static_keys(new)
    prices = opening.prices_of(new, kept)
    recipes = recipes_of(new)
    address = opening.address_of(new)
    identify = opening.identify_of(new, runtime.ring)  # the last, for it opens something
    # Nothing from here on can fail.
    runtime.ring.configure(keys)
    before, runtime.identify, runtime.address = runtime.identify, identify, address
    runtime.admission.configure(routes, new.tiers, rules, prices)
    runtime.recipes = recipes
    runtime.reuse = reuse_of(new)
    runtime.gate.cache.ttl, runtime.gate.cache.max_entry = new.cache.ttl, new.cache.max_entry
    runtime.config = new
    gone = {name: source for name, source in sources.items() if kept.get(name) is not source}
    sources.clear()
    sources.update(kept)
    asyncio.get_running_loop().call_later(600, _retire, gone, before)
    waiting = [name for name in FIXED if getattr(runtime.first, name) != getattr(new, name)]
    later = f"; at the next start: {', '.join(waiting)}" if waiting else ""
    log.info("the configuration was taken over%s", later)
    return waiting


def _retire(gone: dict[str, Source], identify: Identify) -> None:
    """Close the connections of providers and issuers that are no longer there; their last answers have ended by now."""
    for work in (opening.close_wires(gone), identify.aclose()):
        asyncio.ensure_future(work).add_done_callback(lambda done: done.exception())


def _stamps(files: Iterable[Path]) -> list[tuple[str, int, int, int]]:
    stamps = []
    for path in files:
        try:
            stat = path.stat()
            stamps.append((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        except OSError:
            stamps.append((str(path), 0, 0, 0))
    return stamps

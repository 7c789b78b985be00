"""`create_app`: Headgate as a library. The app is an ordinary FastAPI app, and opens its Runtime when it starts."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from headgate.boot.opening import open_runtime
from headgate.config import Config, load
from headgate.runtime import Runtime
from headgate.surfaces.app import Headgate, build
from headgate.telemetry.crew import Crew


def create_app(config: Config | Path | str | None = None, crew: Crew | None = None) -> Headgate:
    """An app that answers everything Headgate does; add routes, middleware and dependencies as to any FastAPI app.

    `config` is a configuration, or the path of its file; without one it is found as `headgate serve` finds it. `crew`
    are the processes, if there are several, that count metrics together.
    Raises ConfigError.
    """
    settings = config if isinstance(config, Config) else load(Path(config) if config else None)

    def opening() -> AbstractAsyncContextManager[Runtime]:
        return open_runtime(settings, crew)

    return build(settings, opening)

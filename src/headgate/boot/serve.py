"""`headgate serve`: one process on one socket, or several that share the port."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import click

from headgate.boot.app import create_app
from headgate.boot.indexes import check_indexes, usual_kind
from headgate.boot.models import Source, default_of
from headgate.boot.opening import check
from headgate.boot.workers import Workers
from headgate.config import Config, ConfigError, Jwt, Problem, load
from headgate.engine import gate
from headgate.runtime import Busy
from headgate.stores.opening import make_ready, open_database
from headgate.surfaces import server
from headgate.surfaces.app import Headgate
from headgate.telemetry.crew import Crew
from headgate.telemetry.logs import configure

UNSENT = 64 * 1024
"""Bytes that the kernel takes for one caller beyond what is under way to it; left alone it takes megabytes."""


def serve(
    config_path: Path | None, host: str | None, port: int | None, workers: int | None, reload: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError, OSError where the address cannot be listened on."""
    overrides = {"server.host": host, "server.port": port, "server.workers": workers}
    config = load(config_path, overrides=overrides)
    check_exposure(config)
    configure(config.telemetry.log_level, config.telemetry.log_format)
    if reload:
        _run_again_on_change(config)
        return
    allow_files()
    check_store(config)
    sources = check(config)
    several = config.server.workers > 1
    listener = listen(config.server.host, config.server.port, several=several)
    port = listener.getsockname()[1]
    click.echo(banner(config, sources, port), err=True)
    if not several:
        work(config, listener)
        return
    with TemporaryDirectory(prefix="headgate-") as folder:

        def one_of_several(place: int) -> None:
            work(config, listen(config.server.host, port, several=True), Crew(Path(folder), place))

        if not Workers(one_of_several, config.server.workers).run():
            raise RuntimeError("the workers cannot start")


def work(config: Config, listener: socket.socket, crew: Crew | None = None) -> None:
    """Serve from one process, on its own socket."""
    app = create_app(config, crew)
    server.serve(
        app,
        listener,
        drain=config.server.drain,
        head=config.server.head_timeout,
        body=config.server.body_timeout,
        on_start=lambda busy: _start(app, busy),
        on_stop=lambda: _stop(app),
    )


def _start(app: Headgate, busy: Callable[[], Busy]) -> None:
    app.runtime.busy = busy


def _stop(app: Headgate) -> None:
    if app.started:
        app.runtime.draining = True


def check_store(config: Config) -> None:
    """Refuse to serve without a database, or with one whose tables do not fit. Raises Unavailable, SchemaOutOfDate."""
    database = open_database(config.store.url, config.base_dir)
    try:
        make_ready(database)
        check_indexes(config, database)
    finally:
        database.close()


def allow_files() -> None:
    """Allow as many open files as may be: a stream takes two sockets, and usual limits end at 500 streams."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def listen(host: str, port: int, *, several: bool = False) -> socket.socket:
    """A bound socket, one of `several` on the same port. Raises OSError with words that say what to do."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if several:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen on {host} port {port}: {error.strerror}; try --port") from None
    listener.set_inheritable(True)
    if hasattr(
        socket, "TCP_NOTSENT_LOWAT"
    ):  # connections inherit it: a slow reader's stream waits in the model's server
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT)
    return listener


def check_exposure(config: Config) -> None:
    """Refuse to listen beyond loopback while nobody has said who may call. Raises ConfigError."""
    if config.server.loopback or config.access.configured:
        return
    what = (
        f"{config.server.host} can be reached from other machines, and [access] does not say who may call: set "
        "[access] api_keys, [[access.jwt]] or HEADGATE_ADMIN_KEY, or anonymous = true to serve everybody"
    )
    raise ConfigError([Problem("access", str(config.path or "no configuration file"), what)])


def banner(config: Config, sources: dict[str, Source], port: int) -> str:
    """What the start says: the address, the models and why, who may call, where data lies."""
    host = f"[{config.server.host}]" if ":" in config.server.host else config.server.host
    lines = [f"Headgate on http://{host}:{port}  (docs: /docs)"]
    default = default_of(config, sources)
    lines.append(f"  default model  {default or 'none: requests must name one'}")
    for name, model in config.models.items():
        lines.append(f"  model          {name} -> {', '.join(model.targets)}")
    lines += [f"  provider       {source.name} ({source.why})" for source in sources.values()]
    if default.startswith("echo/"):
        lines.append("  note           no provider is configured: the built-in echo repeats what it is told;")
        lines.append("                 set GEMINI_API_KEY, OPENAI_API_KEY or another provider's variable")
    if config.server.workers > 1:
        lines.append(f"  workers        {config.server.workers} processes")
    lines.append(f"  limits         {_counted(config)}")
    lines.append(f"  callers        {', '.join(_callers(config))}")
    lines.append(f"  data           {_place(config.store.url)}")
    if config.knowledge.embedder:
        lines.append(f"  documents      vectors of {config.knowledge.embedder} in {usual_kind(config)}")
    lines.append(f"  configuration  {config.path or 'none (defaults and environment)'}")
    if not gate.__file__.endswith(".py"):
        lines.append("  hot path       compiled")
    if os.environ.get("API_KEYS") and not config.access.api_keys:
        lines.append('  warning        API_KEYS is set and not used: [access] has to say api_keys = "env:API_KEYS"')
    if mixed(config.access.jwt):
        lines.append("  warning        two issuers of tokens may call different users by one name: see user_prefix")
    if not server.fast():
        lines.append("  warning        uvloop or httptools is missing: every request costs about 3.5 times the CPU")
    return "\n".join(lines)


def mixed(issuers: Sequence[Jwt]) -> bool:
    """Whether two issuers have the same names for users, who then share their limits and their documents."""
    names: dict[str, str] = {}
    return any(names.setdefault(each.user_prefix, each.issuer) != each.issuer for each in issuers)


def _place(url: str) -> str:
    """A database's address without anything that may be a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _counted(config: Config) -> str:
    if config.shared.url:
        shared = urlsplit(config.shared.url)
        return f"counted for all processes by {shared.scheme}://{shared.hostname or shared.path}"
    alone = config.server.workers == 1
    return (
        "counted in memory" if alone else "counted by each process for itself: together they allow as many times more"
    )


def _callers(config: Config) -> list[str]:
    callers = ["API keys"]
    if config.access.jwt:
        callers.append(f"tokens of {len(config.access.jwt)} issuer(s)")
    if config.anonymous:
        callers.append("anonymous (tier anonymous)")
    if config.access.admin_key:
        callers.append("the admin key")
    return callers


def _run_again_on_change(config: Config) -> None:
    """Run the service in a child process, and start it again when a Python file of the package or the app changes."""
    command = [sys.executable, "-m", "headgate", *[part for part in sys.argv[1:] if part != "--reload"]]
    watched = [Path(__file__).parent.parent, config.base_dir]
    while True:
        seen = _newest(watched)
        child = subprocess.Popen(command)  # noqa: S603 - ourselves, with our own flags
        try:
            while child.poll() is None and _newest(watched) == seen:
                time.sleep(0.5)
        except KeyboardInterrupt:
            child.wait()
            return
        child.terminate()
        child.wait()


def _newest(folders: list[Path]) -> float:
    return max((path.stat().st_mtime for folder in folders for path in folder.rglob("*.py")), default=0.0)

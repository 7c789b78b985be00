"""A model in this process, with Hugging Face's transformers (the extra `headgate[transformers]`).

https://huggingface.co/docs/transformers/main_classes/text_generation. For a machine of one's own and few callers: one
answer is generated at a time, and the others wait their turn. Text in, text out: no tools, images or forms of answer.
"""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from time import monotonic

from pydantic import Field

from headgate.core.call import Call
from headgate.core.events import Event
from headgate.core.faults import Fault, UpstreamBusy, UpstreamDown, UpstreamMissing, UpstreamTimeout
from headgate.core.seams import Events, Provider, Wire
from headgate.providers import _http
from headgate.providers._generation import Loaded, check, encoded, generate, load, log
from headgate.providers._handover import Handover

_ROOM = 512
"""How many pieces of an answer may wait for a slow caller before the model waits too."""

Item = Event | Exception | None
"""What a worker thread hands over: what the model says, what went wrong, and None for the end."""


class Options(_http.Options):
    """`model` is a directory, or the name of a model in Hugging Face's cache; nothing is fetched without `download`.

    A target names it by its last part: `transformers/Llama-3.2-1B-Instruct`. `device` is `auto`, `cpu`, `cuda`, `mps`
    …; `dtype` is `auto` or a name of torch's, such as `bfloat16`. `max_tokens` bounds the answer to a caller who set no
    bound; a caller waits `patience` seconds for its turn. `chat_template` replaces the model's own.
    """

    model: str = Field(min_length=1)
    device: str = "auto"
    dtype: str = Field("auto", pattern=r"^(auto|float32|float16|bfloat16)$")
    download: bool = False
    max_tokens: int = Field(1024, ge=1)
    patience: float = Field(30.0, ge=0, allow_inf_nan=False)
    chat_template: str = ""


class Transformers:
    """Loads its model when it is first asked."""

    def __init__(self, options: Options) -> None:
        self.name = Path(options.model).name
        self._options = options
        self._turn = asyncio.Lock()
        self._loading: asyncio.Future[Loaded] | None = None
        self._work: asyncio.Task[None] | None = None

    async def events(self, call: Call) -> Events:
        """Generate, and say what comes. Closing it stops the model at its next token."""
        self._know(call.model)
        prompt = call.prompt
        check(prompt)
        began = monotonic()
        ends = min(call.deadline, began + call.clocks.total)
        loaded = await self._loaded(min(ends, began + call.clocks.first_event))
        await self._take_turn(ends)
        said: Handover[Item] = Handover(_ROOM, ends)
        most = prompt.max_tokens or self._options.max_tokens
        work = self._work = asyncio.create_task(self._generate(partial(generate, loaded, prompt, most), said))
        try:
            item = await _next(said, ends, "first_event", call.clocks.first_event)
            while item is not None and not isinstance(item, Exception):
                yield item
                item = await _next(said, ends, "idle", call.clocks.idle)
            await asyncio.shield(work)  # at its end already: who has the answer finds the model free
        finally:
            said.close()
        if item is not None:
            raise item

    async def count(self, call: Call) -> int:
        """The tokens of the call's prompt, as the model's own template writes it."""
        self._know(call.model)
        check(call.prompt)
        loaded = await self._loaded(min(call.deadline, monotonic() + call.clocks.first_event))
        return len(await asyncio.to_thread(encoded, loaded, call.prompt))

    def _know(self, model: str) -> None:
        """Raise UpstreamMissing for any model but the configured one: no caller names a path."""
        if model not in {self.name, self._options.model}:
            raise UpstreamMissing(f"there is no model {model[:100]!r} in this process")

    async def _generate(self, work: partial[None], said: Handover[Item]) -> None:
        """Work in a thread; the turn ends when the thread has ended, also where the caller has left before."""
        try:
            await asyncio.get_running_loop().run_in_executor(None, _run, work, said)
        finally:
            self._turn.release()

    async def _loaded(self, ends: float) -> Loaded:
        """The model; who leaves does not stop its loading. Raises UpstreamMissing, UpstreamTimeout."""
        if self._loading is None or (self._loading.done() and self._loading.exception() is not None):
            options = self._options
            work = partial(
                load,
                self.name,
                options.model,
                device=options.device,
                dtype=options.dtype,
                download=options.download,
                chat_template=options.chat_template,
            )
            self._loading = asyncio.get_running_loop().run_in_executor(None, work)
            self._loading.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            async with asyncio.timeout(max(0.0, ends - monotonic())):
                return await asyncio.shield(self._loading)
        except TimeoutError:
            raise UpstreamTimeout("the model is still being loaded", details={"clock": "first_event"}) from None

    async def _take_turn(self, ends: float) -> None:
        patience = min(self._options.patience, max(0.0, ends - monotonic()))
        try:
            async with asyncio.timeout(patience):
                await self._turn.acquire()
        except TimeoutError:
            raise UpstreamBusy("the model is busy with other answers", retry_after=1.0) from None


async def _next(said: Handover[Item], ends: float, clock: str, patience: float) -> Item:
    try:
        async with asyncio.timeout(max(0.0, min(patience, ends - monotonic()))):
            return await said.get()
    except TimeoutError:
        raise UpstreamTimeout("the model is too slow", details={"clock": clock}) from None


def _run(work: partial[None], said: Handover[Item]) -> None:
    """In the worker thread: whatever happens is handed over, and the end too."""
    try:
        work(said.put)
    except Fault as fault:
        said.put(fault)
    except Exception:  # noqa: BLE001 - the caller must hear of it, the log has it all
        log.exception("generation failed")
        said.put(UpstreamDown("the model failed"))
    else:
        said.put(None)


def connect(options: Options, wire: Wire) -> Provider:  # noqa: ARG001 - every provider's `connect` has this form
    """The provider that these settings describe."""
    return Transformers(options)

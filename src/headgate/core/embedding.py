"""`EmbedCall`: texts that someone wants as vectors; `Embedded`: the vectors."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct, structs

from headgate.core.call import Clocks
from headgate.core.events import Usage
from headgate.core.faults import Unsupported
from headgate.core.trace import Trace

Purpose = Literal["", "query", "document"]


class EmbedCall(Struct, frozen=True, kw_only=True):
    """One request for vectors, in no vendor's words. An input is a text, or the ids of its tokens.

    `dimensions` shortens the vectors; `purpose` says whether the texts are searched for or searched in, a hint that
    some models use. `extra` keeps the fields of the caller's dialect that are not modelled. `deadline` is a
    `time.monotonic()` second; `trace` is there where calls are traced.
    """

    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    purpose: Purpose = ""
    user: str = ""
    extra: dict[str, Any] = {}
    clocks: Clocks = Clocks()
    deadline: float = float("inf")
    trace: Trace | None = None

    def texts(self, vendor: str) -> list[str]:
        """The inputs, for a vendor that takes nothing but text. Raises Unsupported for token ids."""
        texts = [text for text in self.inputs if isinstance(text, str)]
        if len(texts) < len(self.inputs):
            raise Unsupported(f"{vendor} embeds text, not token ids", field="input")
        return texts

    @property
    def size(self) -> int:
        """How much there is to embed, in tokens as far as one can tell: four bytes of text are taken for one."""
        return sum(len(item.encode()) // 4 + 1 if isinstance(item, str) else len(item) for item in self.inputs)

    def batches(self, size: int) -> list[EmbedCall]:
        """Calls of at most `size` inputs each, in order."""
        starts = range(0, len(self.inputs), size)
        return [structs.replace(self, inputs=self.inputs[at : at + size]) for at in starts]


class Embedded(Struct, frozen=True, tag=True):
    """One vector for each input, in their order; `model` is the upstream's name of it, `usage` where it tells.

    `extra` are the fields of an answer in OpenAI's dialect that are not modelled.
    """

    vectors: list[list[float]]
    usage: Usage | None = None
    model: str = ""
    extra: dict[str, Any] = {}


def joined(parts: list[Embedded]) -> Embedded:
    """The answers to the batches of one call as one; tokens are known where every part tells them."""
    if len(parts) == 1:
        return parts[0]
    told = [part.usage for part in parts if part.usage is not None]
    usage = Usage(sum(part.tokens_in for part in told), 0) if told and len(told) == len(parts) else None
    return Embedded([vector for part in parts for vector in part.vectors], usage, parts[0].model if parts else "")

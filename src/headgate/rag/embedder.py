"""Where vectors come from: `Embeds`, and a model of a provider, asked like every other call."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.embedding import EmbedCall, Purpose
from headgate.core.faults import UpstreamBroken
from headgate.core.knowledge import Origin
from headgate.core.principal import Principal
from headgate.engine.gate import Gate

Values = tuple[float, ...]


class Embeds(Protocol):
    """Makes vectors of length 1. Vectors of different `model`s have nothing to do with each other."""

    @property
    def model(self) -> str:
        """The model's name."""
        ...

    async def embed(self, who: Principal, texts: Sequence[str], purpose: Purpose, origin: Origin) -> list[Values]:
        """One vector for each text; `who` pays. Raises Faults."""
        ...


class GateEmbedder:
    """A public model or `provider/model`: admitted, limited and written down on behalf of whoever wants the vectors."""

    def __init__(self, gate: Gate, model: str, *, batch: int = 64) -> None:
        self._gate = gate
        self.model = model
        self._batch = batch

    async def embed(self, who: Principal, texts: Sequence[str], purpose: Purpose, origin: Origin) -> list[Values]:
        """One vector for each text, asked for in batches. Raises Faults."""
        vectors: list[Values] = []
        for at in range(0, len(texts), self._batch):
            some = tuple(texts[at : at + self._batch])
            prompt = Prompt(messages=tuple(Message("user", (TextPart(text),)) for text in some))
            call = Call(
                model=self.model,
                understand=_meaning(prompt),
                max_tokens=0,
                id=origin.request_id,
                surface=origin.surface,
                address=origin.address,
            )
            wanted = EmbedCall(model=self.model, inputs=some, purpose=purpose)
            _, made, entry = await self._gate.embed(who, call, wanted, part=True)
            origin.billed(entry)
            if len(made.vectors) != len(some):
                raise UpstreamBroken(f"{self.model} made {len(made.vectors)} vectors of {len(some)} texts")
            vectors.extend(unit(vector) for vector in made.vectors)
        return vectors


def _meaning(prompt: Prompt) -> Callable[[dict[str, Any]], Prompt]:
    return lambda _: prompt


def unit(vector: Sequence[float]) -> Values:
    """The vector with length 1. Raises UpstreamBroken for one without a direction."""
    length = math.sqrt(math.fsum(value * value for value in vector))
    if not length or not math.isfinite(length):
        raise UpstreamBroken("the embedding model made a vector without a direction")
    return tuple(value / length for value in vector)

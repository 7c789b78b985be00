"""Vectors and counts, by the gate's one journey."""

import pytest

from engine._gate import ANN, call, gate_over
from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.events import Usage
from headgate.core.faults import RateLimited, Unsupported, UpstreamBusy, UpstreamMissing
from headgate.testing import ScriptedProvider

pytestmark = pytest.mark.anyio

WANTED = EmbedCall(model="", inputs=("one text", "another"))
VECTORS = [[1.0], [2.0]]


class Measurer(ScriptedProvider):
    """Embeds and counts as the script says."""

    def __init__(self, *script):
        super().__init__()
        self.asked = []
        self._script = list(script)

    async def embed(self, call):
        return self._next(call)

    async def count(self, call):
        return self._next(call)

    def _next(self, call):
        self.asked.append(call)
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


def envelope():
    return call(max_tokens=0)


async def test_vectors_are_paid_for(tmp_path):
    provider = Measurer(Embedded(VECTORS, Usage(1000, 0), "m-1"))
    async with gate_over(provider, tmp_path, price={"input": 2, "output": 3}) as gate:
        opened, embedded, entry = await gate.embed(ANN, envelope(), WANTED)
    assert embedded.vectors == VECTORS
    assert (opened.model, opened.provider) == ("m", "p")
    assert (entry.status, entry.tokens_in, entry.tokens_out, entry.cost) == ("ok", 1000, 0, 2_000_000)
    assert provider.asked[0].model == "m"
    assert provider.asked[0].inputs == WANTED.inputs


async def test_tokens_that_nobody_counted_are_estimated_and_said_to_be(tmp_path):
    async with gate_over(Measurer(Embedded(VECTORS)), tmp_path) as gate:
        _, _, entry = await gate.embed(ANN, envelope(), WANTED)
    assert entry.estimated
    assert (entry.tokens_in, entry.tokens_out) == (WANTED.size, 0)


async def test_vectors_are_asked_for_again_where_that_may_help(tmp_path):
    async with gate_over(Measurer(UpstreamBusy("busy"), Embedded(VECTORS)), tmp_path) as gate:
        _, embedded, entry = await gate.embed(ANN, envelope(), WANTED)
    assert (embedded.vectors, entry.tries) == (VECTORS, 2)


async def test_a_model_that_cannot_embed_is_named(tmp_path):
    async with gate_over(ScriptedProvider([]), tmp_path, tokens="1000/day") as gate:
        with pytest.raises(Unsupported, match="model m") as raised:
            await gate.embed(ANN, envelope(), WANTED)
        assert raised.value.recorded
        assert not gate.ledger.lost


async def test_what_a_failed_embedding_reserved_is_given_back(tmp_path):
    provider = Measurer(*[UpstreamMissing("no")] * 9, Embedded(VECTORS, Usage(9, 0)))
    async with gate_over(provider, tmp_path, tokens="700/day") as gate:
        for _ in range(9):
            with pytest.raises(UpstreamMissing):
                await gate.embed(ANN, envelope(), WANTED)
        await gate.embed(ANN, envelope(), WANTED)
        [level] = await gate.admission.limiter.levels(gate.admission.rules.wants(ANN, "m", "", 0, 0))
    assert level.left == 691


async def test_a_count_costs_a_request_and_nothing_else(tmp_path):
    async with gate_over(
        Measurer(7, 8), tmp_path, price={"input": 2, "output": 3}, requests="2/day", tokens="1/day"
    ) as gate:
        _, tokens, entry = await gate.count(ANN, call("a text of many more tokens than one"))
        assert (tokens, entry.estimated) == (7, False)
        assert (entry.status, entry.tokens_in, entry.tokens_out, entry.cost) == ("ok", 0, 0, 0)
        await gate.count(ANN, call())
        with pytest.raises(RateLimited):
            await gate.count(ANN, call())


async def test_where_nobody_can_count_it_is_estimated_and_nobody_is_asked(tmp_path):
    async with gate_over(ScriptedProvider([]), tmp_path) as gate:
        opened, short, entry = await gate.count(ANN, call("hi"))
        _, long, _ = await gate.count(ANN, call("hi " * 100))
    assert 0 < short < long
    assert (entry.estimated, entry.provider, entry.tries) == (True, "", 0)
    assert (opened.model, opened.provider) == ("m", "headgate")

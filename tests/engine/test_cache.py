"""Answers that are remembered, and answers that several callers wait for together."""

import asyncio
from contextlib import aclosing, suppress
from types import SimpleNamespace

import pytest

from engine._gate import ANN, call, gate_over
from headgate.core.call import Reuse, System
from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.events import Begin, Done, Extra, Receipt, Text, ToolArgs, ToolCall, Usage, Verbatim
from headgate.core.faults import Overloaded, RateLimited, UpstreamBroken
from headgate.core.principal import Principal
from headgate.engine.cache import Cache, key_of
from headgate.engine.routing import Route
from headgate.engine.targets import Target, Upstream
from headgate.stores.cache import MemoryCache
from headgate.testing import FrozenClock, ScriptedProvider

pytestmark = pytest.mark.anyio

BEN = Principal(kind="user", id="ben", tier="free")
GOOD = [Begin("1", "m-1"), Text("Hello"), Text(" there"), Done("stop", raw="stop"), Usage(10, 20)]
SLOW = [Begin("1", "m-1"), Text("Hello"), 0.3, Text(" there"), Done("stop", raw="stop"), Usage(10, 20)]
PRICE = {"input": 1.0, "output": 2.0}
COST = 10 * 1000 + 20 * 2000


def asked(text="Hi", reuse=None, **fields):
    return call(text, reuse=reuse or Reuse(), **fields)


async def taken(gate, who=ANN, **fields):
    """The events of a stream, and its ledger row."""
    async with aclosing(gate.answer(who, asked(stream=True, **fields))) as events:
        said = [event async for event in events]
    return said[1:-1], said[-1].entry


async def replied(gate, who=ANN, **fields):
    opened, reply = await gate.reply(who, asked(**fields))
    assert opened.cache in {"hit", "miss"}
    return reply


@pytest.fixture
def provider():
    return ScriptedProvider(GOOD)


@pytest.fixture
async def gate(provider, tmp_path):
    async with gate_over(provider, tmp_path, price=PRICE) as gate:
        yield gate


async def test_a_question_is_asked_once_and_costs_once(gate, provider):
    first, again = await replied(gate), await replied(gate)
    assert [r.text for r in (first, again)] == ["Hello there"] * 2
    assert [(r.entry.cache, r.entry.cost, r.entry.saved, r.entry.tries) for r in (first, again)] == [
        ("miss", COST, 0, 1),
        ("hit", 0, COST, 0),
    ]
    assert (again.entry.provider, again.entry.target, again.entry.tokens_out) == ("p", "m", 20)
    assert len(provider.calls) == 1


async def test_a_stream_is_replayed_as_it_was(gate, provider):
    first, again = await taken(gate), await taken(gate)
    assert first[0] == again[0] == GOOD
    assert again[1].cache == "hit"
    assert len(provider.calls) == 1


async def test_everything_that_a_model_can_say_survives(tmp_path):
    said = [
        Begin("1", "m"),
        Verbatim(b"data: \xc3\xa9\n\n", 2),
        Text("x", 1, [{"token": "x", "logprob": -0.5}]),
        ToolCall(0, "c", "f", 1, "s"),
        ToolArgs(0, '{"a": 1}', 1),
        Extra("openai", "audio", {"data": [1, None]}),
        Done("tool", 1, "tool_calls"),
        Usage(1, 2, 3, 4, 5, {"prompt_tokens": 1}),
    ]
    async with gate_over(ScriptedProvider(said), tmp_path) as gate:
        assert (await taken(gate))[0] == said
        assert (await taken(gate))[0] == said


async def test_a_hit_counts_as_a_request_and_uses_neither_tokens_nor_money(provider, tmp_path):
    rules = {"requests": ["2/minute"], "tokens": ["1000000/minute"], "spend_usd": ["100/day"]}
    async with gate_over(provider, tmp_path, price=PRICE, **rules) as gate:
        await replied(gate)
        used = [level.want.limit - level.left for level in (await gate.reply(ANN, asked()))[0].levels]
        assert used == [2, 30, COST]
        with pytest.raises(RateLimited):
            await replied(gate)


@pytest.mark.parametrize(
    "script",
    [
        [Begin(), Text("Hel"), UpstreamBroken("cut")],
        [Begin(), Text("Hello"), Done("length", raw="length")],
        [Begin(), Text("Hello"), Done("filter", raw="content_filter")],
        [Begin(), Text("Hello"), Done("stop"), Text("Hey", 1), Done("length", 1)],
        [Begin(), Text("Hello")],
    ],
    ids=["broken", "too long", "filtered", "one choice too long", "without an end"],
)
async def test_what_did_not_end_well_is_not_remembered(script, tmp_path):
    provider = ScriptedProvider(script)
    async with gate_over(provider, tmp_path) as gate:
        for _ in range(2):
            with suppress(UpstreamBroken):
                await taken(gate)
    assert len(provider.calls) == 2


async def test_an_answer_of_another_tenant_is_not_given(gate, provider):
    await replied(gate)
    assert (await replied(gate, who=BEN)).entry.cache == "miss"
    assert len(provider.calls) == 2


async def test_a_shared_model_answers_everybody_alike(gate, provider):
    gate.admission.routes.named["m"] = Route("m", gate.admission.routes.named["m"].targets, shared=True)
    await replied(gate)
    assert (await replied(gate, who=BEN)).entry.cache == "hit"


async def test_an_answer_grows_too_old(provider, tmp_path):
    clock = FrozenClock()
    cache = Cache(MemoryCache(1 << 20), ttl=100.0, clock=clock)
    async with gate_over(provider, tmp_path, cache=cache) as gate:
        await replied(gate)
        await asyncio.sleep(0)  # it is kept after its end
        clock.advance(50)
        assert (await replied(gate)).entry.cache == "hit"
        assert (await replied(gate, reuse=Reuse(max_age=49))).entry.cache == "miss"  # and is remembered anew
        await asyncio.sleep(0)
        clock.advance(60)
        assert (await replied(gate)).entry.cache == "hit"
        clock.advance(41)
        assert (await replied(gate)).entry.cache == "miss"


async def test_a_caller_may_want_a_fresh_answer_which_is_remembered(tmp_path):
    provider = ScriptedProvider(GOOD, [*GOOD[:1], Text("New"), *GOOD[3:]])
    async with gate_over(provider, tmp_path) as gate:
        assert (await replied(gate)).text == "Hello there"
        assert (await replied(gate, reuse=Reuse(read=False))).text == "New"
        assert (await replied(gate)).text == "New"


async def test_a_long_answer_is_given_and_not_remembered(tmp_path):
    provider = ScriptedProvider([Begin(), *[Text("x" * 1000)] * 50, Done("stop")])
    async with gate_over(provider, tmp_path, cache=Cache(MemoryCache(1 << 20), max_entry=10_000)) as gate:
        assert [len((await replied(gate)).text) for _ in range(2)] == [50_000] * 2
    assert len(provider.calls) == 2


async def test_what_a_store_holds_may_be_nonsense(provider, tmp_path):
    store = MemoryCache(1 << 20)

    async def get(_):
        return b'[1,"p/m",[{"type":"Nobody"}]]'

    store.get = get
    async with gate_over(provider, tmp_path, cache=Cache(store)) as gate:
        assert (await replied(gate)).text == "Hello there"


async def test_vectors_are_remembered_too(tmp_path):
    class Vectors(ScriptedProvider):
        async def embed(self, wanted):
            self.calls.append(wanted)
            return Embedded([[0.5, -1.0]], Usage(3, 0), "e")

    provider = Vectors()
    async with gate_over(provider, tmp_path, price=PRICE) as gate:
        entries = []
        for text in ("a", "a", "b"):
            wanted = EmbedCall(model="m", inputs=(text,))
            _, embedded, entry = await gate.embed(ANN, asked(max_tokens=0), wanted)
            assert embedded.vectors == [[0.5, -1.0]]
            entries.append((entry.cache, entry.tokens_in, entry.cost))
    assert entries == [("miss", 3, 3000), ("hit", 3, 0), ("miss", 3, 3000)]
    assert len(provider.calls) == 2


def test_every_part_of_a_question_is_in_its_key():
    def hold(text="Be kind", policy="append", route=None):
        return SimpleNamespace(route=route or Route("m", (target("m"),)), system=System(text, policy))

    def target(model):
        return Target(Upstream.of("p", ScriptedProvider()), model)

    def body(**fields):
        return call(body=b"{}", _fields={"messages": [1], **fields})

    one = key_of(ANN, body(a=1, b=2), hold())
    assert key_of(ANN, body(b=2, a=1), hold()) == one
    others = [
        key_of(BEN, body(a=1, b=2), hold()),
        key_of(ANN, body(a=1, b=3), hold()),
        key_of(ANN, body(a=1), hold()),
        key_of(ANN, body(a=1, b=2), hold("Be brief")),
        key_of(ANN, body(a=1, b=2), hold(policy="replace")),
        key_of(ANN, body(a=1, b=2), hold(route=Route("n", (target("m"),)))),
        key_of(ANN, body(a=1, b=2), hold(route=Route("m", (target("n"),)))),
        key_of(ANN, body(a=1, b=2), hold(route=Route("m", (target("m"),), shared=True))),
        *(
            key_of(ANN, call(body=b"{}", _fields={"messages": [1], "a": 1, "b": 2}, **other), hold())
            for other in (
                {"stream": True},
                {"surface": "x"},
                {"dialect": "x"},
                {"max_tokens": 7},
                {"n": 2},
                {"headers": {"anthropic-beta": "x"}},
            )
        ),
        key_of(ANN, call("One"), hold()),
        key_of(ANN, call("Two"), hold()),
    ]
    assert len({one, *others}) == 1 + len(others)


async def test_a_hundred_identical_calls_are_one(tmp_path):
    provider = ScriptedProvider(SLOW)
    async with gate_over(provider, tmp_path, price=PRICE) as gate:
        streams = await asyncio.gather(*[taken(gate) for _ in range(100)])
    assert len(provider.calls) == 1
    assert all(said == GOOD for said, _ in streams)
    rows = [entry for _, entry in streams]
    assert sorted(row.cache for row in rows) == ["hit"] * 99 + ["miss"]
    assert sum(row.cost for row in rows) == COST


async def test_whoever_joins_late_hears_the_beginning_at_once(tmp_path):
    provider = ScriptedProvider(SLOW)
    async with gate_over(provider, tmp_path) as gate, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(taken(gate))
        await asyncio.sleep(0.1)
        async with aclosing(gate.answer(ANN, asked(stream=True))) as events:
            heard = [type(await anext(events)) for _ in range(3)]
            assert not first.done()
            assert [e async for e in events][:-1] == GOOD[2:]
    assert [kind.__name__ for kind in heard] == ["Open", "Begin", "Text"]
    assert len(provider.calls) == 1


async def test_who_asks_first_may_leave_without_harm_and_another_pays(tmp_path):
    provider = ScriptedProvider(SLOW)
    async with gate_over(provider, tmp_path, price=PRICE) as gate:
        leader = asyncio.create_task(taken(gate))
        await asyncio.sleep(0.05)
        follower = asyncio.create_task(taken(gate))
        await asyncio.sleep(0.05)
        leader.cancel()
        said, entry = await follower
        await gate.ledger.flush()
        left = next(row for row in gate.ledger._store.entries() if row.status == "cancelled")
    assert said == GOOD
    assert (entry.cache, entry.cost, entry.tries) == ("miss", COST, 1)
    assert (left.cost, left.cache) == (0, "hit")
    assert provider.hung_up == 0
    assert len(provider.calls) == 1


async def test_when_nobody_listens_any_more_the_model_is_stopped_and_what_came_is_paid(tmp_path):
    provider = ScriptedProvider([Begin(), Text("Hello"), 60.0, Done("stop")], GOOD)
    async with gate_over(provider, tmp_path, price=PRICE) as gate:
        callers = [asyncio.create_task(taken(gate)) for _ in range(3)]
        await asyncio.sleep(0.05)
        for caller in callers:
            caller.cancel()
        await asyncio.wait(callers)
        await asyncio.sleep(0.01)
        assert provider.hung_up == 1
        await gate.ledger.flush()
        rows = gate.ledger._store.entries()
        assert [row.status for row in rows] == ["cancelled"] * 3
        assert sorted(bool(row.cost) for row in rows) == [False, False, True]
        assert (await taken(gate))[0] == GOOD  # and the next one asks anew


async def test_who_leaves_before_the_first_word_stops_the_model(tmp_path):
    provider = ScriptedProvider([60.0, *GOOD])
    async with gate_over(provider, tmp_path) as gate:
        caller = asyncio.create_task(replied(gate))
        await asyncio.sleep(0.05)
        caller.cancel()
        await asyncio.wait([caller])
        await asyncio.sleep(0.01)
    assert provider.hung_up == 1


async def test_a_failure_is_everybodys_and_is_told_to_each(tmp_path):
    provider = ScriptedProvider([0.05, UpstreamBroken("nonsense")], [0.05, Begin(), Text("x"), UpstreamBroken("cut")])
    for _ in range(2):
        async with gate_over(provider, tmp_path) as gate:
            gate.admission.routes.named["m"].targets[0].upstream.retrying = 3
            failed = await asyncio.gather(*[taken(gate) for _ in range(3)], return_exceptions=True)
        assert len({id(error) for error in failed}) == 3
        assert all(isinstance(error, UpstreamBroken) and error.recorded for error in failed)
    assert len(provider.calls) == 2


async def test_a_slow_listener_holds_up_nobody_and_may_fall_only_so_far_behind(tmp_path):
    pieces = [Text(f"{n:04}" * 250) for n in range(500)]
    provider = ScriptedProvider([Begin(), *pieces, Done("stop")])
    cache = Cache(MemoryCache(1 << 20), max_entry=50_000)
    async with (
        gate_over(provider, tmp_path, cache=cache) as gate,
        aclosing(gate.answer(ANN, asked(stream=True))) as slow,
    ):
        await anext(slow)
        fast = (await taken(gate))[0]
        assert fast[1:-1] == pieces
        with pytest.raises(Overloaded):
            async for _ in slow:
                pass
    assert len(provider.calls) == 1


async def test_a_model_is_not_read_ahead_of_everybody(tmp_path):
    said = []

    class Eager(ScriptedProvider):
        async def events(self, call):
            self.calls.append(call)
            for _ in range(1000):
                said.append(1)
                yield Text("x" * 1000)
                await asyncio.sleep(0)
            yield Done("stop")

    async with gate_over(Eager(), tmp_path) as gate, aclosing(gate.answer(ANN, asked(stream=True))) as slow:
        await anext(slow)
        await asyncio.sleep(0.1)
        assert len(said) < 100
        assert sum(type(event) is Text for event in [e async for e in slow]) == 1000


async def test_calls_that_do_not_ask_for_it_are_neither_remembered_nor_joined(tmp_path):
    provider = ScriptedProvider(SLOW)
    async with gate_over(provider, tmp_path) as gate:
        replies = await asyncio.gather(*[gate.reply(ANN, call()) for _ in range(3)])
        assert [opened.cache for opened, _ in replies] == ["off"] * 3
        assert (await replied(gate)).entry.cache == "miss"
    assert len(provider.calls) == 4


async def test_the_receipt_is_last_whoever_answers(gate):
    for _ in range(2):
        async with aclosing(gate.answer(ANN, asked(stream=True))) as events:
            said = [event async for event in events]
        assert isinstance(said[-1], Receipt)

"""What is reserved for a call is never less than what it may use, and no cap is passed by those who race for it."""

import asyncio
import base64
import json
import random
from contextlib import aclosing

import pytest

from engine._gate import ANN, call, gate_over
from headgate.core.call import System
from headgate.core.events import Done, Text, Usage
from headgate.core.faults import BudgetExhausted, LimitReached, UpstreamBusy, UpstreamDown
from headgate.core.limit import Want
from headgate.core.money import Price
from headgate.dialects import anthropic_messages, openai_chat
from headgate.engine.prices import Prices
from headgate.engine.routing import Route
from headgate.engine.targets import Target, Upstream
from headgate.engine.worst import DOCUMENT, IMAGE, IMAGES, LEAST, UNBOUNDED_ANSWER, most_tokens_in, worst_case
from headgate.testing import ScriptedProvider

TOKENS = Want("t", "tokens", 0, 10**9, 60.0)
SPEND = Want("s", "spend", 0, 10**15, 60.0)
PRICES = Prices.load({"p/cheap": {"input": 1, "output": 2}, "p/dear": {"input": 3, "output": 10, "cache_write": 5}})


def route(*models, **bounds):
    targets = tuple(Target(Upstream.of("p", ScriptedProvider()), model) for model in models or ("cheap",))
    return Route("m", targets, **bounds)


def asked(dialect=openai_chat, content="hello", **fields):
    fields = {"model": "m", "messages": [{"role": "user", "content": content}], **fields}
    return dialect.parse(fields, json.dumps(fields).encode())


def image(data):
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def test_text_is_bounded_by_its_bytes_and_the_answer_by_what_was_asked_for():
    said = asked(max_tokens=100, n=3)
    assert worst_case(said, route(), None, [TOKENS], PRICES) == (len(said.body) + 300, len(said.body) * 1000 + 600_000)
    assert not said.bounded


def test_money_is_that_of_the_dearest_target_and_of_the_dearest_kind_of_token():
    said = asked(max_tokens=100)
    size = len(said.body)
    assert worst_case(said, route("cheap", "dear"), None, [SPEND], PRICES)[1] == size * 5000 + 100 * 10_000
    assert worst_case(said, route("unknown", "cheap"), None, [SPEND], PRICES)[1] == size * 1000 + 100 * 2000
    assert worst_case(said, route("unknown"), None, [SPEND], PRICES)[1] == 0


def test_a_price_with_steps_counts_at_its_dearest():
    price = Price(1_000_000, 2_000_000, above=((1000, Price(3_000_000, 1_000_000)),))
    assert price.most(1000, 10) == 1000 * 1000 + 10 * 2000
    assert price.most(1001, 10) == 1001 * 3000 + 10 * 1000
    assert price.most(1001, 10) >= max(price.cost(n, 10) for n in (10, 1000, 1001))
    assert Price(1, 1).most(1, 0) == 1


def test_the_operators_prompt_is_a_part_of_the_worst_case():
    bare, with_prompt = (
        worst_case(asked(max_tokens=1), route(), system, [TOKENS], PRICES)[0] for system in (None, System("Be kind ✓"))
    )
    assert with_prompt - bare == len("Be kind ✓".encode())


def test_media_count_as_media_and_not_as_text():
    data = base64.b64encode(bytes(300_000)).decode()
    text = len(asked(content=[{"type": "text", "text": "x"}, image("")]).body)
    said = asked(content=[{"type": "text", "text": "x"}, image(data)])
    assert most_tokens_in(said, route()) == text + IMAGE
    assert most_tokens_in(said, route("gpt-4o-mini")) == text + IMAGES["4o-mini"]
    sound = asked(content=[{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}])
    assert 400_000 // 16 <= most_tokens_in(sound, route()) < 400_000 // 16 + 200
    pdf = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}"}}
    assert DOCUMENT <= most_tokens_in(asked(content=[pdf]), route()) < DOCUMENT + 200
    text_file = {"type": "file", "file": {"file_data": f"data:text/plain;base64,{data}"}}
    assert most_tokens_in(asked(content=[text_file]), route()) > 400_000


def test_no_spelling_hides_media():
    body = b'{"model":"m","messages":[{"role":"user","content":[{"\\u0074ype":"image_url","image_url":{"url":"http://x/y.png"}}]}]}'
    assert most_tokens_in(openai_chat.parse(json.loads(body), body), route()) > IMAGE
    shot = {"type": "image", "source": {"type": "url", "url": "http://x/y.png"}}
    result = [{"type": "tool_result", "tool_use_id": "t", "content": [shot]}]
    assert most_tokens_in(asked(anthropic_messages, result, max_tokens=1), route()) > IMAGE


def test_what_only_the_upstream_understands_counts_as_a_document():
    assert most_tokens_in(asked(content=[{"type": "hologram", "url": "http://x"}]), route()) > DOCUMENT


def test_a_call_made_in_code_is_bounded_by_its_words():
    assert most_tokens_in(call("x" * 1000), route()) >= 1000


def test_a_caller_who_names_no_bound_is_given_one_only_where_something_is_capped():
    free, capped = asked(), asked()
    assert worst_case(free, route(), None, [], PRICES) == (0, 0)
    assert (free.max_tokens, free.bounded) == (None, False)
    tokens, _ = worst_case(capped, route(), None, [TOKENS], PRICES)
    assert (capped.max_tokens, capped.bounded) == (UNBOUNDED_ANSWER, True)
    assert tokens == len(capped.body) + UNBOUNDED_ANSWER
    assert capped.prompt.max_tokens == UNBOUNDED_ANSWER


def test_such_an_answer_takes_at_most_a_quarter_of_the_smallest_cap_but_is_no_mere_word():
    for want in (Want("t", "tokens", 0, 2000, 60.0), Want("s", "spend", 0, 20_000_000, 60.0)):
        said = asked()
        worst = worst_case(said, route("dear"), None, [want, SPEND], PRICES)
        assert 0.9 < worst[want.kind == "spend"] / (want.limit / 4) <= 1
    said = asked()
    worst_case(said, route(), None, [Want("t", "tokens", 0, 100, 60.0)], PRICES)
    assert said.max_tokens == LEAST


def test_the_models_own_bounds_go_before_ours():
    said = asked()
    worst_case(said, route(default_max_tokens=77), None, [], PRICES)
    assert (said.max_tokens, said.bounded) == (77, True)
    said = asked(max_tokens=500)
    worst_case(said, route(max_tokens=200, default_max_tokens=77), None, [], PRICES)
    assert (said.max_tokens, said.bounded) == (200, True)
    said = asked(max_tokens=100)
    worst_case(said, route(max_tokens=200, default_max_tokens=77), None, [], PRICES)
    assert (said.max_tokens, said.bounded) == (100, False)


class Chatty:
    """A model that says as much as it likes up to its bound, in a stream that ends, breaks or never begins."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.used = []

    async def events(self, call):
        bound = call.max_tokens
        length = self.random.choice([0, 1, bound // 2, bound, bound])
        await asyncio.sleep(self.random.uniform(0, 0.02))
        if self.random.random() < 0.1:
            raise UpstreamBusy("later", retry_after=60)
        self.used.append((9, length))
        yield Text("x")
        await asyncio.sleep(self.random.uniform(0, 0.02))
        yield Usage(9, length)
        if self.random.random() < 0.2:
            raise UpstreamDown("cut")
        yield Done("stop")


@pytest.mark.anyio
async def test_200_racing_streams_of_unknown_length_never_pass_a_money_cap(tmp_path):
    model, cap = Chatty(7), 0.5
    price = {"input": 10, "output": 100}
    outcomes = {"said": 0, "refused": 0, "broke": 0}
    async with gate_over(model, tmp_path, price=price, spend_usd=f"{cap}/day", concurrent=150) as gate:

        async def stream():
            await asyncio.sleep(random.uniform(0, 0.2))
            try:
                async with aclosing(gate.answer(ANN, call(stream=True))) as events:
                    async for _ in events:
                        pass
                outcomes["said"] += 1
            except LimitReached:
                outcomes["refused"] += 1
            except (UpstreamBusy, UpstreamDown):
                outcomes["broke"] += 1

        await asyncio.gather(*(stream() for _ in range(200)))
        spent = sum(tokens_in * 10e-6 + tokens_out * 100e-6 for tokens_in, tokens_out in model.used)
        wants = gate.admission.rules.wants(ANN, "m", "", 0, 0)
        levels = {level.want.kind: level.left for level in await gate.admission.limiter.levels(wants)}
    assert outcomes["said"]
    assert outcomes["refused"]
    assert outcomes["broke"]
    assert spent <= cap
    assert levels == {"spend": round((cap - spent) * 1e9), "concurrent": 150}


@pytest.mark.anyio
async def test_refused_failed_and_cancelled_calls_give_back_what_they_did_not_use(tmp_path):
    class Silent:
        async def events(self, call):
            await asyncio.sleep(3600)
            yield Text("never")

    async def left(gate):
        wants = gate.admission.rules.wants(ANN, "m", "", 0, 0)
        return [level.left for level in await gate.admission.limiter.levels(wants)]

    rules = {"price": {"input": 1, "output": 10}, "spend_usd": "1/day", "tokens": "1000/day", "concurrent": 2}
    async with gate_over(Silent(), tmp_path / "a", **rules) as gate:
        full = await left(gate)
        hanging = asyncio.create_task(gate.reply(ANN, call(max_tokens=100)))
        await asyncio.sleep(0.01)
        assert all(now < before for now, before in zip(await left(gate), full, strict=True))
        with pytest.raises(LimitReached):
            await gate.reply(ANN, call(max_tokens=5000))
        hanging.cancel()
        await asyncio.wait([hanging])
        assert await left(gate) == full
    async with gate_over(ScriptedProvider([UpstreamDown("broke")]), tmp_path / "b", **rules) as gate:
        with pytest.raises(UpstreamDown):
            await gate.reply(ANN, call(max_tokens=100))
        assert await left(gate) == full
        with pytest.raises(BudgetExhausted):
            await gate.reply(ANN, call(max_tokens=100_000_000))
        assert await left(gate) == full

"""A model in this process: a tiny one, made here, loaded and run by the real libraries.

Needs the extra `headgate[transformers]`, which is heavy: CI does not install it.
"""

import asyncio
from contextlib import aclosing
from itertools import pairwise

import pytest

from headgate.core.call import Call, Clocks, MediaPart, Message, Prompt, Reasoning, TextPart
from headgate.core.embedding import EmbedCall
from headgate.core.events import Begin, Done, Reply, Text, Usage
from headgate.core.faults import (
    ContextTooLong,
    Unsupported,
    UpstreamBusy,
    UpstreamDown,
    UpstreamMissing,
    UpstreamTimeout,
)
from headgate.core.seams import Embedder
from headgate.dialects.openai_chat import understand
from headgate.providers import transformers as provider_file
from headgate.providers.transformers import Options, connect
from headgate.testing import ScriptedWire

MISSING = "the extra headgate[transformers] is not installed"
torch = pytest.importorskip("torch", reason=MISSING)
transformers = pytest.importorskip("transformers", reason=MISSING)
tokenizers = pytest.importorskip("tokenizers", reason=MISSING)

pytestmark = pytest.mark.anyio

WINDOW = 2048
END = "</s>"
CHAINS = ["Aé☂!", "0123456789"]  # what follows each character; the last is the end
LOOP = "abcdefghijklmnopqrstuvwxyz"
TEMPLATE = (
    "{% for m in messages %}{% if m.content == 'raise' %}{{ raise_exception('no such turn') }}{% endif %}"
    "{{ m.role }}:{{ m.content }}{% endfor %}"
)
CLOCKS = Clocks(first_event=60, idle=60, total=120)


def tokenizer():
    """One byte a token."""
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(
        tokenizers.models.BPE(vocab={letter: at for at, letter in enumerate([*letters, END])}, merges=[])
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, chat_template=TEMPLATE)


def model(ids_of, size):
    """A model that says after each byte the one that the chains name, and after any other the end.

    Its layers add nothing: what it says next depends on the last token alone, and not surely where chance may speak.
    """
    follows = dict.fromkeys(range(size), size - 1)
    for text in [*CHAINS, LOOP + LOOP[0]]:
        ids = ids_of(text)
        follows |= dict(pairwise(ids))
    config = transformers.LlamaConfig(
        vocab_size=size,
        hidden_size=264,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=WINDOW,
        eos_token_id=size - 1,
        bos_token_id=None,
        tie_word_embeddings=False,
    )
    made = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        made.model.layers[0].self_attn.o_proj.weight.zero_()
        made.model.layers[0].mlp.down_proj.weight.zero_()
        made.model.embed_tokens.weight.copy_(torch.eye(size, 264))
        made.lm_head.weight.zero_()
        for last, following in follows.items():
            made.lm_head.weight[following, last] = 0.2
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model as it lies on a disk."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    words = tokenizer()
    model(lambda text: words(text)["input_ids"], len(words)).save_pretrained(path)
    words.save_pretrained(path)
    return str(path)


@pytest.fixture
def tiny(folder):
    """A provider of that model."""
    return connect(Options(model=folder, device="cpu"), ScriptedWire())


def call(text, *, stream=True, clocks=CLOCKS, model="tiny", **fields):
    prompt = Prompt(messages=(Message("user", (TextPart(text),)),), **({"temperature": 0} | fields))
    return Call(model=model, understand=lambda _: prompt, stream=stream, clocks=clocks)


async def events_of(provider, asked):
    async with aclosing(provider.events(asked)) as events:
        return [event async for event in events]


async def said(provider, asked):
    reply = Reply()
    for event in await events_of(provider, asked):
        reply.add(event)
    return reply


async def counted(provider):
    """Counts how often the model runs, once it is loaded."""
    await events_of(provider, call("9"))
    runs = []
    (await provider._loading).model.register_forward_hook(lambda *_: runs.append(1))
    return runs


async def test_an_answer_with_its_exact_usage(tiny):
    events = await events_of(tiny, call("0"))
    assert events[0] == Begin(model="tiny")
    assert "".join(event.text for event in events if isinstance(event, Text)) == "123456789"
    assert events[-2:] == [Usage(len("user:0"), 10), Done("stop")]


async def test_words_come_token_by_token_in_whole_characters(tiny):
    events = await events_of(tiny, call("A"))
    assert [event.text for event in events if isinstance(event, Text)] == ["é", "☂", "!"]


@pytest.mark.parametrize("most", [1, 5])
async def test_the_bound_holds(tiny, most):
    reply = await said(tiny, call("a", max_tokens=most))
    assert (reply.text, reply.choices[0].done.reason) == (LOOP[1 : 1 + most], "length")
    assert reply.usage.tokens_out == most


async def test_without_a_bound_the_operators_holds(folder):
    provider = connect(Options(model=folder, max_tokens=7), ScriptedWire())
    assert (await said(provider, call("a"))).usage.tokens_out == 7


async def test_a_stop_string_ends_the_answer_at_once(tiny):
    reply = await said(tiny, call("a", stop=("zz", "fg")))
    assert reply.text == "bcde"
    assert reply.choices[0].done == Done("stop", stop_sequence="fg")
    assert reply.usage.tokens_out == len("bcdefg")


async def test_what_looked_like_a_stop_string_is_told_at_the_end(tiny):
    assert (await said(tiny, call("0", stop=("9x",)))).text == "123456789"
    assert (await said(tiny, call("a", stop=("def",), max_tokens=4))).text == "bcde"


async def test_chance_follows_the_seed(tiny):
    async def told(**fields):
        return (await said(tiny, call("a", max_tokens=20, temperature=1.0, **fields))).text

    assert await told(seed=7) == await told(seed=7)
    assert len({await told(seed=7), await told(seed=-8), await told(), await told()}) == 4


async def test_chance_can_be_bounded(tiny):
    fields = {"max_tokens": 12, "seed": 1}
    assert (await said(tiny, call("a", temperature=1.0, top_p=0.01, **fields))).text == LOOP[1:13]
    assert (await said(tiny, call("a", temperature=1.0, top_k=1, **fields))).text == LOOP[1:13]
    assert (await said(tiny, call("a", temperature=0.05, **fields))).text == LOOP[1:13]


async def test_our_chance_leaves_the_rest_of_the_process_alone(tiny):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    await said(tiny, call("a", max_tokens=3, temperature=1.0, seed=1))
    assert torch.equal(torch.rand(3), expected)


async def test_the_window_holds_the_prompt_and_the_answer(tiny):
    reply = await said(tiny, call("x" * (WINDOW - 10) + "a", max_tokens=50))
    assert (reply.usage.tokens_in + reply.usage.tokens_out, reply.choices[0].done.reason) == (WINDOW, "length")
    with pytest.raises(ContextTooLong, match="2048"):
        await said(tiny, call("x" * WINDOW))


async def test_whoever_leaves_stops_the_model(tiny):
    runs = await counted(tiny)
    async with aclosing(tiny.events(call("a", max_tokens=2000))) as events:
        async for event in events:
            if isinstance(event, Text):
                break
    async with asyncio.timeout(30):
        async with tiny._turn:
            stopped = len(runs)
    assert stopped < 600
    assert (await said(tiny, call("0"))).text == "123456789"


async def test_a_caller_that_is_cancelled_stops_the_model(tiny):
    runs = await counted(tiny)
    task = asyncio.create_task(said(tiny, call("a", max_tokens=2000)))
    while not runs:  # noqa: ASYNC110 - the model runs in a thread of its own
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(30):
        async with tiny._turn:
            assert len(runs) < 1900


async def test_the_model_does_not_run_ahead_of_a_slow_caller(tiny):
    runs = await counted(tiny)
    async with aclosing(tiny.events(call("a", max_tokens=2000))) as events:
        await anext(events)
        while len(runs) < 500:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.1)
        assert len(runs) < 520
        rest = [event async for event in events]
    assert len([event for event in rest if isinstance(event, Text)]) == 2000


async def test_one_answer_at_a_time(folder):
    provider = connect(Options(model=folder, patience=0), ScriptedWire())
    await said(provider, call("9"))
    async with aclosing(provider.events(call("a", max_tokens=2000))) as events:
        await anext(events)
        with pytest.raises(UpstreamBusy) as raised:
            await said(provider, call("0"))
    assert raised.value.retry_after


async def test_others_wait_their_turn(tiny):
    replies = await asyncio.gather(*(said(tiny, call("0")) for _ in range(5)))
    assert [reply.text for reply in replies] == ["123456789"] * 5


async def test_however_many_ask_the_model_is_loaded_once(folder, monkeypatch):
    loads = []
    load = provider_file.load
    monkeypatch.setattr(provider_file, "load", lambda *a, **k: loads.append(1) or load(*a, **k))
    provider = connect(Options(model=folder), ScriptedWire())
    await asyncio.gather(*(said(provider, call("0")) for _ in range(4)))
    assert loads == [1]


@pytest.mark.parametrize("clocks", [Clocks(total=0), Clocks(first_event=0), Clocks(idle=0)])
async def test_every_clock_is_heeded_and_frees_the_model(tiny, clocks):
    await said(tiny, call("9"))
    with pytest.raises((UpstreamTimeout, UpstreamBusy)):
        await said(tiny, call("a", clocks=clocks, max_tokens=2000))
    assert (await said(tiny, call("0"))).text == "123456789"


async def test_nobody_waits_beyond_its_deadline_for_a_model_that_loads(folder):
    provider = connect(Options(model=folder), ScriptedWire())
    with pytest.raises(UpstreamTimeout, match="loaded"):
        await said(provider, call("0", clocks=Clocks(first_event=0)))
    assert (await said(provider, call("0"))).text == "123456789"


@pytest.mark.parametrize("path", ["/nowhere/model", "nobody/nothing-at-all", "not a name"])
async def test_a_model_that_is_not_on_this_machine_is_missing_and_nothing_is_fetched(path):
    provider = connect(Options(model=path), ScriptedWire())
    for _ in range(2):
        with pytest.raises(UpstreamMissing, match="cannot be loaded"):
            await said(provider, call("0", model=provider.name))


async def test_a_device_that_is_not_there_is_a_fault(folder):
    device = "cuda:7" if not torch.cuda.is_available() else "xpu"
    with pytest.raises(UpstreamMissing):
        await said(connect(Options(model=folder, device=device), ScriptedWire()), call("0"))


async def test_only_the_configured_model_is_asked(tiny, folder):
    assert (await said(tiny, call("0", model=folder))).text == "123456789"
    with pytest.raises(UpstreamMissing):
        await said(tiny, call("0", model="/etc"))


async def test_a_model_that_fails_is_down(tiny):
    await said(tiny, call("9"))

    def fail(*_):
        raise RuntimeError("out of memory at 0xdead")

    (await tiny._loading).model.register_forward_hook(fail)
    with pytest.raises(UpstreamDown) as raised:
        await said(tiny, call("0"))
    assert "0xdead" not in raised.value.message
    async with asyncio.timeout(30), tiny._turn:
        pass


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
async def test_the_type_of_its_numbers_can_be_chosen(folder, dtype):
    provider = connect(Options(model=folder, dtype=dtype), ScriptedWire())
    assert (await said(provider, call("0"))).text == "123456789"
    assert (await provider._loading).model.dtype == getattr(torch, dtype)


async def test_a_template_of_ones_own(folder):
    provider = connect(Options(model=folder, chat_template="0"), ScriptedWire())
    assert (await said(provider, call("ignored"))).usage == Usage(1, 10)


async def test_a_model_without_a_template_cannot_converse(folder, tmp_path):
    words = tokenizer()
    words.chat_template = None
    words.save_pretrained(tmp_path)
    transformers.LlamaForCausalLM.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(Unsupported, match="chat template"):
        await said(connect(Options(model=str(tmp_path)), ScriptedWire()), call("0", model=tmp_path.name))


async def test_what_the_template_refuses_is_refused(tiny):
    with pytest.raises(Unsupported, match="no such turn"):
        await said(tiny, call("raise"))


def asked(**fields):
    prompt = understand({"messages": [{"role": "user", "content": "0"}], **fields})
    return Call(model="tiny", understand=lambda _: prompt)


TOOL = {"type": "function", "function": {"name": "add", "parameters": {}}}


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"logprobs": True},
        {"tools": [TOOL]},
        {"presence_penalty": 0.1},
        {"frequency_penalty": 0.1},
        {"logit_bias": {"1": 1}},
        {"modalities": ["audio"]},
        {"response_format": {"type": "json_object"}},
        {"reasoning_effort": "high"},
    ],
    ids=" ".join,
)
async def test_what_it_cannot_do_is_refused_by_name(tiny, fields):
    with pytest.raises(Unsupported) as raised:
        await said(tiny, asked(**fields))
    assert raised.value.field in fields


async def test_tokens_are_counted_without_an_answer(tiny):
    assert await tiny.count(call("0é")) == len("user:0é".encode())
    with pytest.raises(Unsupported):
        await tiny.count(asked(tools=[TOOL]))


async def test_not_to_reason_is_no_wish(tiny):
    assert (await said(tiny, call("0", reasoning=Reasoning("none")))).text == "123456789"


async def test_images_are_refused(tiny):
    prompt = Prompt(messages=(Message("user", (MediaPart("image", "image/png", "aW1n"),)),))
    with pytest.raises(Unsupported):
        await said(tiny, Call(model="tiny", understand=lambda _: prompt))


def test_it_makes_no_vectors(tiny):
    assert not isinstance(tiny, Embedder)
    assert EmbedCall(model="tiny", inputs=("a",))

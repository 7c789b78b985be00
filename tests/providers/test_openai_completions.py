"""Which of a server's two paths OpenAI's older completions take."""

import json

import pytest

from headgate.core.call import Clocks, System
from headgate.core.events import Reply
from headgate.dialects import openai_completions
from headgate.dialects.openai_chat_reader import AnswerReader, StreamReader
from headgate.dialects.openai_chat_watcher import Watcher
from headgate.providers import openai
from headgate.providers.kinds import kind_of
from headgate.testing import ScriptedUpstream, ScriptedWire, whole

OWN = "https://api.openai.com/v1"
LOCAL = "http://127.0.0.1:8080/v1"
ANSWER = {"id": "c", "object": "text_completion", "choices": [{"text": "hi", "index": 0, "finish_reason": "stop"}]}


def call(model="m", system=None, **fields):
    fields = {"model": "asked", "prompt": "hello", **fields}
    return openai_completions.parse(fields, json.dumps(fields).encode()).aimed(model, system, Clocks())


def path(model="m", system=None, **options):
    return openai.connect(openai.Options(**options), ScriptedWire()).ask(call(model, system)).path


@pytest.mark.parametrize(
    ("model", "options", "expected"),
    [
        ("davinci-002", {"base_url": OWN}, "/completions"),
        ("gpt-3.5-turbo-instruct-0914", {"base_url": OWN}, "/completions"),
        ("ft:babbage-002:us::x", {"base_url": OWN}, "/completions"),
        ("gpt-4o-mini", {"base_url": OWN}, "/chat/completions"),
        ("gpt-4o-mini", {"base_url": OWN, "completions": True}, "/completions"),
        ("gpt-oss", {"base_url": LOCAL}, "/completions"),
        ("gpt-oss", {"base_url": LOCAL, "completions": False}, "/chat/completions"),
    ],
)
def test_completions_are_asked_for_where_the_model_has_them(model, options, expected):
    assert path(model, **options) == expected


def test_a_vendor_without_them_is_asked_for_a_chat():
    assert kind_of("groq").options().completions is False
    assert kind_of("vllm").options().completions is None


def test_the_operators_system_prompt_is_kept_by_asking_for_a_chat():
    assert path(system=System("Be kind."), base_url=LOCAL) == "/chat/completions"
    assert path(system=System("", "forbid"), base_url=LOCAL) == "/completions"
    ask = openai.connect(openai.Options(base_url=LOCAL), ScriptedWire()).ask(call(system=System("Be kind.")))
    assert [message["content"] for message in json.loads(ask.body)["messages"]] == ["Be kind.", "hello"]


def test_the_reader_fits_the_path():
    provider = openai.connect(openai.Options(base_url=LOCAL), ScriptedWire())
    assert isinstance(provider.reader(call(stream=True)), Watcher)
    assert isinstance(provider.reader(call()), openai_completions.WholeWatcher)
    chats = openai.connect(openai.Options(base_url=LOCAL, completions=False), ScriptedWire())
    assert isinstance(chats.reader(call(stream=True)), StreamReader)
    assert isinstance(chats.reader(call()), AnswerReader)


@pytest.mark.anyio
async def test_the_answer_comes_as_it_is(asker):
    body = json.dumps(ANSWER).encode()
    async with ScriptedUpstream([whole(body)]) as upstream:
        provider = openai.connect(openai.Options(base_url=upstream.url), asker.wire(upstream, "/v1"))
        reply = Reply()
        for event in await provider.answer(call(best_of=3, suffix="end")):
            reply.add(event)
    assert (reply.verbatim, reply.done.reason) == (body, "stop")
    sent = json.loads(upstream.requests[0].body)
    assert upstream.requests[0].path == "/v1/completions"
    assert (sent["model"], sent["best_of"], sent["suffix"], sent["max_tokens"]) == ("m", 3, "end", 16)

"""OpenAI's older completions, the caller's side and the upstream's."""

import json

import pytest

from headgate.core.call import Clocks
from headgate.core.events import Done, Reply, Usage, Verbatim
from headgate.core.faults import InvalidField, Unsupported, UpstreamBroken, UpstreamBusy
from headgate.dialects.openai_completions import MOST_ANSWERS, WholeWatcher, forward, parse, prompts_of

ASKED = {"model": "asked", "prompt": "Once upon"}
ANSWER = {
    "id": "cmpl-1",
    "object": "text_completion",
    "created": 1,
    "model": "davinci-002",
    "choices": [
        {"text": " a time", "index": 0, "logprobs": {"tokens": [" a", " time"]}, "finish_reason": "length"},
        {"text": " a mattress", "index": 1, "logprobs": None, "finish_reason": "stop"},
    ],
    "usage": {"prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6},
    "new": {"field": 1},
}


def call(**fields):
    fields = {**ASKED, **fields}
    return parse(fields, json.dumps(fields).encode())


def watched(body):
    reader = WholeWatcher()
    reader.feed(body if isinstance(body, bytes) else json.dumps(body).encode())
    return list(reader.close())


def test_what_the_gate_wants_to_know():
    plain = call()
    assert (plain.model, plain.stream, plain.max_tokens, plain.n, plain.usage_wanted) == ("asked", False, 16, 1, False)
    full = call(stream=True, max_tokens=5, n=2, best_of=3, prompt=["a", "b"], stream_options={"include_usage": True})
    assert (full.stream, full.max_tokens, full.n, full.usage_wanted) == (True, 5, 6, True)
    assert call(max_tokens=0).max_tokens == 0
    assert call(max_tokens=None).max_tokens == 16


@pytest.mark.parametrize(
    ("given", "prompts"),
    [
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1], [2, 3]], [[1], [2, 3]]),
    ],
)
def test_every_form_of_prompt(given, prompts):
    assert prompts_of(given) == prompts


@pytest.mark.parametrize("prompt", [None, [], 5, {}, [""] * 0, [1, "a"], ["a", 1], [[]], [[1, True]], [-1], [None]])
def test_what_is_no_prompt_is_refused(prompt):
    with pytest.raises(InvalidField) as raised:
        call(prompt=prompt)
    assert raised.value.field == "prompt"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", 5),
        ("stream", "yes"),
        ("max_tokens", -1),
        ("max_tokens", 1.5),
        ("temperature", 3),
        ("top_p", 2),
        ("n", 0),
        ("n", 129),
        ("best_of", 0),
        ("logprobs", True),
        ("echo", 1),
        ("suffix", 1),
        ("stop", [1]),
        ("presence_penalty", 3),
        ("stream_options", []),
    ],
)
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(InvalidField) as raised:
        call(**{field: value})
    assert raised.value.field == field


def test_nobody_may_ask_for_answers_without_number():
    assert call(prompt=["a"] * 16, n=128).n == MOST_ANSWERS
    with pytest.raises(InvalidField, match="2176"):
        call(prompt=["a"] * 17, best_of=128)


def test_a_prompt_becomes_a_chats_one_turn():
    prompt = call(temperature=0.5, stop="x", n=2, seed=7, user="u", logit_bias={"5": 1}, echo=True).prompt
    assert [(message.role, message.text) for message in prompt.messages] == [("user", "Once upon")]
    assert (prompt.max_tokens, prompt.temperature, prompt.stop, prompt.n, prompt.seed) == (16, 0.5, ("x",), 2, 7)
    assert (prompt.user, prompt.extra) == ("u", {"logit_bias": {"5": 1}})
    assert call(prompt=["Once upon"]).prompt.messages == prompt.messages


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", ["a", "b"]),
        ("prompt", [1, 2]),
        ("suffix", "the end"),
        ("logprobs", 0),
        ("best_of", 2),
        ("max_tokens", 0),
    ],
)
def test_what_a_chat_cannot_do_is_refused(field, value):
    with pytest.raises(Unsupported) as raised:
        _ = call(**{field: value}).prompt
    assert raised.value.field == field


def test_what_is_passed_on_keeps_every_field():
    fields = {"prompt": ["a", [1, 2]], "best_of": 2, "suffix": "s", "logprobs": 3, "echo": True, "new": {"a": 1.5}}
    sent = json.loads(forward(call(**fields).aimed("target", None, Clocks())))
    assert sent == {"model": "target", "max_tokens": 16, **fields}


def test_the_tokens_of_a_stream_are_asked_for():
    aimed = call(stream=True, stream_options={"other": 1})
    assert json.loads(forward(aimed))["stream_options"] == {"other": 1, "include_usage": True}
    assert "include_usage" not in json.loads(forward(aimed, stream_usage=False))["stream_options"]


def test_a_bound_of_ours_is_told():
    asked = call(max_tokens=500)
    asked.bound(20)
    assert json.loads(forward(asked))["max_tokens"] == 20
    assert asked.prompt.max_tokens == 20


def test_a_whole_answer_is_passed_on_untouched():
    body = json.dumps(ANSWER, indent=1).encode()
    verbatim, *meant = watched(body)
    assert verbatim == Verbatim(body)
    assert meant == [Done("length", 0, "length"), Done("stop", 1, "stop"), Usage(2, 4, raw=ANSWER["usage"])]
    reply = Reply()
    for event in (verbatim, *meant):
        reply.add(event)
    assert reply.verbatim == body


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"<html>", UpstreamBroken),
        ({"choices": []}, UpstreamBroken),
        ({"choices": [{"text": "x", "index": -1}]}, UpstreamBroken),
        ({"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}, UpstreamBusy),
    ],
)
def test_what_is_no_answer_is_a_fault(body, fault):
    with pytest.raises(fault):
        watched(body)

"""A body in OpenAI's dialect, passed on for another model."""

import json

import pytest

from headgate.core.call import Clocks, System
from headgate.core.faults import Forbidden
from headgate.dialects.openai_chat import parse
from headgate.dialects.openai_chat_forward import forward, renamed, with_system

HELLO = [{"role": "user", "content": "hello"}]
OWN = [{"role": "developer", "content": "Mine."}, *HELLO]


def call(body, system=None):
    return parse(json.loads(body), body).aimed("target", system, Clocks())


def said(system=None, **fields):
    return call(json.dumps({"model": "asked", "messages": HELLO, **fields}).encode(), system)


def test_only_the_models_name_changes():
    body = b'{ "messages":[{"role":"user","content":"h\xc3\xa9"}], "new": 1.50,\n"model" : "asked"}'
    assert forward(call(body)) == body.replace(b'"asked"', b'"target"')


@pytest.mark.parametrize(
    "body",
    [
        b'{"messages":[{"role":"user","content":"x","model":"asked"}],"model":"asked"}',
        b'{"messages":[{"role":"user","content":"x"}],"mod\\u0065l":"asked"}',
        b'{"messages":[{"role":"user","content":"x"}]}',
        b'{"messages":[{"role":"user","content":"x"}],"model":"as\\/ked"}',
    ],
)
def test_where_the_name_is_not_plain_to_see_the_body_is_written_anew(body):
    assert renamed(call(body)) == b""
    sent = json.loads(forward(call(body)))
    assert sent == json.loads(body) | {"model": "target"}


@pytest.mark.parametrize(
    "options", [{}, {"stream_options": {"include_usage": False, "new": 1}}, {"stream_options": None}]
)
def test_a_stream_is_asked_for_its_tokens(options):
    sent = json.loads(forward(said(stream=True, **options)))
    assert sent["stream_options"] == {**(options.get("stream_options") or {}), "include_usage": True}
    assert (sent["model"], sent["messages"]) == ("target", HELLO)


def test_a_server_that_does_not_know_the_option_is_spared():
    assert "stream_options" not in json.loads(forward(said(stream=True), stream_usage=False))


def test_fields_may_have_other_names_at_the_server():
    sent = json.loads(forward(said(max_completion_tokens=5), names={"max_completion_tokens": "max_tokens"}))
    assert sent == {"model": "target", "messages": HELLO, "max_tokens": 5}


@pytest.mark.parametrize(
    ("policy", "messages", "first"),
    [("append", OWN, "Ours."), ("append", HELLO, "Ours."), ("replace", HELLO, "Ours."), ("replace", OWN, "Mine.")],
)
def test_the_operators_system_prompt_goes_in_front(policy, messages, first):
    system = System("Ours.", policy)
    assert with_system(messages, system)[0]["content"] == first
    assert json.loads(forward(said(system, messages=messages)))["messages"][0]["content"] == first


def test_a_system_prompt_may_be_forbidden_for_every_vendor():
    asked = said(System("Ours.", "forbid"), messages=OWN)
    with pytest.raises(Forbidden):
        forward(asked)
    with pytest.raises(Forbidden):
        _ = asked.prompt
    with pytest.raises(Forbidden):
        _ = said(System("", "forbid"), messages=OWN).prompt
    assert said(System("Ours.", "forbid")).prompt.system == "Ours."


@pytest.mark.parametrize("asked", [{}, {"max_tokens": 9}, {"max_completion_tokens": 9, "stream_options": {"new": 1}}])
def test_a_bound_of_ours_stands_in_the_place_of_the_callers(asked):
    limited = said(stream=True, **asked)
    limited.bound(5)
    sent = json.loads(forward(limited, bound="max_completion_tokens"))
    assert sent == {
        "model": "target",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True, **asked.get("stream_options", {})},
        "max_completion_tokens": 5,
    }

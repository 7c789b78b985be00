"""A body that is glanced at is the same call as if it had been parsed, and none that is refused gets by so."""

import json

from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from headgate.core.faults import Fault
from headgate.dialects import openai_chat
from headgate.dialects.strict import read_object

TEXTS = st.sampled_from(["", "a", "a:b", '"n":1', "\u00e9", "\\", "http://x", ":::", "\u2028"])
WRITTEN = st.one_of(
    TEXTS.map(json.dumps),
    TEXTS.map(json.dumps),
    st.sampled_from(['"\\u003a"', '"\\u003A:"', '"\\ud800"', '"\\/:"', "null", "1", "[]"]),
)
ROLE = st.sampled_from([*['"user"', '"system"'] * 4, '"tool"', '"nobody"', "null"])
NUMBER = st.sampled_from(
    [*["1", "2"] * 6, "0", "1.0", "0.5", "1e0", "-1", "null", "true", "256", "1" + "0" * 30, "NaN", '"1"']
)
FLAG = st.sampled_from([*["true", "false"] * 3, "null", "1"])
SPACE = st.sampled_from(["", "", " ", "\n"])


def obj(pairs):
    """An object as text, from pairs of text, spaces after each."""
    return "{" + ",".join(f"{key}{space}:{space}{value}" for key, value, space in pairs) + "}"


def pairs(names, values):
    """A key, perhaps with an escape in it, and its value."""
    keys = st.sampled_from(names).flatmap(
        lambda name: st.sampled_from([*[f'"{name}"'] * 6, f'"\\u{ord(name[0]):04x}{name[1:]}"'])
    )
    return st.tuples(keys, values, SPACE)


PLAIN = st.tuples(ROLE, WRITTEN).map(lambda said: obj([('"role"', said[0], ""), ('"content"', said[1], "")]))
MESSAGE = st.one_of(
    PLAIN,
    PLAIN,
    st.lists(st.one_of(pairs(["role"], ROLE), pairs(["content", "name"], WRITTEN)), max_size=4).map(obj),
)
MESSAGES = st.lists(MESSAGE, min_size=1, max_size=3).map(lambda messages: f"[{','.join(messages)}]")
OPTIONS = st.lists(pairs(["include_usage", "other"], FLAG), max_size=2).map(obj)
FIELD = st.one_of(
    pairs(["messages"], MESSAGES),
    pairs(["model", "user"], WRITTEN),
    pairs(["max_tokens", "max_completion_tokens", "n", "temperature", "top_p", "seed"], NUMBER),
    pairs(["stream"], FLAG),
    pairs(["stream_options"], st.one_of(OPTIONS, st.just("null"))),
)
BODIES = st.tuples(st.lists(FIELD, max_size=3), MESSAGES, st.lists(FIELD, max_size=3)).map(
    lambda said: obj([*said[0], ('"messages"', said[1], ""), *said[2]]).encode()
)


# A key that comes twice, where a colon by number, one in a text, or a null would make up for its colon.
@example(b'{"messages":[{"role":"user","content":"\\u003a"}],"n":1,"n":1}')
@example(b'{"messages":[{"role":"user","content":"a:b"}],"n":1,"n":1}')
@example(b'{"messages":[{"role":"user","content":"a"}],"user":null,"n":1,"n":1}')
@example(b'{"messages":[{"role":"user","content":"a"}],"stream_options":{"include_usage":true,"include_usage":true}}')
@given(BODIES)
def test_what_is_glanced_at_is_what_is_parsed(body):
    glanced = openai_chat.glance(body)
    try:
        parsed = openai_chat.parse(read_object(body), body)
    except Fault:
        assert glanced is None
        return
    if glanced is not None:
        assert glanced.fields == parsed.fields
        assert structs.astuple(glanced) == structs.astuple(parsed)


def test_usual_bodies_are_glanced_at():
    said = {"messages": [{"role": "system", "content": "Be brief: as ever."}, {"role": "user", "content": "Hi"}]}
    for rest in ({}, {"model": "m"}, {"model": "ft:m", "stream": True, "stream_options": {"include_usage": True}}):
        body = json.dumps({**said, **rest, "temperature": 1, "max_tokens": 5}).encode()
        glanced = openai_chat.glance(body)
        assert glanced is not None
        assert (glanced.stream, glanced.usage_wanted, glanced.max_tokens) == ("stream" in rest, "stream" in rest, 5)


def test_rarer_bodies_are_parsed():
    said = {"messages": [{"role": "user", "content": "Hi"}]}
    for rest in ({"tools": [{"type": "function"}]}, {"stream": None}, {"new": 1}, {"max_tokens": 0}):
        assert openai_chat.glance(json.dumps({**said, **rest}).encode()) is None
    assert openai_chat.glance(b'{"messages":[{"role":"user","content":"Hi"}],"n":1,"n":2}') is None
    assert openai_chat.glance(b"nonsense") is None

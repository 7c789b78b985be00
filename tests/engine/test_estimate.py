"""Tokens, estimated."""

from hypothesis import given
from hypothesis import strategies as st

from headgate.core.call import (
    CallPart,
    Format,
    MediaPart,
    Message,
    Prompt,
    RefusalPart,
    ResultPart,
    TextPart,
    ThinkingPart,
    Tool,
)
from headgate.engine.estimate import MEDIA, tokens_of

SCHEMA = {"type": "object", "properties": {"town": {"type": "string"}}}
PARTS = st.one_of(
    st.builds(TextPart, st.text()),
    st.builds(RefusalPart, st.text()),
    st.builds(ThinkingPart, st.text(), st.text(), st.text()),
    st.builds(CallPart, st.text(), st.text(), st.text()),
    st.builds(lambda text: ResultPart("id", (TextPart(text),)), st.text()),
    st.just(MediaPart("image", data="AAAA")),
)
MESSAGES = st.builds(lambda parts: Message("user", tuple(parts)), st.lists(PARTS, max_size=3))


def prompt(*parts, **more):
    return Prompt(messages=(Message("user", parts),), **more)


def test_four_bytes_of_text_are_about_a_token():
    assert 250 <= tokens_of(prompt(TextPart("word" * 250))) <= 260
    assert 250 <= tokens_of(prompt(TextPart("ü" * 500))) <= 260


@given(st.lists(MESSAGES, min_size=1, max_size=4), MESSAGES)
def test_a_longer_prompt_never_counts_less(messages, another):
    shorter = tokens_of(Prompt(messages=tuple(messages)))
    assert 1 <= shorter < tokens_of(Prompt(messages=(*messages, another)))


@given(st.text(), st.text())
def test_a_longer_text_never_counts_less(text, more):
    assert tokens_of(prompt(TextPart(text))) <= tokens_of(prompt(TextPart(text + more)))


def test_what_else_a_model_reads_is_counted():
    bare = tokens_of(prompt(TextPart("hi")))
    assert tokens_of(prompt(TextPart("hi"), tools=(Tool("f", "Finds.", SCHEMA),))) > bare + 15
    assert tokens_of(prompt(TextPart("hi"), format=Format("schema", SCHEMA))) > bare + 10
    assert tokens_of(prompt(TextPart("hi"), MediaPart("image", data="A" * 1_000_000))) == bare + MEDIA

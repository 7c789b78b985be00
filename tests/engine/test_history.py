"""A shortened conversation fits, keeps what it must, and no tool call is parted from its result."""

import json
from itertools import chain

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from engine._gate import call as made
from headgate.core.call import CallPart, ResultPart, System, with_system
from headgate.core.faults import ContextTooLong, Forbidden
from headgate.dialects import (
    anthropic_messages,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_file_search,
    openai_responses,
    simple,
)
from headgate.dialects.turns import turn_of
from headgate.engine.estimate import tokens_of
from headgate.engine.history import Window, cuts, fit

DIALECTS = {openai_chat: "messages", anthropic_messages: "messages", openai_responses: "input"}
KIND = System("Be kind.")


def call_of(dialect, items, **fields):
    fields = {"model": "m", DIALECTS[dialect]: items, **fields}
    if dialect is anthropic_messages:
        fields.setdefault("max_tokens", 10)
    return dialect.parse(fields, json.dumps(fields).encode())


def items_of(call, dialect):
    return call.fields[DIALECTS[dialect]]


def said(role, text):
    return {"role": role, "content": text}


def asks(dialect, *ids):
    """The model's entries that call tools."""
    if dialect is openai_chat:
        calls = [{"id": id_, "type": "function", "function": {"name": "f", "arguments": "{}"}} for id_ in ids]
        return [{"role": "assistant", "content": None, "tool_calls": calls}]
    if dialect is anthropic_messages:
        uses = [{"type": "tool_use", "id": id_, "name": "f", "input": {}} for id_ in ids]
        return [{"role": "assistant", "content": uses}]
    return [{"type": "function_call", "call_id": id_, "name": "f", "arguments": "{}"} for id_ in ids]


def answers(dialect, text, *ids, also=""):
    """The entries that answer these calls; Anthropic's callers may say something in the same breath."""
    if dialect is openai_chat:
        return [{"role": "tool", "tool_call_id": id_, "content": text} for id_ in ids]
    if dialect is anthropic_messages:
        results = [{"type": "tool_result", "tool_use_id": id_, "content": text} for id_ in ids]
        return [{"role": "user", "content": [*results, *([{"type": "text", "text": also}] if also else [])]}]
    return [{"type": "function_call_output", "call_id": id_, "output": text} for id_ in ids]


@st.composite
def conversations(draw):
    """A conversation as agents have them, in one of the dialects; ids come again, as some vendors' do."""
    dialect = draw(st.sampled_from(list(DIALECTS)))
    text = st.text(alphabet="ab é✓", min_size=1, max_size=60)
    items = [said("system", draw(text))] if draw(st.booleans()) else []
    ids = st.lists(st.sampled_from(["c1", "c2", "c3", "c4"]), min_size=1, max_size=3, unique=True)
    for _ in range(draw(st.integers(1, 5))):
        items.append(said("user", draw(text)))
        for _ in range(draw(st.integers(0, 3))):
            some = draw(ids)
            also = draw(st.sampled_from(["", "", "hurry"]))
            items += [*asks(dialect, *some), *answers(dialect, draw(text), *draw(st.permutations(some)), also=also)]
        if draw(st.booleans()):
            items.append(said("assistant", draw(text)))
        if draw(st.integers(0, 4)) == 0:
            items.append(said("system", draw(text)))
    return dialect, items


def unpaired(messages):
    """The results without a call before them, and the calls whose results were lost."""
    open_, orphans = [], []
    for part in (part for message in messages for part in message.parts):
        if isinstance(part, CallPart):
            open_.append(part.id)
        elif isinstance(part, ResultPart):
            if part.id in open_:
                open_.remove(part.id)
            else:
                orphans.append(part.id)
    return open_, orphans


@given(conversations(), st.integers(20, 200), st.sampled_from([None, KIND]))
def test_what_is_left_fits_and_is_whole(conversation, tokens, system):
    dialect, items = conversation
    call = call_of(dialect, items, max_tokens=10) if dialect is not openai_responses else call_of(dialect, items)
    before = tokens_of(with_system(call.prompt, system))
    body = call.body
    try:
        dropped = fit(call, Window(tokens, "drop_oldest"), system)
    except ContextTooLong:
        assert before + (call.max_tokens or 0) > tokens
        return
    left = items_of(call, dialect)
    assert tokens_of(with_system(call.prompt, system)) + (call.max_tokens or 0) <= tokens
    assert json.loads(call.body) == call.fields
    assert dropped == len(items) - len(left)
    assert (dropped == 0) == (before + (call.max_tokens or 0) <= tokens) == (call.body is body)
    assert unpaired(call.prompt.messages) == ([], [])
    assert [i for i in left if i.get("role") == "system"] == [i for i in items if i.get("role") == "system"]
    users = [item for item in items if turn_of(item).by == "user"]
    assert users[-1] in left
    assert left[-1] == items[-1]
    rest = iter(items)
    assert all(item in rest for item in left), "in their order"
    assert not dropped or turn_of(next(i for i in left if i.get("role") != "system")).begins


@given(conversations(), st.integers(20, 200))
def test_no_more_is_dropped_than_must_be(conversation, tokens):
    dialect, items = conversation
    call = call_of(dialect, items)
    try:
        dropped = fit(call, Window(tokens, "drop_oldest"), None)
    except ContextTooLong:
        return
    assume(dropped)
    turns = [turn_of(item) for item in items]
    for first, start in cuts(turns):
        some = [i for at, i in enumerate(items) if turns[at].by == "system" or at == first or at >= start]
        if len(some) > len(items) - dropped:
            prompt = call.understand({**call.fields, DIALECTS[dialect]: some})
            merged = 4 * len(items)  # neighbouring items of a model may be one turn, which is not counted on
            assert tokens_of(prompt) + merged + (call.max_tokens or 0) > tokens


@pytest.mark.parametrize("dialect", DIALECTS)
def test_whole_exchanges_go_first(dialect):
    old = [said("user", "old " * 50), *asks(dialect, "a"), *answers(dialect, "sun", "a"), said("assistant", "Sunny.")]
    new = [said("user", "new"), *asks(dialect, "b"), *answers(dialect, "rain", "b")]
    call = call_of(dialect, [said("system", "Brief."), *old, *new])
    assert fit(call, Window(70, "drop_oldest"), None) == len(old)
    assert items_of(call, dialect) == [said("system", "Brief."), *new]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_then_the_oldest_steps_since_the_last_words_of_the_user(dialect):
    steps = [[*asks(dialect, f"c{n}", f"d{n}"), *answers(dialect, "x" * 200, f"d{n}", f"c{n}")] for n in range(5)]
    items = [said("user", "hello"), said("assistant", "hello"), said("user", "do it"), *chain(*steps)]
    call = call_of(dialect, items)
    dropped = fit(call, Window(300, "drop_oldest"), None)
    left = items_of(call, dialect)
    assert left == [said("user", "do it"), *steps[3], *steps[4]]
    assert dropped == len(items) - len(left)


def test_words_beside_a_result_are_kept_with_the_call_and_with_who_asked_for_it():
    use, result = asks(anthropic_messages, "a"), answers(anthropic_messages, "sun", "a", also="and hurry")
    items = [said("user", "x" * 400), said("assistant", "yes"), said("user", "weather?"), *use, *result]
    call = call_of(anthropic_messages, items)
    fit(call, Window(60, "drop_oldest"), None)
    assert call.fields["messages"] == items[2:]


def test_a_result_that_comes_late_keeps_its_call():
    late = [*asks(openai_chat, "a", "b"), *answers(openai_chat, "one", "a"), said("user", "and?")]
    items = [said("user", "x" * 400), said("user", "go"), *late, *answers(openai_chat, "two", "b")]
    call = call_of(openai_chat, items)
    fit(call, Window(80, "drop_oldest"), None)
    assert call.fields["messages"] == items[1:]


def test_rather_than_to_part_a_call_from_its_late_result_it_is_refused():
    begun = [said("user", "go"), *asks(openai_chat, "a", "b"), *answers(openai_chat, "x" * 400, "a")]
    late = answers(openai_chat, "two", "b")
    for meanwhile in ([said("user", "and?")], [*asks(openai_chat, "c"), *answers(openai_chat, "three", "c")]):
        with pytest.raises(ContextTooLong, match="also without its oldest turns"):
            fit(call_of(openai_chat, [*begun, *meanwhile, *late]), Window(80, "drop_oldest"), None)


@pytest.mark.parametrize("policy", ["refuse", "drop_oldest"])
def test_a_refusal_names_both_numbers(policy):
    call = call_of(openai_chat, [said("user", "x" * 400)], max_tokens=7)
    with pytest.raises(
        ContextTooLong, match="about 104 tokens, and the answer may have 7: more than the 110"
    ) as refused:
        fit(call, Window(110, policy), None)
    assert refused.value.field == "messages"
    assert fit(call, Window(111, policy), None) == 0


def test_where_nothing_may_be_dropped_an_old_conversation_is_refused():
    items = [said("user", "x" * 400), said("assistant", "yes"), said("user", "go")]
    with pytest.raises(ContextTooLong, match=r"than the 50 that this model takes$"):
        fit(call_of(openai_chat, items), Window(50, "refuse"), None)
    assert fit(call_of(openai_chat, items), Window(50, "drop_oldest"), None) == 2


def test_the_operators_prompt_counts_and_stays():
    items = [said("user", "x" * 100), said("assistant", "yes"), said("user", "go")]
    assert fit(call_of(openai_chat, items), Window(50, "drop_oldest"), None) == 0
    assert fit(call_of(openai_chat, items), Window(50, "drop_oldest"), System("y" * 100)) == 2
    with pytest.raises(Forbidden):
        fit(call_of(openai_chat, [said("system", "x"), *items]), Window(20, "refuse"), System("", "forbid"))


def test_one_prompt_is_no_conversation():
    fields = {"model": "m", "prompt": "x" * 400, "messages": [said("user", "a"), said("user", "b")]}
    for call in (
        openai_completions.parse(fields, json.dumps(fields).encode()),
        simple.CHAT.parse({"message": "x" * 400}, b'{"message":"..."}' + b" " * 400),
        call_of(openai_responses, "x" * 400),
        made("x" * 400),
    ):
        with pytest.raises(ContextTooLong, match=r"more than the 50 that this model takes$"):
            fit(call, Window(50, "drop_oldest"), None)


def test_a_conversation_for_which_files_were_searched_is_shortened_too():
    items = [said("user", "x" * 400), said("assistant", "yes"), said("user", "go")]
    call = call_of(openai_responses, items, tools=[{"type": "file_search", "vector_store_ids": ["vs"]}])
    call = openai_file_search.told(call, "This was found.")
    assert fit(call, Window(50, "drop_oldest"), None) == 2
    assert [part["text"] for part in call.fields["input"][0]["content"]] == ["This was found.", "go"]


def test_texts_to_embed_are_no_conversation():
    fields = {"model": "m", "input": ["x" * 400, "y" * 400]}
    call = openai_embeddings.envelope(fields, json.dumps(fields).encode())
    assert fit(call, Window(50, "drop_oldest"), None) == 0
    assert call.fields is fields


def test_what_only_its_upstream_understands_is_left_to_it():
    call = call_of(openai_chat, [said("user", [{"type": "hologram", "url": "x" * 400}])])
    assert fit(call, Window(50, "refuse"), None) == 0


def test_a_short_call_is_not_even_understood():
    def never(_):
        raise AssertionError

    call = call_of(openai_chat, [said("user", "hello")])
    call.understand = never
    assert fit(call, Window(100, "refuse"), KIND) == 0

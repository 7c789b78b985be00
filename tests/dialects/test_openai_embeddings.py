"""OpenAI's embeddings, both sides."""

import base64
import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.embedding import EmbedCall, Embedded
from headgate.core.entry import Entry
from headgate.core.events import Usage
from headgate.core.faults import InvalidField, UpstreamBroken, UpstreamBusy
from headgate.dialects.openai_embeddings import MOST_INPUTS, envelope, packed, parse, read, request, whole

ENTRY = Entry(id="e", at=0.0, request_id="r", target="text-embedding-3-small", tokens_in=7, cost=140)


@pytest.mark.parametrize(
    ("given_", "inputs"),
    [
        ("hello", ("hello",)),
        (["a", "b"], ("a", "b")),
        ([1, 2, 3], ((1, 2, 3),)),
        ([[1, 2], [3]], ((1, 2), (3,))),
        (["a", [1]], ("a", (1,))),
    ],
)
def test_every_form_of_input(given_, inputs):
    assert parse({"model": "m", "input": given_}) == EmbedCall(model="m", inputs=inputs)


def test_what_else_a_caller_may_say():
    fields = {"model": "m", "input": "a", "dimensions": 256, "user": "u", "encoding_format": "base64", "new": 1}
    assert parse(fields) == EmbedCall(model="m", inputs=("a",), dimensions=256, user="u", extra={"new": 1})
    assert parse({"input": "a"}).model == ""


@pytest.mark.parametrize(
    ("kind", "purpose"),
    [("query", "query"), ("search_query", "query"), ("passage", "document"), ("other", ""), (None, ""), ([1], "")],
)
def test_a_purpose_may_be_given(kind, purpose):
    assert parse({"input": "a", "input_type": kind}).purpose == purpose


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "input"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": 5}, "input"),
        ({"input": [True]}, "input[0]"),
        ({"input": [1.5]}, "input[0]"),
        ({"input": [1, "a"]}, "input"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [[]]}, "input[0]"),
        ({"input": [[-1]]}, "input[0]"),
        ({"input": [[2**31]]}, "input[0]"),
        ({"input": ["a"] * (MOST_INPUTS + 1)}, "input"),
        ({"input": "a", "model": 5}, "model"),
        ({"input": "a", "user": 5}, "user"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": "8"}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
        ({"input": "a", "encoding_format": ["float"]}, "encoding_format"),
    ],
)
def test_wrong_fields_are_named(fields, field):
    with pytest.raises(InvalidField) as raised:
        parse(fields)
    assert raised.value.field == field


def test_the_reply_in_numbers():
    body = json.loads(whole({"model": "asked"}, Embedded([[0.5, 1.0], [2.0, -3.0]], model="exact"), ENTRY))
    assert body == {
        "object": "list",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.5, 1.0]},
            {"object": "embedding", "index": 1, "embedding": [2.0, -3.0]},
        ],
        "model": "exact",
        "usage": {"prompt_tokens": 7, "total_tokens": 7, "cost_usd": 1.4e-7},
    }


def test_the_reply_in_base64():
    body = json.loads(whole({"encoding_format": "base64"}, Embedded([[0.5, 1.0]]), ENTRY))
    assert base64.b64decode(body["data"][0]["embedding"]) == struct.pack("<2f", 0.5, 1.0)
    assert body["model"] == "text-embedding-3-small"


def test_a_number_that_float32_cannot_hold_is_the_upstreams_nonsense():
    with pytest.raises(UpstreamBroken):
        packed([1e300])


def test_the_request():
    call = EmbedCall(model="m", inputs=("a", (1, 2)), dimensions=9, user="u", purpose="query")
    asked = {"model": "m", "input": ["a", (1, 2)], "encoding_format": "float", "dimensions": 9, "user": "u"}
    assert request(call) == asked
    assert request(EmbedCall(model="m", inputs=("a",))) == {"model": "m", "input": ["a"], "encoding_format": "float"}


vectors = st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1), min_size=1)


@given(vectors, st.booleans())
def test_what_is_written_is_read(found, as_base64):
    fields = {"encoding_format": "base64" if as_base64 else "float"}
    embedded = read(json.loads(whole(fields, Embedded(found, model="m"), ENTRY)), len(found))
    assert (embedded.vectors, embedded.model, embedded.usage.tokens_in) == (found, "m", 7)


def test_vectors_come_in_the_order_of_their_numbers():
    data = [{"index": 1, "embedding": [1]}, {"index": 0, "embedding": [0]}]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    assert read({"data": data, "usage": usage}, 2) == Embedded([[0.0], [1.0]], Usage(3, 0, raw=usage))


def test_vectors_without_numbers_come_as_they_stand():
    assert read({"data": [{"embedding": [1]}, {"embedding": [2]}]}, 2).vectors == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"data": 5},
        {"data": []},
        {"data": [{"index": 0}]},
        {"data": [{"index": 5, "embedding": [1]}]},
        {"data": [{"index": [], "embedding": [1]}]},
        {"data": [{"embedding": [1]}, {"embedding": [1]}]},
        {"data": [{"embedding": []}]},
        {"data": [{"embedding": ["x"]}]},
        {"data": [{"embedding": [[1]]}]},
        {"data": [{"embedding": "not base64!"}]},
        {"data": [{"embedding": "QUJDREU="}]},
        {"data": [{"embedding": [1]}], "usage": 5},
    ],
)
def test_another_shape_is_broken(data):
    with pytest.raises(UpstreamBroken):
        read(data, 1)


@pytest.mark.parametrize(
    "data",
    [
        {"error": {"message": "slow down", "type": "rate_limit_exceeded"}},
        {"object": "error", "message": "slow down", "code": 429},
    ],
)
def test_an_error_inside_a_200_is_a_fault(data):
    with pytest.raises(UpstreamBusy):
        read(data, 1)


def test_what_is_not_modelled_travels_both_ways():
    call = parse({"model": "m", "input": "a", "input_type": "query", "truncate": "END"})
    assert (call.purpose, call.extra) == ("query", {"input_type": "query", "truncate": "END"})
    assert request(call)["truncate"] == "END"
    usage = {"prompt_tokens": 3, "total_tokens": 3, "details": {"text": 3}}
    found = read({"data": [{"embedding": [1.0]}], "model": "m", "usage": usage, "id": "e1"}, 1)
    body = json.loads(whole({"input": "a"}, found, ENTRY))
    assert (body["id"], body["usage"]["details"], body["usage"]["prompt_tokens"]) == ("e1", {"text": 3}, 7)


def test_the_envelope_asks_for_no_words():
    fields = {"model": "m", "input": ["one", [1, 2]]}
    call = envelope(fields, b"{}")
    assert (call.model, call.max_tokens, call.stream, call.fields) == ("m", 0, False, fields)
    assert [message.text for message in call.prompt.messages] == ["one"]
    with pytest.raises(InvalidField):
        envelope({"model": 5}, b"")

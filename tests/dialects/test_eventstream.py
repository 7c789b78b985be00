"""Amazon's event stream: cut anywhere it says the same, and nothing damaged passes."""

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.core.faults import UpstreamBroken
from headgate.dialects.eventstream import Message, Messages

from ._eventstream import event, header, message
from ._vendors import CUTS, cut

EMPTY = bytes.fromhex("000000100000000005c248eb7d98c8ff")
BARE = bytes.fromhex("0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936")
EVERY_KIND = b"".join(
    [
        header("true", b"", 0),
        header("false", b"", 1),
        header("byte", b"\x01", 2),
        header("short", b"\x00\x01", 3),
        header("integer", b"\x00" * 4, 4),
        header("long", b"\x00" * 8, 5),
        header("bytes", b"\x00\x02ab", 6),
        header("string", "hé"),
        header("time", b"\x00" * 8, 8),
        header("uuid", b"\x00" * 16, 9),
    ]
)
STREAM = EMPTY + event("one", text="hé") + message(b"x" * 1000, EVERY_KIND) + BARE


def read(*chunks, limit=16 * 1024 * 1024):
    messages = Messages(limit)
    found = [said for chunk in chunks for said in messages.feed(chunk)]
    assert not messages.pending
    return found


def test_messages_as_amazons_own_kit_writes_them():
    assert read(EMPTY + BARE) == [Message({}, b""), Message({}, b"{'foo':'bar'}")]


def test_strings_are_kept_and_every_other_kind_of_header_is_passed_over():
    assert read(message(b"", EVERY_KIND)) == [Message({"string": "hé"}, b"")]


def test_an_event_names_itself():
    (said,) = read(event("messageStart", role="assistant"))
    assert said.headers[":event-type"] == "messageStart"
    assert said.payload == b'{"role": "assistant"}'


@given(CUTS)
def test_any_split_says_the_same(cuts):
    assert read(*cut(STREAM, cuts)) == read(STREAM)


def test_one_byte_at_a_time_says_the_same():
    assert read(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == read(STREAM)


@given(st.integers(min_value=0, max_value=len(event("one", text="hello")) * 8 - 1))
def test_whichever_bit_flips_nothing_passes(bit):
    data = bytearray(event("one", text="hello"))
    data[bit // 8] ^= 1 << (bit % 8)
    messages = Messages()
    with pytest.raises(UpstreamBroken):
        assert not list(messages.feed(bytes(data)))


def test_what_came_before_the_damage_is_told():
    told = Messages().feed(EMPTY + BARE + b"\xff" * 12)
    assert [next(told).payload, next(told).payload] == [b"", b"{'foo':'bar'}"]
    with pytest.raises(UpstreamBroken):
        next(told)


def test_a_message_of_more_than_the_limit_is_refused_by_its_prelude_alone():
    big = message(b"x" * 200)
    with pytest.raises(UpstreamBroken, match="more than 100 bytes"):
        list(Messages(limit=100).feed(big[:12]))
    assert read(big, limit=len(big))


@pytest.mark.parametrize(("length", "headers"), [(0, 0), (15, 0), (20, 5), (16, 2**31)])
def test_lengths_that_cannot_be_are_refused(length, headers):
    prelude = struct.pack(">II", length, headers)
    with pytest.raises(UpstreamBroken):
        list(Messages().feed(prelude + struct.pack(">I", crc32(prelude)) + b"\x00" * 20))


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05na",
        b"\x02ab",
        b"\x01a\x0a",
        b"\x01a\x07\x00\x09ab",
        b"\x01a\x07\x00",
        b"\x01\xff\x00",
        b"\x01a\x07\x00\x01\xff",
    ],
)
def test_headers_that_cannot_be_read_are_refused(headers):
    with pytest.raises(UpstreamBroken, match="headers"):
        list(Messages().feed(message(b"{}", headers)))


def test_a_message_that_is_not_complete_is_pending():
    messages = Messages()
    assert not list(messages.feed(BARE[:-1]))
    assert messages.pending
    assert list(messages.feed(BARE[-1:]))
    assert not messages.pending

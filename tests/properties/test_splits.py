"""However the network cuts an answer into pieces, it means the same."""

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from contracts._suite import (
    answers_of,
    api_of,
    asked_on,
    callers,
    connected,
    offered,
    own,
    playable,
    script_of,
    translated,
)
from headgate.core.events import Verbatim

QUESTION = callers()["openai"].QUESTIONS["text"]
TRANSCRIPTS = [
    (name, feature, stream)
    for name, vendor in own().items()
    for feature in vendor.sent
    for stream in (True, False)
    if offered(vendor, feature)
]
SSE = [
    name
    for name, vendor in own().items()
    if script_of(vendor, answers_of(vendor, "text"), stream=True)[0].startswith((b"data:", b"event:"))
]
PASSED_ON = [("openai", "openai"), ("anthropic", "anthropic"), ("responses", "openai"), ("completions", "vllm")]
CUTS = st.lists(st.integers(0, 2**16), max_size=12)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


def cut(body, cuts):
    """The body in pieces, some of them perhaps a single byte."""
    marks = sorted({0, len(body), *(at % (len(body) + 1) for at in cuts)})
    return [body[start:end] for start, end in pairwise(marks)]


def read(reader, pieces):
    """What was passed on, joined, and what was meant."""
    events = [event for piece in pieces for event in reader.feed(piece)]
    events += reader.close()
    passed = b"".join(event.data for event in events if isinstance(event, Verbatim))
    return passed, [event for event in events if not isinstance(event, Verbatim)]


def with_ends(body, end):
    """The body with other ends of its lines."""
    return re.sub(rb"\r?\n", lambda _: end, body)


@given(transcript=st.sampled_from(TRANSCRIPTS), cuts=CUTS)
def test_an_answer_split_anywhere_means_the_same(transcript, cuts):
    name, feature, stream = transcript
    vendor = own()[name]
    provider, _ = connected(name, vendor)
    call = translated(vendor, QUESTION, stream=stream)
    body = b"".join(script_of(vendor, answers_of(vendor, feature), stream=stream))
    whole = read(provider.reader(call), [body])
    assert whole[1]
    assert read(provider.reader(call), cut(body, cuts)) == whole


@given(transcript=st.sampled_from([each for each in TRANSCRIPTS if each[0] in SSE and each[2]]), data=st.data())
def test_an_event_stream_may_have_any_line_ends_a_mark_in_front_and_comments(transcript, data):
    name, feature, _ = transcript
    vendor = own()[name]
    provider, _ = connected(name, vendor)
    call = translated(vendor, QUESTION, stream=True)
    frames = script_of(vendor, answers_of(vendor, feature), stream=True)
    whole = read(provider.reader(call), frames)
    comment = data.draw(st.sampled_from([b"", b": ping\n\n", b":\n", b"retry: 10\n\n", b"id: 7\n"]))
    mark = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    body = mark + with_ends(b"".join(comment + frame for frame in frames), data.draw(ENDS))
    assert read(provider.reader(call), cut(body, data.draw(CUTS))) == whole


@given(data=st.data())
def test_what_is_passed_on_is_the_same_however_it_was_split(data):
    surface, name = data.draw(st.sampled_from(PASSED_ON))
    vendor, caller = api_of(playable()[name], surface), callers()[surface]
    feature = data.draw(st.sampled_from([f for f in caller.QUESTIONS if offered(vendor, f)]))
    provider, _ = connected(name, vendor)
    call = asked_on(caller, caller.QUESTIONS[feature], vendor.model, stream=True)
    frames = script_of(vendor, answers_of(vendor, feature), stream=True)
    passed, meant = read(provider.reader(call), frames)
    assert passed
    body = with_ends(b"".join(frames), data.draw(ENDS))
    again = read(provider.reader(call), cut(body, data.draw(CUTS)))
    assert again == (passed, meant)

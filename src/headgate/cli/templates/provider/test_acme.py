"""Acme, against a recorded answer. Replace `transcripts/acme.sse` by the bytes of a real one."""

import json
from pathlib import Path

import pytest

from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.events import Done, Reply, Usage
from headgate.core.faults import UpstreamBroken
from headgate.providers import acme

RECORDED = (Path(__file__).parent / "transcripts" / "acme.sse").read_bytes()


def call(stream):
    prompt = Prompt(messages=(Message("user", (TextPart("Hello"),)),))
    return Call(model="acme-1", understand=lambda fields: prompt, stream=stream)


def read(data, size):
    provider = acme.connect(acme.Options(), None)
    reader, reply = provider.reader(call(stream=True)), Reply()
    for start in range(0, len(data), size):
        for event in reader.feed(data[start : start + size]):
            reply.add(event)
    for event in reader.close():
        reply.add(event)
    return reply


@pytest.mark.parametrize("size", [1, 7, len(RECORDED)])
def test_a_recorded_stream_is_read_however_it_is_split(size):
    reply = read(RECORDED, size)
    assert reply.text == "Hello, world!"
    assert reply.usage == Usage(5, 3)
    assert reply.choices[0].done == Done("stop", raw="stop")


@pytest.mark.parametrize("frames", range(RECORDED.count(b"\n\n")))
def test_a_cut_stream_is_never_taken_for_a_whole_one(frames):
    cut = b"".join(frame + b"\n\n" for frame in RECORDED.split(b"\n\n")[:frames])
    with pytest.raises(UpstreamBroken):
        read(cut, 64)


def test_a_call_becomes_the_vendors_request():
    ask = acme.connect(acme.Options(), None).ask(call(stream=True))
    assert ask.path == "/chat"
    assert json.loads(ask.body)["messages"] == [{"role": "user", "content": "Hello"}]

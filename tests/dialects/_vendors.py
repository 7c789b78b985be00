"""What the tests of vendors' dialects share: bodies cut anywhere, folded answers, prompts in OpenAI's short form."""

import json
from itertools import pairwise

from hypothesis import strategies as st

from headgate.core.events import Reply
from headgate.dialects.openai_chat import understand

CUTS = st.lists(st.integers(min_value=0, max_value=3000), max_size=8)
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aW1n"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "c25k", "format": "wav"}}
TOOL = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
CALL = {"id": "abcDEF123", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
ROUND = [
    {"role": "user", "content": "1+?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "abcDEF123", "content": "2"},
]


def asked(*messages, **fields):
    """The prompt of these messages, or of one that says hello."""
    return understand({"messages": list(messages) or [{"role": "user", "content": "hello"}], **fields})


def cut(body, cuts):
    """The body in pieces."""
    marks = sorted({0, len(body), *(at % (len(body) + 1) for at in cuts)})
    return [body[start:end] for start, end in pairwise(marks)] or [body]


def read(reader, *chunks):
    """All events of an answer."""
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return [*events, *reader.close()]


def fold(events):
    """The events as one reply."""
    reply = Reply()
    for event in events:
        reply.add(event)
    return reply


def lines(*objects):
    """The objects, one a line."""
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in objects)


def frames(*objects, named=False):
    """The objects as Server-Sent Events."""
    out = b""
    for each in objects:
        name = f"event: {each.get('type')}\n" if named else ""
        out += f"{name}data: {json.dumps(each, ensure_ascii=False)}\n\n".encode()
    return out

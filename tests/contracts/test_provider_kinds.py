"""What every kind of provider keeps to, whoever adds one: files, presets and plug-ins are found, not listed."""

import inspect
from types import SimpleNamespace

import pytest
from msgspec import structs
from pydantic import ValidationError

from headgate.config.source import SECRET_NAME
from headgate.core.call import (
    Call,
    Format,
    MediaPart,
    Message,
    Prompt,
    Reasoning,
    TextPart,
    Tool,
)
from headgate.core.embedding import EmbedCall
from headgate.core.faults import (
    CallerFault,
    Unsupported,
    UpstreamAuth,
    UpstreamBusy,
    UpstreamDown,
    UpstreamFault,
    UpstreamMissing,
    UpstreamRedirected,
)
from headgate.core.seams import Answered, Ask, Embedder
from headgate.providers import _http
from headgate.providers.kinds import kinds
from headgate.testing import ScriptedWire

pytestmark = pytest.mark.anyio

KINDS = sorted(kinds())
KEY = "key-that-nobody-may-see"
QUESTION = Prompt(messages=(Message("user", (TextPart("hello"),)),), max_tokens=9)
EVIL = "x/../../admin?key=1#a b\r\nHost: evil"
IMAGE = MediaPart("image", "image/png", "aW1n")
SOUND = MediaPart("audio", "audio/wav", "c25k")

# What a caller relies on: it reaches the vendor, or is refused by name.
FEATURES = {
    "tools": {"tools": (Tool("add", "Adds.", {"type": "object"}),)},
    "a form of answer": {"format": Format("schema", {"type": "object", "properties": {}}, "n")},
    "several answers": {"n": 2},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "a seed": {"seed": 7},
    "stop strings": {"stop": ("END",)},
    "penalties": {"presence_penalty": 0.5, "frequency_penalty": 0.5},
    "reasoning": {"reasoning": Reasoning("high")},
    "an image": {"messages": (Message("user", (TextPart("hello"), IMAGE)),)},
    "a sound": {"messages": (Message("user", (TextPart("hello"), SOUND)),)},
}


def needed(kind):
    """The settings without which there is no provider of this kind."""
    fields = kinds()[kind].options.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    return {name: "https://upstream.example" if name == "base_url" else "x" for name in required}


def options(kind, **fields):
    return kinds()[kind].options(**needed(kind), **fields)


def provider(kind, *scripts, **fields):
    return kinds()[kind].connect(options(kind, **fields), ScriptedWire(*scripts))


def http(kind):
    """A provider behind HTTP, with a key; tests of requests pass over the others."""
    found = provider(kind, api_key=KEY)
    if not isinstance(found, _http.HttpProvider):
        pytest.skip(f"{kind} asks nobody over HTTP")
    return found


def call(kind, *, stream=False, model="", **fields):
    prompt = structs.replace(QUESTION, **fields)
    model = model or kinds()[kind].options.default_model or "model"
    return Call(model=model, understand=lambda _: prompt, stream=stream)


@pytest.mark.parametrize("kind", KINDS)
def test_at_most_one_thing_must_be_said_to_have_it(kind):
    made = options(kind)
    assert isinstance(made, _http.Options)
    assert isinstance(made.default_model, str)
    assert len(needed(kind)) <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_its_settings_are_explained(kind):
    said = " ".join(filter(None, (each.__doc__ for each in kinds()[kind].options.__mro__ if each is not object)))
    own = kinds()[kind].options.model_fields.keys() - _http.Options.model_fields.keys()
    plain = {"organization", "project"}  # OpenAI's own words for an account
    assert not [name for name in own - plain if f"`{name}`" not in said]
    assert inspect.getmodule(kinds()[kind].connect).__doc__


@pytest.mark.parametrize("kind", KINDS)
def test_its_settings_are_frozen_and_have_no_room_for_others(kind):
    with pytest.raises(ValidationError):
        options(kind).api_key = "other"
    with pytest.raises(ValidationError):
        options(kind, nobody_reads_this=1)


@pytest.mark.parametrize("kind", KINDS)
def test_its_secrets_are_not_shown(kind):
    fields = kinds()[kind].options.model_fields
    secrets = [name for name in fields if SECRET_NAME.search(name)]
    assert "api_key" in secrets
    assert not [name for name in [*secrets, "headers"] if fields[name].repr]
    made = options(kind, api_key=KEY, headers={"x-own": KEY})
    connected = kinds()[kind].connect(made, ScriptedWire())
    assert KEY not in f"{made!r} {made} {connected!r} {connected}"


@pytest.mark.parametrize("kind", KINDS)
def test_connecting_asks_nobody_anything(kind, monkeypatch):
    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    wire = ScriptedWire()
    connected = kinds()[kind].connect(options(kind, api_key=KEY), wire)
    assert not wire.asks
    assert inspect.isasyncgenfunction(connected.events)


def environments(kind):
    """Every well-known variable alone, and all of them."""
    found = kinds()[kind].options
    values = {}
    for variable, setting in found.env.items():
        default = found.model_fields[setting].get_default()
        value = default if isinstance(default, str) and default else "x"
        values[variable] = "https://upstream.example" if setting == "base_url" else value
    return [{}, *({name: value} for name, value in values.items()), values]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_environment_tells_is_enough_or_nothing(kind):
    found = kinds()[kind].options
    assert not found.found({})
    assert set(found.env.values()) <= found.model_fields.keys()
    for environ in environments(kind):
        settings = found.found(environ)
        assert not settings or found(**settings)
    assert bool(found.env) == bool(found.found(environments(kind)[-1]))


def test_no_variable_that_others_use_is_taken_for_ours():
    general = {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_PROJECT",
    }
    assert not {kind: found for kind in KINDS if (found := kinds()[kind].options.found(dict.fromkeys(general, "x")))}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_key_travels_in_a_header_alone(kind, stream):
    ask = http(kind).ask(call(kind, stream=stream))
    assert ask.stream is stream
    assert KEY not in ask.path
    assert KEY.encode() not in ask.body
    assert any(KEY in value for _, value in ask.headers)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_no_models_name_leaves_its_place_in_the_address(kind, stream):
    found = http(kind)
    usual = found.ask(call(kind, stream=stream, model="model")).path
    try:
        path = found.ask(call(kind, stream=stream, model=EVIL)).path
    except CallerFault:
        return
    assert path.isascii()
    assert path.isprintable()
    assert " " not in path
    assert "#" not in path
    assert [path.count(mark) for mark in "/?&"] == [usual.count(mark) for mark in "/?&"]
    assert ".." not in path.split("/")


@pytest.mark.parametrize("feature", list(FEATURES))
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_caller_relies_on_reaches_the_vendor_or_is_refused_by_name(kind, feature):
    found = http(kind)
    plain = found.ask(call(kind)).body
    try:
        asked = found.ask(call(kind, **FEATURES[feature])).body
    except Unsupported:
        return
    assert asked != plain


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"{}", b"[]", b"null", b'data: {"a"', b"\x00" * 40])
async def test_what_is_no_answer_is_never_taken_for_one(kind, stream, body):
    found = http(kind)
    found.wire = ScriptedWire([body])
    with pytest.raises(UpstreamFault):
        assert not [event async for event in found.events(call(kind, stream=stream))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "fault"),
    [(401, UpstreamAuth), (404, UpstreamMissing), (429, UpstreamBusy), (500, UpstreamDown), (302, UpstreamRedirected)],
)
def test_a_status_is_the_fault_that_it_means_and_tells_no_key(kind, status, fault):
    body = f'{{"message": "the key {KEY} did this"}}'.encode()
    raised = http(kind).fault(Answered(status, {"retry-after": "7"}, body))
    assert type(raised) is fault
    if status != 404:  # what the vendor says about a model helps, and is redacted by its form
        assert KEY not in raised.message
    assert status != 429 or raised.retry_after == 7


@pytest.mark.parametrize("kind", KINDS)
async def test_token_ids_are_embedded_or_refused(kind):
    found = provider(kind, [Answered(500, {}, b"{}")])
    if not isinstance(found, Embedder):
        pytest.skip(f"{kind} makes no vectors")
    try:
        made = await found.embed(EmbedCall(model="owner/model", inputs=((1, 2),)))
    except (Unsupported, UpstreamDown):
        return
    assert len(made.vectors) == 1


async def test_a_kind_that_keeps_to_none_of_this_would_be_found(monkeypatch):
    """A vendor's file that shows its key and answers to silence does not get through."""

    class Careless(_http.Options):
        api_key: str = ""
        base_url: str = "https://upstream.example"

    class Silent(_http.HttpProvider):
        def ask(self, call):
            return Ask(path="/", body=b"", stream=call.stream)

        def reader(self, call):
            return SimpleNamespace(feed=lambda _: (), close=lambda: ())

    careless = SimpleNamespace(options=Careless, connect=Silent)
    monkeypatch.setitem(kinds(), "careless", careless)
    with pytest.raises(AssertionError):
        test_its_secrets_are_not_shown("careless")
    with pytest.raises(pytest.fail.Exception):
        await test_what_is_no_answer_is_never_taken_for_one("careless", True, b"")

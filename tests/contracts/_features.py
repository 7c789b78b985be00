"""The features of a model's API that callers rely on: what each is called, and what must come out of it.

Who asks is in `callers/`, one file a surface; who answers is in `transcripts/`, one file a kind of provider.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import Any

from msgspec import Struct

from headgate.core import faults
from headgate.core.events import Reply
from headgate.core.faults import Fault


class Called(Struct, frozen=True):
    """A call of one of the caller's tools."""

    id: str
    name: str
    arguments: dict[str, Any]


class Said(Struct, frozen=True):
    """One choice of an answer. `logprobs` are (token, logprob, ((token, logprob), …)); `stop` is the sequence met."""

    text: str = ""
    thinking: str = ""
    signature: str = ""
    refusal: str = ""
    calls: tuple[Called, ...] = ()
    logprobs: tuple[tuple[str, float, tuple[tuple[str, float], ...]], ...] = ()
    finish: str = "stop"
    stop: str = ""


class Used(Struct, frozen=True):
    """Tokens: the whole prompt, the whole answer, and parts of them."""

    tokens_in: int = 11
    tokens_out: int = 7
    cached: int = 0
    reasoning: int = 0


class Answer(Struct, frozen=True):
    """What a model answered."""

    choices: tuple[Said, ...]
    used: Used = Used()

    @property
    def first(self) -> Said:
        """The first choice, mostly the only one."""
        return self.choices[0]


class Feature(Struct, frozen=True):
    """Something that callers can ask for or be told; `title` is its row in the table of features."""

    title: str
    says: Answer


def _text(text: str, **more: Any) -> Answer:
    return Answer((Said(text, **more),))


def _calls(*calls: Called, **more: Any) -> Answer:
    return Answer((Said(calls=calls, finish="tool", **more),))


HELLO = "Grüße, 世界 👋 … hello there!"
PARIS = Called("callA0001", "weather", {"city": "Paris"})
ROME = Called("callB0002", "weather", {"city": "Rome", "days": [1, 2]})

FEATURES: dict[str, Feature] = {
    "text": Feature("Text", _text(HELLO)),
    "system": Feature("System prompt", _text("Hi.")),
    "turns": Feature("Several turns", _text("Hello again.")),
    "sampling": Feature("Bound on the answer, `temperature`", _text("Hello.")),
    "top_p": Feature("`top_p`", _text("Hello.")),
    "stop": Feature("Stop sequences", _text("One, two, ", stop="END")),
    "seed": Feature("Seed", _text("Hello.")),
    "penalties": Feature("Presence and frequency penalties", _text("Hello.")),
    "tools": Feature("Tools", _calls(PARIS)),
    "words_and_tools": Feature("Words before a tool call", _calls(PARIS, text="Let me look.")),
    "parallel_calls": Feature("Parallel tool calls", _calls(PARIS, ROME)),
    "no_arguments": Feature("Tools without parameters", _calls(Called("callC0003", "now", {}))),
    "tool_results": Feature("Tool results", _text("It is 18 °C in Paris and 25 °C in Rome.")),
    "tool_auto": Feature("Tool choice: auto", _calls(PARIS)),
    "tool_none": Feature("Tool choice: none", _text("I cannot look.")),
    "tool_required": Feature("Tool choice: required", _calls(PARIS)),
    "tool_named": Feature("Tool choice: a named tool", _calls(PARIS)),
    "one_call": Feature("One tool call at a time", _calls(PARIS)),
    "image": Feature("Images as data", _text("A cat.")),
    "image_url": Feature("Images by URL", _text("A cat.")),
    "audio": Feature("Audio", _text("A bell.")),
    "file": Feature("Files", _text("An invoice.")),
    "json": Feature("JSON mode", _text('{"city": "Paris"}')),
    "schema": Feature("Structured output", _text('{"city": "Paris"}')),
    "reasoning": Feature(
        "Reasoning",
        Answer((Said("42.", "Six times seven …\nis 42.", "c2lnbmVk"),), Used(11, 7, reasoning=4)),
    ),
    "n": Feature("Several choices (`n`)", Answer((Said("One."), Said("Two.")))),
    "logprobs": Feature("Log probabilities", _text("Hi ho", logprobs=(("Hi", -0.5, ()), (" ho", -1.25, ())))),
    "top_logprobs": Feature(
        "Log probabilities of alternatives",
        _text("Hi", logprobs=(("Hi", -0.5, (("Hi", -0.5), ("Yo", -2.0))),)),
    ),
    "length": Feature("Finish: length", _text("Hello and", finish="length")),
    "filter": Feature("Finish: content filter", _text("Take a", finish="filter")),
    "refusal": Feature("Refusals", Answer((Said(refusal="I cannot help with that."),))),
    "cached": Feature("Usage of the prompt cache", Answer((Said("Hello."),), Used(11, 7, cached=8))),
}


class Failure(Struct, frozen=True):
    """A way for an upstream to fail, and the fault that it means; `retry_after` is in seconds, where it is told."""

    title: str
    fault: type[Fault]
    retry_after: float | None = None


FAILURES: dict[str, Failure] = {
    "rejected": Failure("refuses the request", faults.UpstreamRejected),
    "too_long": Failure("finds the prompt too long", faults.ContextTooLong),
    "key_refused": Failure("refuses our key", faults.UpstreamAuth),
    "unknown_model": Failure("does not know the model", faults.UpstreamMissing),
    "no_money": Failure("has no money of ours left", faults.UpstreamQuota),
    "busy": Failure("limits our rate", faults.UpstreamBusy, 7.0),
    "overloaded": Failure("is overloaded", faults.UpstreamBusy),
    "broken": Failure("breaks", faults.UpstreamDown),
}


def pieces(text: str, count: int = 3) -> list[str]:
    """A text in at most so many pieces, none of them empty."""
    size = max(1, -(-len(text) // count))
    return [text[at : at + size] for at in range(0, len(text), size)]


def in_turns(choices: list[list[Any]]) -> list[Any]:
    """The pieces of several choices as vendors send them: one of each, again and again."""
    return [piece for turn in zip_longest(*choices) for piece in turn if piece is not None]


def folded(reply: Reply) -> Answer:
    """What a folded stream or a whole answer says, in the words of this file."""
    choices = []
    for choice in reply.choices:
        assert choice.done is not None, "a choice without an end"
        choices.append(
            Said(
                choice.text,
                choice.thinking,
                "".join(thought.signature for thought in choice.thoughts),
                choice.refusal,
                tuple(Called(call.id, call.name, object_of(call.arguments)) for call in choice.calls),
                told_logprobs(choice.logprobs),
                choice.done.reason,
                choice.done.stop_sequence,
            )
        )
    usage = reply.usage
    assert usage is not None, "no usage"
    return Answer(tuple(choices), Used(usage.tokens_in, usage.tokens_out, usage.cached, usage.reasoning))


def object_of(arguments: str) -> dict[str, Any]:
    """The arguments of a call, which must be a JSON object."""
    value = json.loads(arguments)
    assert isinstance(value, dict)
    return value


def told_logprobs(told: list[Any] | None) -> tuple[Any, ...]:
    """OpenAI's log probabilities, in the words of this file."""
    return tuple(
        (step["token"], step["logprob"], tuple((other["token"], other["logprob"]) for other in step["top_logprobs"]))
        for step in told or ()
    )

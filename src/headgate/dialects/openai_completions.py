"""OpenAI's older completions: a prompt that is one text, and an answer that goes on from it.

https://platform.openai.com/docs/api-reference/completions. A server that has them is passed the caller's own fields;
elsewhere the prompt is asked as a chat's one turn, and what chats cannot do is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from headgate.core.call import Call, Message, Prompt, TextPart
from headgate.core.events import Event, Verbatim
from headgate.core.faults import InvalidField, Unsupported
from headgate.dialects.openai_chat_reader import check_answer, done, index_of, reason_of, usage_of
from headgate.dialects.sse import WholeReader
from headgate.dialects.strict import check_count, check_flag, check_number, check_object, check_text

NAME = "openai-completions"
MAX_TOKENS = 16
"""The bound on an answer whose caller set none, in tokens."""
MOST_ANSWERS = 2048
"""Answers that one request may ask for, over all its prompts."""

_MOST_TOKENS = 10_000_000
_MOST_ID = 2**31
_encode = msgspec.json.Encoder().encode


def _check_stop(name: str, value: Any) -> None:
    texts = value if type(value) is list else [value]
    if value is not None and any(type(text) is not str for text in texts):
        raise InvalidField(f"{name} must be a string or an array of strings", field=name)


_CHECKS: dict[str, Callable[[str, Any], None]] = {
    "model": check_text,
    "stream": check_flag,
    "stream_options": check_object,
    "max_tokens": lambda name, value: check_count(name, value, 0, _MOST_TOKENS),
    "temperature": lambda name, value: check_number(name, value, 0, 2),
    "top_p": lambda name, value: check_number(name, value, 0, 1),
    "presence_penalty": lambda name, value: check_number(name, value, -2, 2),
    "frequency_penalty": lambda name, value: check_number(name, value, -2, 2),
    "n": lambda name, value: check_count(name, value, 1, 128),
    "best_of": lambda name, value: check_count(name, value, 1, 128),
    "seed": lambda name, value: check_count(name, value, -(2**63), 2**63 - 1),
    "logprobs": lambda name, value: check_count(name, value, 0, 20),
    "echo": check_flag,
    "suffix": check_text,
    "stop": _check_stop,
    "user": check_text,
}
_MODELLED = frozenset(_CHECKS) | {"prompt"}


def parse(fields: dict[str, Any], body: bytes) -> Call:
    """The Call that a decoded body asks for. Raises InvalidField."""
    prompts = prompts_of(fields.get("prompt"))
    for name, value in fields.items():
        check = _CHECKS.get(name)
        if check is not None:
            check(name, value)
    n, best_of, bound = fields.get("n") or 1, fields.get("best_of") or 1, fields.get("max_tokens")
    answers = max(n, best_of) * len(prompts)
    if answers > MOST_ANSWERS:
        raise InvalidField(f"prompt asks for {answers} answers, and at most {MOST_ANSWERS} are made", field="prompt")
    return Call(
        model=fields.get("model") or "",
        understand=understand,
        dialect=NAME,
        stream=fields.get("stream") or False,
        _fields=fields,
        body=body,
        max_tokens=MAX_TOKENS if bound is None else bound,
        n=answers,
        usage_wanted=bool((fields.get("stream_options") or {}).get("include_usage")),
    )


def prompts_of(value: Any) -> list[str | list[int]]:
    """The prompts of a request: a text, several, the token ids of one, or those of several. Raises InvalidField."""
    if isinstance(value, str):
        return [value]
    if type(value) is not list or not value:
        raise InvalidField("prompt is required and must be a string or an array that is not empty", field="prompt")
    if _is_id(value[0]):
        value = [value]
    for prompt in value:
        tokens = prompt if type(prompt) is list else []
        if not isinstance(prompt, str) and not (tokens and all(map(_is_id, tokens))):
            raise InvalidField("prompt must hold strings, or arrays of token ids", field="prompt")
    prompts: list[str | list[int]] = value
    return prompts


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < _MOST_ID


def understand(fields: dict[str, Any]) -> Prompt:
    """The prompt as a chat's one turn. Raises Unsupported for what chats cannot do."""
    [prompt, *others] = prompts_of(fields["prompt"])
    if others or not isinstance(prompt, str):
        raise Unsupported("this model takes one prompt at a time, as text", field="prompt")
    n, stop = fields.get("n"), fields.get("stop")
    for name, wanted in (
        ("suffix", fields.get("suffix")),
        ("logprobs", fields.get("logprobs") is not None),
        ("best_of", (fields.get("best_of") or 1) > (n or 1)),
        ("max_tokens", fields.get("max_tokens") == 0),
    ):
        if wanted:
            raise Unsupported(f"this model cannot do what {name} asks for", field=name)
    bound = fields.get("max_tokens")
    return Prompt(
        messages=(Message("user", (TextPart(prompt),)),),
        max_tokens=MAX_TOKENS if bound is None else bound,
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        stop=() if stop is None else (stop,) if isinstance(stop, str) else tuple(stop),
        seed=fields.get("seed"),
        n=n,
        presence_penalty=fields.get("presence_penalty"),
        frequency_penalty=fields.get("frequency_penalty"),
        user=fields.get("user") or "",
        extra={name: value for name, value in fields.items() if name not in _MODELLED},
    )


def forward(call: Call, *, stream_usage: bool = True) -> bytes:
    """The caller's fields for another model. The bound that admission counted with is said to every server."""
    fields = {**call.fields, "model": call.model, "max_tokens": call.max_tokens}
    if call.stream and stream_usage:
        fields["stream_options"] = {**(fields.get("stream_options") or {}), "include_usage": True}
    return _encode(fields)


class WholeWatcher(WholeReader):
    """Passes a whole answer on to its caller. Streams are watched as those of chats are: they differ in their words."""

    def answer(self, data: dict[str, Any]) -> Iterable[Event]:
        """The body untouched, then its bare meaning."""
        check_answer(data)
        usage = usage_of(data)
        return [
            Verbatim(b"".join(self._parts)),
            *(done(reason_of(choice), index_of(choice, at)) for at, choice in enumerate(data["choices"])),
            *(() if usage is None else (usage,)),
        ]

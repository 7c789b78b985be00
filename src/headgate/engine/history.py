"""A conversation that has outgrown its model's window is refused, or told without its oldest turns.

Pure: nobody is asked. Tokens are the estimate of `estimate.py`. What only an upstream of the caller's own dialect
understands cannot be estimated, and is left to that upstream to judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Literal

import msgspec
from msgspec import Struct

from headgate.core.call import Call, System, with_system
from headgate.core.faults import ContextTooLong, Fault
from headgate.dialects.turns import Turn, conversation_of, turn_of
from headgate.engine.estimate import BYTES, TURN, tokens_of

Policy = Literal["refuse", "drop_oldest"]

_encode = msgspec.json.Encoder().encode


class Window(Struct, frozen=True):
    """The tokens that a model takes, prompt and answer together, and what becomes of a call with more."""

    tokens: int
    policy: Policy


def fit(call: Call, window: Window, system: System | None) -> int:
    """How many entries the call's conversation has lost, so that it fits; the answer's bound is known by now.

    Raises ContextTooLong, and Forbidden where the caller's system prompt is.
    """
    answer = call.max_tokens
    if answer == 0:  # it asks for vectors, each of a text of its own
        return 0
    room = window.tokens - (answer or 0)
    if _is_small(call, system, room):
        return 0
    try:
        prompt = call.prompt
    except Fault:
        return 0
    tokens = tokens_of(with_system(prompt, system))
    if tokens <= room:
        return 0
    field = conversation_of(call)
    if window.policy == "drop_oldest" and field:
        said: list[Any] = call.fields[field]
        kept = _shortened(call, field, room, system)
        if kept:
            fields = {**call.fields, field: kept}
            call.rewrite(fields, _encode(fields))
            return len(said) - len(kept)
    asked = f"about {tokens} tokens, and the answer may have {answer}" if answer else f"about {tokens} tokens"
    without = ", also without its oldest turns" if window.policy == "drop_oldest" and field else ""
    message = f"the prompt has {asked}: more than the {window.tokens} that this model takes{without}"
    raise ContextTooLong(message, field=field or None)


def _is_small(call: Call, system: System | None, room: int) -> bool:
    """Whether the body's length alone proves that the call fits: every part that is not text says its type."""
    size = len(call.body) + (len(system.text.encode()) if system is not None else 0)
    if not call.body or size // BYTES + 3 * TURN > room:
        return False
    return b'"type"' not in call.body and b"\\u" not in call.body


def _shortened(call: Call, field: str, room: int, system: System | None) -> list[Any]:
    """The longest rest of the conversation that has room; empty where none has."""
    items: list[Any] = call.fields[field]
    turns = [turn_of(item) for item in items]
    always = [item for item, turn in zip(items, turns, strict=True) if turn.by == "system"]
    spent = tokens_of(with_system(call.understand({**call.fields, field: always}), system))

    def size(at: int) -> int:
        return 0 if turns[at].by == "system" else tokens_of(call.understand({field: [items[at]]}))

    since: dict[int, int] = {}
    for at in reversed(range(len(items))):  # no further than there is room, however long the rest may be
        spent += size(at)
        if spent > room:
            break
        since[at] = spent
    for first, start in cuts(turns):
        if start in since and since[start] + (size(first) if first < start else 0) <= room:
            pairs = enumerate(zip(items, turns, strict=True))
            return [item for at, (item, turn) in pairs if turn.by == "system" or at == first or at >= start]
    return []


def cuts(turns: Sequence[Turn]) -> Iterator[tuple[int, int]]:
    """The ways to shorten a conversation, the least loss first: `system` stays, `first`, and all from `start` on.

    `first` is a turn of the user's that may begin it. What the user said last stays, and what came of it last. Whole
    exchanges go first, then the model's oldest steps since the last of them. No tool call is parted from its result.
    """
    words = max((at for at, turn in enumerate(turns) if turn.by == "user"), default=-1)
    whole = _whole(turns)
    begins = [at for at, turn in enumerate(turns[: words + 1]) if turn.begins and whole[at]]
    yield from ((at, at) for at in begins)
    if not begins:
        return
    first = begins[-1]
    last = words if words > first else len(turns)
    steps = _steps(turns, first)
    yield from ((first, at) for at in steps[1:] if at <= last and whole[at])


def _steps(turns: Sequence[Turn], first: int) -> list[int]:
    """Where the model begins to speak after this turn, again and again."""
    found: list[int] = []
    before = "user"
    for at in range(first + 1, len(turns)):
        by = turns[at].by
        if by == "model" and before != "model":
            found.append(at)
        before = before if by == "system" else by
    return found


def _whole(turns: Sequence[Turn]) -> list[bool]:
    """For each turn, whether no tool call before it is answered by it or later."""
    made: dict[str, int] = {}
    answered = [0] * len(turns)
    for at, turn in enumerate(turns):
        for id_ in turn.results:
            if id_ in made:
                answered[made[id_]] = at
        made.update(dict.fromkeys(turn.calls, at))
    until = accumulate(answered, max, initial=-1)
    return [last < at for at, last in zip(range(len(turns)), until, strict=False)]

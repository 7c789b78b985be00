"""Texts to be embedded, and their vectors."""

import pytest

from headgate.core.embedding import EmbedCall, Embedded, joined
from headgate.core.events import Usage
from headgate.core.faults import Unsupported


def test_batches_hold_every_input_once_and_in_order():
    call = EmbedCall(model="m", inputs=tuple("abcde"), dimensions=3)
    batches = call.batches(2)
    assert [batch.inputs for batch in batches] == [("a", "b"), ("c", "d"), ("e",)]
    assert all((batch.model, batch.dimensions) == ("m", 3) for batch in batches)


def test_token_ids_are_no_text():
    assert EmbedCall(model="m", inputs=("a", "b")).texts("Nobody") == ["a", "b"]
    with pytest.raises(Unsupported, match="Nobody") as raised:
        EmbedCall(model="m", inputs=("a", (1, 2))).texts("Nobody")
    assert raised.value.field == "input"


def test_the_parts_of_an_answer_are_one_answer():
    first = Embedded([[1.0]], Usage(3, 0), "m")
    second = Embedded([[2.0], [3.0]], Usage(4, 0), "m")
    assert joined([first, second]) == Embedded([[1.0], [2.0], [3.0]], Usage(7, 0), "m")
    assert joined([first]) is first


def test_tokens_that_one_part_does_not_tell_are_not_known():
    assert joined([Embedded([[1.0]], Usage(3, 0)), Embedded([[2.0]])]).usage is None


def test_the_size_is_about_the_tokens():
    assert EmbedCall(model="m", inputs=("four words of text", "", (1, 2, 3))).size == 5 + 1 + 3

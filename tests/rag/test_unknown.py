"""An answer that says "I don't know" is told from one that knows."""

import pytest

from headgate.rag.unknown import I_DO_NOT_KNOW, is_unknown

SAID = [
    I_DO_NOT_KNOW,
    "I don\u2019t know.",
    "I do not know: none of it is there.",
    "The sources do not contain information on that.",
    "The provided documents don't mention the opening hours.",
    "There is no information about that in the sources.",
    "I cannot answer this from the documents.",
    "Das weiß ich nicht: die Quellen enthalten keine Angaben.",
    "Je ne sais pas.",
    "  ",
]
KNOWN = [
    "It opens at nine [1].",
    "Nine o'clock.",
    "The library does not open on Sundays [2].",
    "The library does not provide parking.",
    "Members cannot find the key on their own.",
    "It opens at nine. On Mondays, I don't know whether it does.",
]


@pytest.mark.parametrize("answer", SAID)
def test_not_knowing_is_heard(answer):
    assert is_unknown(answer, I_DO_NOT_KNOW, cited=False)


@pytest.mark.parametrize("answer", KNOWN)
def test_an_answer_is_one(answer):
    assert not is_unknown(answer, I_DO_NOT_KNOW, cited=False)


def test_the_phrase_counts_even_with_a_citation_and_other_words_do_not():
    assert is_unknown("I don't know: the documents speak of Mondays only [1].", I_DO_NOT_KNOW, cited=True)
    assert not is_unknown("The bylaws do not mention a fee, so it is free [1].", I_DO_NOT_KNOW, cited=True)


def test_the_operator_may_have_a_phrase_of_its_own():
    assert is_unknown("Please ask our team!", "Please ask our team.", cited=False)
    assert not is_unknown("Please come at nine.", "Please ask our team.", cited=False)

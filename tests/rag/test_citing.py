"""Marks in answers: real ones are kept and told of, invented ones are left out, in whatever pieces they come."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.core.asking import Citation
from headgate.rag.citing import Citing


def said(text, known=(1, 2, 3), **how):
    citing = Citing(set(known), **how)
    answer = citing.feed(text) + citing.close()
    assert answer == citing.text
    return answer, citing.citations


@pytest.mark.parametrize(
    ("text", "shown", "cited"),
    [
        ("It opens at nine [1].", "It opens at nine [1].", [1]),
        ("It opens at nine [7].", "It opens at nine.", []),
        ("At nine[2][3], they say.", "At nine[2][3], they say.", [2, 3]),
        ("At nine [1, 8, 2].", "At nine [1, 2].", [1, 2]),
        ("At nine [1,1].", "At nine [1, 1].", [1]),
        ("A list of [no] marks [ ] and [1a] [].", "A list of [no] marks [ ] and [1a] [].", []),
        ("Use `words[9]` there [9].", "Use `words[9]` there.", []),
        ("```\nwords[9]\n```\nas said [9][1]", "```\nwords[9]\n```\nas said[1]", [1]),
        ("A stray ` here\nand [9] there [2]", "A stray ` here\nand there [2]", [2]),
        ("cut at [", "cut at [", []),
        ("[2]", "[2]", [2]),
    ],
)
def test_a_mark_that_points_to_no_source_is_left_out(text, shown, cited):
    answer, citations = said(text)
    assert answer == shown
    assert [each.source_n for each in citations] == cited


def test_a_citation_says_where_its_mark_stands():
    answer, citations = said("Größe [9] zählt [1], Höhe auch [2, 3].")
    assert answer == "Größe zählt [1], Höhe auch [2, 3]."
    assert citations == [Citation(12, 15, 1), Citation(27, 33, 2), Citation(27, 33, 3)]
    assert [answer[each.start : each.end] for each in citations] == ["[1]", "[2, 3]", "[2, 3]"]


def test_hidden_marks_leave_only_their_place():
    answer, citations = said("It opens at nine [1]. It closes [2].", hidden=True)
    assert answer == "It opens at nine. It closes."
    assert citations == [Citation(16, 16, 1), Citation(27, 27, 2)]


PIECES = st.lists(
    st.sampled_from(["[", "1", "2", "9", ",", "]", " ", "word", "`", "```", "\n", "[1]", "[2, 9]", " [7]", "\t"]),
    max_size=30,
)


@given(PIECES, st.booleans())
@example(["```", "```", "```", "[1]"], False)
@example(["[1", *[" ,    2"] * 14, "    ,    ", "3]"], False)
def test_an_answer_in_pieces_is_the_same_as_in_one(pieces, hidden):
    whole = said("".join(pieces), hidden=hidden)
    citing = Citing({1, 2, 3}, hidden=hidden)
    told = "".join([*(citing.feed(piece) for piece in pieces), citing.close()])
    assert (told, citing.citations) == whole


def test_words_are_not_held_back_longer_than_a_mark_can_last():
    citing = Citing({1})
    assert citing.feed("It opens [1") == "It opens"
    assert citing.feed("a] at nine") == " [1a] at nine"
    assert citing.feed(" " * 50_000 + "x" + "[1" * 50_000)
    assert citing.close() == "[1"

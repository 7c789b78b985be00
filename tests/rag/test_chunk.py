"""Passages: where a text is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.rag.chunk import SIZE, embedded, pieces, spans

TEXTS = st.text(st.sampled_from("ab.!? \n#`~\r\t。é\u0301漢\U0001f600-"), max_size=4000) | st.text(max_size=300)


@given(TEXTS, st.integers(20, 200))
def test_a_passage_is_what_stands_between_its_characters(text, size):
    for piece in pieces("d", "t", text, size):
        assert text[piece.start : piece.end] == piece.text
        assert piece.text == piece.text.strip()
        assert 0 < len(piece.text) <= size


@given(TEXTS, st.integers(20, 200))
def test_nothing_but_white_space_is_lost_and_nothing_is_there_twice(text, size):
    end, left = 0, ""
    for span in spans(text, size):
        assert span.start >= end
        left += text[end : span.start]
        end = span.end
    assert not (left + text[end:]).strip()


@given(TEXTS)
def test_every_piece_has_an_id_of_its_own(text):
    ids = [piece.id for piece in pieces("d", "t", text, 50)]
    assert len(set(ids)) == len(ids)


def test_headings_stand_above_what_follows_them():
    body = "word " * 150
    text = f"before {body}\n# One\n{body}\n## Deep\n{body}\n### Deeper ###\n{body}\n## Other\n{body}\n# Two\n{body}"
    paths = [piece.path for piece in pieces("d", "t", text)]
    assert paths == [(), ("One",), ("One", "Deep"), ("One", "Deep", "Deeper"), ("One", "Other"), ("Two",)]


def test_a_comment_in_a_code_block_is_no_heading():
    text = f"# Shell\n{'x ' * 400}\n```sh\n# not a heading\nls\n```\n# Next\n{'y ' * 400}"
    assert {piece.path for piece in pieces("d", "t", text)} == {("Shell",), ("Next",)}


def test_short_sections_stay_together():
    text = "\n".join(f"## Question {n}\nAnswer {n}." for n in range(5))
    assert len(spans(f"# All\n{text}")) < 3


def test_a_text_is_cut_between_paragraphs_rather_than_within():
    first, second = "One sentence here. " * 40, "Another one there. " * 40
    found = pieces("d", "t", f"{first}\n\n{second}")
    assert [piece.text for piece in found] == [first.strip(), second.strip()]


def test_a_text_without_any_division_is_cut_all_the_same():
    assert [len(piece.text) for piece in pieces("d", "t", "x" * 2500)] == [SIZE, SIZE, 500]


def test_an_edit_changes_the_pieces_around_it_alone():
    section = "\n".join(f"## Part {n}\n" + f"All about part {n}. " * 30 for n in range(10))
    before = {piece.id for piece in pieces("d", "t", section)}
    after = {piece.id for piece in pieces("d", "t", section.replace("about part 5.", "changed in part 5.", 1))}
    assert len(before - after) == len(after - before) == 1


@pytest.mark.parametrize(("title", "words"), [("T", "T > H\n\n# H\nwords"), ("", "H\n\n# H\nwords")])
def test_a_vector_is_made_of_title_and_headings_too(title, words):
    assert embedded(title, pieces("d", title, "# H\nwords")[0]) == words

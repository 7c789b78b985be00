"""Token ids become text: whole characters, nothing of a stop string, nothing lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.providers._stops import Words


def decode(ids):
    """One byte a token, as the smallest pieces of every byte-level vocabulary are."""
    return bytes(ids).decode("utf-8", "replace")


def said(text, *stops):
    """The pieces of text, and the stop string that was met."""
    words, pieces = Words(decode, stops), []
    for token in text.encode():
        pieces.append(words.feed(token))
        if words.stopped:
            return pieces, words.stopped
    return [*pieces, words.close()], words.stopped


def test_characters_come_whole():
    pieces, _ = said("aé☂z")
    assert [piece for piece in pieces if piece] == ["a", "é", "☂", "z"]


def test_text_ends_before_the_stop_string():
    pieces, stopped = said("one two three", "two", "three")
    assert ("".join(pieces), stopped) == ("one ", "two")


def test_the_first_of_several_stop_strings_counts():
    assert said("abcdef", "ef", "cd")[1] == "cd"
    assert "".join(said("abcdef", "ef", "cd")[0]) == "ab"


def test_what_only_looks_like_a_stop_string_is_told():
    pieces, stopped = said("aab!", "aaa", "b?")
    assert ("".join(pieces), stopped) == ("aab!", "")


def test_nothing_of_a_stop_string_is_told_early():
    words = Words(decode, ["END"])
    assert [words.feed(token) for token in b"xEN"] == ["x", "", ""]
    assert words.feed(ord("X")) == "ENX"


def test_half_a_character_at_the_end_is_told_as_the_decoder_writes_it():
    words = Words(decode)
    assert words.feed("é".encode()[0]) == ""
    assert words.close() == "\ufffd"


def test_empty_stop_strings_stop_nothing():
    assert said("abc", "")[1] == ""


@given(st.text(max_size=30), st.lists(st.text(min_size=1, max_size=3), max_size=3))
def test_whatever_is_said_the_text_is_what_stands_before_the_first_stop(text, stops):
    pieces, stopped = said(text, *stops)
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    if stopped:
        told = "".join(pieces)
        assert text.startswith(told + stopped)
        assert not any(stop in told for stop in stops)
    else:
        assert "".join(pieces) == text
        assert not ends


@pytest.mark.parametrize("special", [0, 255])
def test_tokens_without_words_say_nothing(special):
    words = Words(lambda ids: decode([each for each in ids if each != special]))
    assert [words.feed(token) for token in (special, ord("a"), special, ord("b"))] == ["", "a", "", "b"]

"""Pieces that are taken for alike would have been found to be only words by a full reading too."""

from hypothesis import given
from hypothesis import strategies as st

from headgate.dialects.openai_chat_plain import Alike, goes_on

BYTES = [
    b'"',
    b"\\",
    b"\n",
    b"\r",
    b"\x00",
    b"u",
    b"d8",
    b"00",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"data: ",
    b" ",
    b"a",
]
WORDS = st.lists(st.sampled_from([*BYTES, b"\xc3\xa9", b"\xff", b'"finish_reason":"stop"', b'"content":"']), max_size=4)
SPACE = st.sampled_from([b"", b" "])


@st.composite
def pairs(draw):
    """A piece, and another that is put together from the same parts or from its own."""
    space, named = draw(SPACE), draw(st.sampled_from([*[b"content"] * 4, b"text"]))
    before = b'{"id":"1","choices":[{"index":0,"delta":{"%b":%b"' % (named, space)
    after = draw(st.sampled_from([b'"},"finish_reason":null}]}', b'"}}],"usage":null}', b'"}}]}']))
    example, other = draw(st.sampled_from([b"", b"Hi", b"\\n"])), b"".join(draw(WORDS))
    cut = draw(st.sampled_from([*[0] * 9, 1, 2, 3]))
    return [b"data: %b\n\n" % (before + words + after[at:]) for words, at in ((example, 0), (other, cut))]


@given(pairs())
def test_what_is_taken_for_alike_is_only_words(pair):
    example, other = pair
    alike = Alike()
    if goes_on(example[6:-2]) and b"\n" not in example[6:-2]:
        alike.learn(example)
    if alike.fits(other):
        assert goes_on(other[6:-2])
        assert b"\n" not in other[6:-2]
        assert b"\r" not in other

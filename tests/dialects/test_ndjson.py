"""Lines of JSON: any split, either line break, bounded."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialects._vendors import CUTS, cut, read
from headgate.core.events import Text
from headgate.core.faults import UpstreamBroken
from headgate.dialects.ndjson import Lines, NdjsonReader

values = st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=5) | st.integers(), max_size=3), max_size=6)


class Reader(NdjsonReader):
    """Says each object's `a`; the last one is finished."""

    def event(self, data):
        self.finished = "end" in data
        return [Text(str(data.get("a")))]


@given(values, CUTS, st.sampled_from(["\n", "\r\n", "\n\n", "\n \r\n"]))
def test_lines_come_out_whole_however_they_are_cut(objects, cuts, break_):
    body = "".join(json.dumps(each, ensure_ascii=False) + break_ for each in objects).encode()
    framer = Lines()
    found = [line for piece in cut(body, cuts) for line in framer.feed(piece)]
    assert [json.loads(line) for line in found] == objects
    assert not framer.pending


def test_a_byte_order_mark_is_no_part_of_the_first_line():
    framer = Lines()
    assert [*framer.feed(b"\xef\xbb"), *framer.feed(b'\xbf{"a":1}\n')] == [b'{"a":1}']


@pytest.mark.parametrize("body", [b"x" * 11, b"x" * 11 + b"\n", b"\n" + b"x" * 11])
def test_a_line_over_the_limit_is_refused(body):
    for size in (1, len(body)):
        framer = Lines(limit=10)
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        with pytest.raises(UpstreamBroken):
            list(map(framer.feed, pieces))


def test_lines_within_the_limit_pass_however_many():
    framer = Lines(limit=10)
    assert len(framer.feed(b"0123456789\n" * 5)) == 5


def test_a_last_line_without_its_line_break_is_read():
    assert read(Reader(), b'{"a":1}\n{"a":2,', b'"end":1}') == [Text("1"), Text("2")]


@pytest.mark.parametrize("body", [b"", b'{"a":1}\n', b'{"a":1}\n{"a":'])
def test_an_answer_without_its_end_is_broken(body):
    with pytest.raises(UpstreamBroken):
        read(Reader(), body)


@pytest.mark.parametrize("line", [b"no\n", b"[1]\n", b"\xff\n", b"data: {}\n"])
def test_a_line_that_is_no_object_is_broken(line):
    with pytest.raises(UpstreamBroken):
        read(Reader(), line)

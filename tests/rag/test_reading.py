"""Files: what is read of them, and what becomes of hostile ones."""

import pytest

from headgate.core.faults import InvalidField
from headgate.rag.reading import DOCX, Reading, Unreadable, media_of, named
from rag._files import deep_docx, docx, laughing_docx, pdf

PAGE = b"""<!doctype html><html><head><title> A  page </title><style>p{}</style></head><body><nav>menu</nav>
<h1>First <em>things</em></h1><p>Some   words<br>and more.</p><ul><li>one</li><li>two</li></ul>
<script>alert(1)</script><pre>a  b
c</pre><table><tr><td>x</td><td>y</td></tr></table></body></html>"""
READING = Reading(seconds=20, memory=512 * 2**20, pages=5, most=100_000)


@pytest.mark.anyio
async def test_a_page_becomes_text_with_its_headings_marked():
    read = await READING.read("text/html", PAGE)
    assert read.title == "A page"
    assert read.text.startswith("# First things\n\nSome words\nand more.\n\n- one")
    assert "x y" in read.text
    assert "menu" not in read.text
    assert "alert" not in read.text


@pytest.mark.anyio
async def test_a_word_document_becomes_text_with_its_headings_marked():
    read = await READING.read(DOCX, docx("# Head", "Body words.", "More."))
    assert read.text == "# Head\n\nBody words.\n\nMore."


@pytest.mark.anyio
async def test_a_pdf_becomes_the_text_of_its_pages():
    read = await READING.read("application/pdf", pdf("Page one", "Page two", title="A title"))
    assert (read.text, read.title) == ("Page one\n\nPage two", "A title")


@pytest.mark.anyio
async def test_text_is_itself():
    assert (await READING.read("text/plain", "\ufeffñ\r\n".encode())).text == "ñ\r\n"
    assert (await READING.read("text/plain", "ñ".encode("utf-16"))).text == "ñ"


HOSTILE = {
    "a zip bomb": (DOCX, docx("x", **{"word/media/zeros": b"\0" * 5_000_000}), "unpacks to more"),
    "a bomb of words": (DOCX, docx("x" * 5_000_000), "unpacks to more"),
    "deep XML": (DOCX, deep_docx(4_000), ""),
    "a billion laughs": (DOCX, laughing_docx(), ""),
    "too many pages": ("application/pdf", pdf(*["x"] * 6), "6 pages, more than 5"),
    "a PDF that is none": ("application/pdf", b"MZ\x90\0" * 100, "no PDF"),
    "a cut PDF": ("application/pdf", pdf("x")[:60], "damaged"),
    "a PDF of images": ("application/pdf", pdf(""), "no text"),
    "a Word document that is none": (DOCX, b"PK\x03\x04 not at all", "no Word document"),
    "another archive": (DOCX, pdf("x"), "no Word document"),
    "too much text": ("text/html", b"<p>" + b"x" * 100_001, "more than 100000 characters"),
    "bytes for text": ("text/plain", b"\x7fELF\0\0\0", "zero bytes"),
    "no UTF-8": ("text/markdown", b"caf\xe9", "byte 3"),
    "an unknown type": ("image/png", b"\x89PNG", "not read"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("what", HOSTILE)
async def test_a_hostile_file_is_refused_in_words(what):
    media, body, words = HOSTILE[what]
    with pytest.raises(Unreadable, match=words or "."):
        await READING.read(media, body)


@pytest.mark.anyio
async def test_a_page_nested_ten_thousand_deep_is_read():
    assert "deep" in (await READING.read("text/html", b"<div>" * 10_000 + b"deep")).text


@pytest.mark.anyio
async def test_a_file_that_takes_too_long_is_given_up():
    with pytest.raises(Unreadable, match=r"longer than 0\.01 s"):
        await Reading(seconds=0.01).read("text/html", PAGE)


@pytest.mark.anyio
async def test_a_file_that_takes_too_much_memory_is_given_up():
    with pytest.raises(Unreadable):
        await Reading(seconds=20, memory=60 * 2**20).read("text/html", b"<p>x</p>" * 2_000_000)


@pytest.mark.parametrize("name", ["../../etc/passwd.md", "..\\..\\x.md", "/etc/x.md", "a\0b\x1b[2J.md"])
def test_a_name_says_nothing_about_folders(name):
    assert media_of(name) == "text/markdown"
    assert not {"/", "\\", "\0", "\x1b"} & set(named(name))


def test_the_type_is_told_by_the_name_or_by_the_sender():
    assert media_of("a.PDF", "text/plain") == "application/pdf"
    assert media_of("README", "text/plain; charset=utf-8") == "text/plain"
    with pytest.raises(InvalidField, match=r"known are \.md"):
        media_of("a.exe", "application/octet-stream")

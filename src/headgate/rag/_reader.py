"""Reads one hostile file, in a process of its own: bytes on standard input, JSON with its text on standard output.

It is run as a script, and imports nothing of Headgate. The first thing it does is to bound itself.
"""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from typing import Any

ENTRIES = 5000
"""Files in an archive."""


class Refused(Exception):
    """A file that cannot be read, in words for whoever sent it."""


def bound(seconds: int, memory: int) -> None:
    """From here on: so much processor time and memory, no files written, no core dumps."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    for what, most in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def html(body: bytes | str) -> tuple[str, str]:
    """The words of a page, its headings marked as in Markdown, and its title."""
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 - an extra, and slow

    tree = LexborHTMLParser(body)
    title = tree.css_first("title")
    named = " ".join(title.text().split()) if title else ""
    for node in tree.css("script, style, noscript, template, svg, nav, head"):
        node.decompose()
    lines: list[str] = []
    _walk(tree.body, lines)
    text = re.sub(r"[ \t\u00a0]+", " ", "".join(lines))
    return re.sub(r" ?\n ?(?:\s*\n)+ ?", "\n\n", text).strip(), named


_BLOCKS = re.compile(
    "address|article|aside|blockquote|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|header|hr|main|ol|p|"
    "pre|section|table|tbody|tfoot|thead|tr|ul"
)


def _walk(root: Any, lines: list[str]) -> None:
    """The text below a node; without recursion, since a page may be nested as deep as it likes."""
    stack: list[Any] = [root] if root is not None else []
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            lines.append(node)
            continue
        if node.tag == "-text":
            words = node.text_content or ""
            lines.append(words if _within_pre(node) else re.sub(r"\s+", " ", words))
            continue
        before, after = _around(node.tag)
        lines.append(before)
        stack.append(after)
        stack.extend(reversed(list(node.iter(include_text=True))))


def _within_pre(node: Any) -> bool:
    parent = node.parent
    return parent is not None and parent.tag in {"pre", "textarea"}


def _around(tag: str) -> tuple[str, str]:
    """What stands before and after an element."""
    if re.fullmatch(r"h[1-6]", tag or ""):
        return "\n\n" + "#" * int(tag[1]) + " ", "\n\n"
    if _BLOCKS.fullmatch(tag or ""):
        return "\n\n", "\n\n"
    return {"br": ("\n", ""), "li": ("\n- ", "\n"), "td": (" ", " "), "th": (" ", " ")}.get(tag, ("", ""))


def pdf(body: bytes, pages: int, most: int) -> tuple[str, str]:
    """The words of a document's pages, and its title."""
    import pypdfium2  # noqa: PLC0415 - an extra, and slow

    if b"%PDF-" not in body[:1024]:
        raise Refused("this is no PDF")
    try:
        document = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        locked = "password" in str(error).lower()
        raise Refused("the PDF needs a password" if locked else "the PDF is damaged") from None
    if len(document) > pages:
        raise Refused(f"the PDF has {len(document)} pages, more than {pages}")
    texts: list[str] = []
    size = 0
    for page in document:
        text = page.get_textpage().get_text_range().replace("\r\n", "\n").replace("\x00", "")
        texts.append(re.sub(r"(?<=[a-z])[\ufffe\u00ad\x02]\n?(?=[a-z])", "", text))
        size += len(text)
        if size > most:
            break
        page.close()
    if not any(text.strip() for text in texts):
        raise Refused("the PDF has no text: its pages are images")
    return "\n\n".join(texts).strip(), (document.get_metadata_dict().get("Title") or "").strip()


def docx(body: bytes, most: int) -> tuple[str, str]:
    """The words of a Word document; its headings are marked."""
    import mammoth  # noqa: PLC0415 - an extra, and slow

    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            files = archive.infolist()
            if len(files) > ENTRIES or sum(file.file_size for file in files) > 10 * most:
                raise Refused("the document unpacks to more than is read")
            if "word/document.xml" not in archive.namelist():
                raise Refused("this is no Word document")
            if archive.getinfo("word/document.xml").file_size > 4 * most:
                raise Refused("the document unpacks to more than is read")
    except zipfile.BadZipFile:
        raise Refused("this is no Word document") from None
    text, _ = html(mammoth.convert_to_html(io.BytesIO(body), convert_image=lambda _: []).value)
    return text, ""


def read(media: str, body: bytes, pages: int, most: int) -> dict[str, Any]:
    """The text of a file and its title, or why there is none."""
    try:
        if media == "application/pdf":
            text, title = pdf(body, pages, most)
        elif media == "text/html":
            text, title = html(body)
        else:
            text, title = docx(body, most)
    except Refused as refused:
        return {"error": str(refused)}
    except ImportError as error:
        what = f'reading {media} needs {error.name}: pip install "headgate[documents]"'
        return {"error": what}
    except (MemoryError, RecursionError):
        return {"error": "the file takes more memory to read than is allowed"}
    except Exception as error:  # noqa: BLE001 - a hostile file may raise anything in anybody's parser
        return {"error": f"the file is damaged ({type(error).__name__})"}
    if len(text) > most:
        return {"error": f"the file has more than {most} characters of text"}
    return {"text": text, "title": title[:500]}


def main() -> None:
    """`media seconds memory pages most`."""
    media, *numbers = sys.argv[1:]
    seconds, memory, pages, most = map(int, numbers)
    bound(seconds, memory)
    answer = read(media, sys.stdin.buffer.read(), pages, most)
    sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=True).encode())


if __name__ == "__main__":
    main()

"""The handbook is taken in and asked as the first lines of its configuration say."""

import re
import shlex
import shutil

import pytest

from journeys._service import command

from .test_summarise import EXAMPLES

pytestmark = pytest.mark.anyio


async def test_the_handbook_answers_with_the_passage_that_says_so(tmp_path):
    folder = shutil.copytree(EXAMPLES / "handbook", tmp_path / "handbook")
    text = (folder / "headgate.toml").read_text()
    ingest, ask, recipe = [shlex.split(line)[1:] for line in re.findall(r"^#   (headgate .*)$", text, re.MULTILINE)]
    assert "2 created" in await command(folder, *ingest)
    assert "2 unchanged" in await command(folder, *ingest)
    answer, _, sources = (await command(folder, *ask)).partition("\n\n[1] ")
    assert "You said: You answer for the desk of a small library" in answer
    assert sources.startswith("Opening hours")
    assert "From October to March the library opens at ten" in sources
    assert "handbook/docs/opening-hours.md:" in sources
    assert "You said: Explain to a child of 8" in await command(folder, *recipe)
    unknown = await command(folder, "ask", "Who painted the chapel's ceiling?")
    assert unknown == "The handbook does not say. Ask at the desk.\n"

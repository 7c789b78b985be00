"""llama.cpp's server, a real one with a real if untaught model, behind Headgate."""

import asyncio
import json
import sys
from pathlib import Path

import anthropic
import httpx2
import openai
import pytest

from clients._openai_talks import asked, streamed

pytest.importorskip("xllamacpp", reason="needs llama.cpp: python3 dev.py test-clients")
pytest.importorskip("gguf", reason="needs llama.cpp: python3 dev.py test-clients")

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
MODEL = "local/tiny"


@pytest.fixture(scope="module")
async def llama(anyio_backend, tmp_path_factory):
    """Where llama.cpp serves the model."""
    from clients.llamacpp.model import CONTEXT, write_model

    folder = tmp_path_factory.mktemp("llamacpp")
    write_model(folder / "tiny.gguf")
    with (folder / "log.txt").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, HERE / "serve.py", folder / "tiny.gguf", str(CONTEXT)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    try:
        async with asyncio.timeout(60):
            line = await process.stdout.readline()
        assert line, (folder / "log.txt").read_text("utf-8", "replace")
        yield line.decode().strip()
    finally:
        process.kill()
        await process.communicate()


@pytest.fixture(scope="module")
def more_config(llama):
    return f'[providers.local]\nkind = "llamacpp"\nbase_url = "{llama}/v1"\n'


@pytest.fixture
async def client(gateway):
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


async def busy_slots(llama):
    """How many answers llama.cpp works on now."""
    async with httpx2.AsyncClient() as http:
        return sum(slot["is_processing"] for slot in (await http.get(f"{llama}/slots")).json())


async def test_a_text(client):
    said = await client.chat.completions.create(model=MODEL, messages=asked(), max_tokens=24, temperature=0)
    [choice] = said.choices
    assert len(choice.message.content) == 24
    assert choice.message.content.isalpha()
    assert (choice.finish_reason, said.usage.completion_tokens) == ("length", 24)
    again = await client.chat.completions.create(model=MODEL, messages=asked(), max_tokens=24, temperature=0)
    assert again.choices[0].message.content == choice.message.content


async def test_a_stream_says_what_the_whole_answer_says(client):
    ask = {"messages": asked(), "max_tokens": 24, "temperature": 0}
    whole = await client.chat.completions.create(model=MODEL, **ask)
    text, finish, usage = await streamed(client, MODEL, stream_options={"include_usage": True}, **ask)
    assert (text, finish) == (whole.choices[0].message.content, ["length"])
    assert usage.completion_tokens == 24


async def test_a_grammar_holds_for_models_that_know_none(client):
    schema = {
        "type": "object",
        "properties": {"a": {"enum": ["x", "y"]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "s", "strict": True, "schema": schema}}
    said = await client.chat.completions.create(model=MODEL, messages=asked(), max_tokens=200, response_format=form)
    assert json.loads(said.choices[0].message.content)["a"] in "xy"


async def test_anthropics_sdk_is_served(gateway):
    ask = {"model": MODEL, "max_tokens": 24, "messages": asked()}
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        said = await client.messages.create(**ask)
        assert (len(said.content[0].text), said.stop_reason, said.usage.output_tokens) == (24, "max_tokens", 24)
        async with client.messages.stream(**ask) as stream:
            assert len("".join([piece async for piece in stream.text_stream])) == 24
            assert (await stream.get_final_message()).stop_reason == "max_tokens"


async def test_older_completions(client):
    said = await client.completions.create(model=MODEL, prompt="a", max_tokens=12)
    assert len(said.choices[0].text) == 12


async def test_a_prompt_beyond_the_window_is_told_so(client):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(model=MODEL, messages=asked("word " * 20_000), max_tokens=4)
    assert caught.value.body["code"] == "context_length_exceeded"


async def until(wanted, llama):
    """Wait until llama.cpp works on so many answers."""
    async with asyncio.timeout(10):
        while await busy_slots(llama) != wanted:  # noqa: ASYNC110 - another program has no events for us
            await asyncio.sleep(0.02)


async def test_who_leaves_stops_the_model(client, llama):
    """The whole answer would take longer than this test is ready to wait.

    Streamed only: of a whole answer's caller llama.cpp itself notices late that nobody waits any more.
    """
    stream = await client.chat.completions.create(model=MODEL, messages=asked(), max_tokens=15_000, stream=True)
    await anext(aiter(stream))
    await until(1, llama)
    await stream.close()
    await until(0, llama)

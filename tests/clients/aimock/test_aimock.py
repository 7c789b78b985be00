"""An upstream that others wrote: the SDKs, through Headgate, to aimock over each of the APIs it imitates."""

import json

import anthropic
import openai
import pytest

from clients import _anthropic_talks, _openai_talks
from clients._node import needs_node, running
from clients.aimock.fixtures import fixtures

pytestmark = [pytest.mark.anyio, needs_node]

PROTOCOLS = {"openai": "/v1", "anthropic": "/v1", "gemini": "/v1beta"}
ANTHROPICS = [
    (talk, kind)
    for talk, kind in _anthropic_talks.cases(PROTOCOLS)
    # aimock says "content_filter" there, which is no word of Anthropic's, and the caller is passed what was said.
    if (talk, kind) != (_anthropic_talks.other_ends, "anthropic")
]


@pytest.fixture(scope="module")
async def more_config(anyio_backend, tmp_path_factory):
    path = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    path.write_text(json.dumps(fixtures()), "utf-8")
    async with running("aimock/serve.mjs", str(path)) as url:
        yield "\n".join(
            f'[providers.aimock-{kind}]\nkind = "{kind}"\napi_key = "k"\nbase_url = "{url}{base}"\n'
            for kind, base in PROTOCOLS.items()
        )


@pytest.mark.parametrize(
    ("talk", "kind"), _openai_talks.cases(PROTOCOLS), ids=lambda given: getattr(given, "__name__", given)
)
async def test_openais_sdk_is_served(gateway, talk, kind):
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        await talk(client, f"aimock-{kind}")


@pytest.mark.parametrize(("talk", "kind"), ANTHROPICS, ids=lambda given: getattr(given, "__name__", given))
async def test_anthropics_sdk_is_served(gateway, talk, kind):
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0) as client:
        await talk(client, f"aimock-{kind}")


async def test_vectors_are_the_same_however_they_travel(gateway):
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        packed = await client.embeddings.create(model="aimock-openai/vectors", input=["one", "two"])
        plain = await client.embeddings.create(model="aimock-openai/vectors", input="one", encoding_format="float")
    assert [each.index for each in packed.data] == [0, 1]
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)
    assert packed.data[0].embedding != packed.data[1].embedding

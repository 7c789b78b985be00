"""OpenAI's own SDK, through Headgate, to models of every dialect."""

import json
import time

import openai
import pytest

from clients._models import HELLO, RED
from clients._openai_talks import CANNOT, a_picture, asked, broken, cases
from journeys._upstreams import KINDS

pytestmark = pytest.mark.anyio


@pytest.fixture
async def client(gateway):
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0) as client:
        yield client


@pytest.mark.parametrize(("talk", "provider"), cases(KINDS), ids=lambda given: getattr(given, "__name__", given))
async def test_the_sdk_is_served(client, talk, provider):
    await talk(client, provider)


@pytest.mark.parametrize("provider", KINDS)
async def test_a_picture_arrives_as_it_was_sent(client, gateway, provider):
    await a_picture(client, provider)
    assert RED in gateway.upstreams.requests("eyes")[-1].body.decode()


async def test_the_sdk_waits_as_long_as_it_is_told_and_asks_again(client, gateway):
    paced = client.with_options(api_key=gateway.paced, max_retries=3)
    began = time.monotonic()
    for _ in range(2):
        said = await paced.chat.completions.create(model="openai/hello", messages=asked())
        assert said.choices[0].message.content == HELLO
    assert time.monotonic() - began >= 0.9  # one request a second


async def test_a_broken_stream_is_an_error_of_the_sdk_with_our_words(client):
    error = await broken(client, "openai/stops")
    assert error.code == "upstream_error"
    assert json.loads(json.dumps(error.body))["type"] == "api_error"


async def test_models_are_listed_and_described(client):
    listed = [model.id async for model in client.models.list()]
    assert listed
    assert (await client.models.retrieve(listed[0])).id == listed[0]
    assert (await client.models.retrieve("openai/hello")).object == "model"


@pytest.mark.parametrize(("talk", "provider"), CANNOT, ids=lambda given: getattr(given, "__name__", given))
async def test_what_a_model_cannot_do_is_refused_by_name(client, talk, provider):
    with pytest.raises(openai.BadRequestError, match="(?i)" + provider):
        await talk(client, provider)

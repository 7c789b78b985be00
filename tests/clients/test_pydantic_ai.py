"""Pydantic AI's agents, through Headgate, by its models for OpenAI (chat and responses) and Anthropic."""

import base64

import pytest

from clients._models import HELLO, NESTED, PARIS, RED, ROME, TOKENS
from clients._openai_talks import ADA, Person
from journeys._upstreams import KINDS

ai = pytest.importorskip("pydantic_ai", reason="needs Pydantic AI: python3 dev.py test-clients")
errors = pytest.importorskip("pydantic_ai.exceptions")
openai_models = pytest.importorskip("pydantic_ai.models.openai")
openai_providers = pytest.importorskip("pydantic_ai.providers.openai")
anthropic_models = pytest.importorskip("pydantic_ai.models.anthropic")
anthropic_providers = pytest.importorskip("pydantic_ai.providers.anthropic")
openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("provider", KINDS)]


@pytest.fixture(params=["chat", "responses", "anthropic"])
async def model(gateway, provider, request):
    ours = openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=gateway.key, max_retries=0)
    theirs = anthropic.AsyncAnthropic(base_url=gateway.url, api_key=gateway.key, max_retries=0)

    def make(name):
        name = f"{provider}/{name}"
        if request.param == "anthropic":
            provided = anthropic_providers.AnthropicProvider(anthropic_client=theirs)
            return anthropic_models.AnthropicModel(name, provider=provided)
        kind = {"chat": openai_models.OpenAIChatModel, "responses": openai_models.OpenAIResponsesModel}[request.param]
        return kind(name, provider=openai_providers.OpenAIProvider(openai_client=ours))

    async with ours, theirs:
        yield make


async def test_a_text(model):
    said = await ai.Agent(model("hello"), instructions="Be brief.").run("Hi")
    assert said.output == HELLO
    assert (said.usage.input_tokens, said.usage.output_tokens) == TOKENS


async def test_a_streamed_text(model):
    async with ai.Agent(model("hello")).run_stream("Hi") as stream:
        assert "".join([piece async for piece in stream.stream_text(delta=True, debounce_by=None)]) == HELLO


@pytest.mark.parametrize(
    ("name", "wanted", "answer"),
    [("weather", [PARIS], "It is 18 degrees in Paris."), ("two", [NESTED, ROME], "Paris 18, Rome 24.")],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_tools(model, name, wanted, answer, streamed):
    given = []
    agent = ai.Agent(model(name))

    @agent.tool_plain
    async def get_weather(city: str, opts: dict | None = None) -> str:
        """Weather of a city."""
        given.append({"city": city} | ({} if opts is None else {"opts": opts}))
        return "18"

    if streamed:
        async with agent.run_stream("How is the weather?") as stream:
            assert await stream.get_output() == answer
    else:
        assert (await agent.run("How is the weather?")).output == answer
    assert given == wanted


async def test_a_structure(model):
    asked = model("person")
    form = ai.PromptedOutput if asked.system == "anthropic" else ai.NativeOutput
    assert (await ai.Agent(asked, output_type=form(Person)).run("A person.")).output == ADA


async def test_a_picture(model, gateway):
    image = ai.BinaryContent(base64.b64decode(RED), media_type="image/png")
    assert (await ai.Agent(model("eyes")).run(["What?", image])).output == "I see a small red square."
    assert RED in gateway.upstreams.requests("eyes")[-1].body.decode()


@pytest.mark.parametrize(("name", "status"), [("bad", 400), ("missing", 404), ("busy", 429), ("overloaded", 503)])
async def test_refusals(model, name, status):
    with pytest.raises(errors.ModelHTTPError) as caught:
        await ai.Agent(model(name)).run("Hi")
    assert caught.value.status_code == status


@pytest.mark.parametrize("broken", ["resets", "stops", "fails"])
async def test_a_stream_that_breaks(model, broken):
    async def listen():
        async with ai.Agent(model(broken)).run_stream("Hi") as stream:
            async for piece in stream.stream_text(delta=True, debounce_by=None):
                heard.append(piece)  # noqa: PERF401 - what came before the exception counts

    heard = []
    with pytest.raises((openai.APIError, anthropic.APIError, errors.AgentRunError)):
        await listen()

"""LangChain's client for OpenAI, through Headgate, to models of every dialect."""

import openai
import pytest

from clients._models import HELLO, NESTED, PARIS, RED, ROME, TOKENS, VECTOR, WEATHER, listen
from clients._openai_talks import ADA, Person
from journeys._upstreams import KINDS

langchain = pytest.importorskip("langchain_openai", reason="needs LangChain: python3 dev.py test-clients")
messages = pytest.importorskip("langchain_core.messages")
tools = pytest.importorskip("langchain_core.tools")

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("provider", KINDS)]


@tools.tool
def get_weather(city: str, opts: dict | None = None) -> str:
    """Weather of a city."""
    return "18"


@pytest.fixture
async def http():
    """LangChain never closes the connections it opens itself."""
    async with openai.DefaultAsyncHttpxClient() as client:
        yield client


@pytest.fixture(params=[False, True], ids=["chat", "responses"])
def model(gateway, provider, request, http):
    def make(name, **settings):
        return langchain.ChatOpenAI(
            model=f"{provider}/{name}",
            base_url=f"{gateway.url}/v1",
            api_key=gateway.key,
            http_async_client=http,
            max_retries=0,
            stream_usage=True,
            use_responses_api=request.param,
            **settings,
        )

    return make


async def test_a_text(model):
    said = await model("hello", temperature=0.2).ainvoke([("system", "Be brief."), ("human", "Hi")])
    assert said.text == HELLO
    assert (said.usage_metadata["input_tokens"], said.usage_metadata["output_tokens"]) == TOKENS


async def test_a_streamed_text(model):
    heard = [piece async for piece in model("hello").astream("Hi")]
    assert "".join(piece.text for piece in heard) == HELLO
    total = sum(heard[1:], heard[0])
    assert (total.usage_metadata["input_tokens"], total.usage_metadata["output_tokens"]) == TOKENS


async def test_a_tools_round_trip(model):
    able = model("weather").bind_tools([get_weather])
    turns = [messages.HumanMessage("Paris?")]
    turns.append(await able.ainvoke(turns))
    [call] = turns[-1].tool_calls
    assert (call["name"], call["args"]) == (WEATHER, PARIS)
    turns.append(await get_weather.ainvoke(call))
    assert (await able.ainvoke(turns)).text == "It is 18 degrees in Paris."


async def test_parallel_tools_streamed(model):
    able = model("two").bind_tools([get_weather])
    heard = [piece async for piece in able.astream("Both?")]
    pieces = [piece for message in heard for piece in message.tool_call_chunks]
    assert len(pieces) >= 2
    said = sum(heard[1:], heard[0])
    assert [call["args"] for call in said.tool_calls] == [NESTED, ROME]
    results = [await get_weather.ainvoke(call) for call in said.tool_calls]
    assert (await able.ainvoke([messages.HumanMessage("Both?"), said, *results])).text == "Paris 18, Rome 24."


async def test_a_structure(model):
    asked = model("person").with_structured_output(Person)
    assert await asked.ainvoke("A person.") == ADA


async def test_a_picture(model, gateway):
    image = {"type": "image", "base64": RED, "mime_type": "image/png"}
    said = await model("eyes").ainvoke([messages.HumanMessage([{"type": "text", "text": "What?"}, image])])
    assert said.text == "I see a small red square."
    assert RED in gateway.upstreams.requests("eyes")[-1].body.decode()


async def test_refusals(model):
    with pytest.raises(openai.BadRequestError):
        await model("bad").ainvoke("Hi")
    with pytest.raises(openai.RateLimitError):
        await model("busy").ainvoke("Hi")
    with pytest.raises(openai.InternalServerError):
        await model("overloaded").ainvoke("Hi")


@pytest.mark.parametrize("broken", ["resets", "stops", "fails"])
async def test_a_stream_that_breaks(model, broken):
    heard = []
    with pytest.raises(openai.APIError):
        await listen(model(broken).astream("Hi"), heard)
    assert any(piece.text for piece in heard)


async def test_vectors(gateway, provider, http):
    made = langchain.OpenAIEmbeddings(
        model=f"{provider}/vectors",
        base_url=f"{gateway.url}/v1",
        api_key=gateway.key,
        http_async_client=http,
        check_embedding_ctx_length=False,  # its tokenizer would be fetched from elsewhere
    )
    if provider == "anthropic":
        with pytest.raises(openai.BadRequestError, match="makes no embeddings"):
            await made.aembed_documents(["one", "two"])
    else:
        assert await made.aembed_documents(["one", "two"]) == [pytest.approx(VECTOR)] * 2

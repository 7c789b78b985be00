"""The Responses API over HTTP: OpenAI's SDK against the whole app, its own memory and a real upstream."""

import json
from contextlib import asynccontextmanager

import openai
import pytest

from headgate.boot.app import create_app
from headgate.testing import LAST_CHUNK, ScriptedUpstream, Upset, chunk, stream_head, whole

from ._served import served

pytestmark = pytest.mark.anyio

CONFIG = """
[access]
api_keys = "key-of-ada-00000001:ada:open,key-of-bob-00000001:bob:open"
[tiers.open]
models = ["*"]
[providers.echo]
kind = "echo"
[providers.native]
kind = "openai"
api_key = "k"
responses = true
base_url = "{url}/v1"
[providers.chat]
kind = "openai"
api_key = "k"
base_url = "{url}/v1"
[store]
url = "sqlite:///headgate.db"
{store}
"""


class Service:
    """A running Headgate, its upstream, and two callers."""

    def __init__(self, url, upstream):
        self.upstream = upstream
        self.ada, self.bob = (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=f"key-of-{name}-00000001", max_retries=0)
            for name in ("ada", "bob")
        )

    def asked(self):
        """The bodies that the upstream was sent."""
        return [json.loads(request.body) for request in self.upstream.requests]


@asynccontextmanager
async def running(folder, *scripts, store=""):
    async with ScriptedUpstream(*scripts) as upstream:
        path = folder / "headgate.toml"
        path.write_text(CONFIG.format(url=upstream.url, store=store))
        with served(create_app(path)) as url:
            service = Service(url, upstream)
            async with service.ada, service.bob:
                yield service


def response(number, text, **more):
    item = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    }
    usage = {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}
    said = {"id": f"resp_{number}", "object": "response", "created_at": 1, "model": "gpt-5", "status": "completed"}
    return {**said, "output": [item], "usage": usage, "brand_new": 1.5, **more}


def answering(*responses):
    return [(whole(json.dumps(said).encode()),) for said in responses]


def streaming(said):
    item = said["output"][0]
    text = item["content"][0]["text"]
    head = {**said, "output": [], "status": "in_progress", "usage": None}
    events = [
        {"type": "response.created", "response": head},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", "output_index": 0, "content_index": 0, "item_id": item["id"],
         "part": {"type": "output_text", "text": "", "annotations": []}},
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": item["id"],
         "delta": text, "logprobs": []},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": said},
    ]  # fmt: skip
    for number, event in enumerate(events):
        data = json.dumps({**event, "sequence_number": number})
        yield chunk(f"event: {event['type']}\ndata: {data}\n\n".encode())


async def collect(stream, seen):
    async for event in stream:
        seen.append(event)


async def test_an_answer_can_be_gone_on_from_by_its_id(tmp_path):
    async with running(tmp_path) as service:
        first = await service.ada.responses.create(model="echo/echo", input="one", instructions="Be brief.")
        second = await service.ada.responses.create(model="echo/echo", input="two", previous_response_id=first.id)
        items = await service.ada.responses.input_items.list(second.id, order="asc")
        said = [(item.role, item.content[0].text) for item in items.data]
        assert said == [("user", "one"), ("assistant", "You said: one"), ("user", "two")]
        assert second.usage.input_tokens == 5  # words of the history count, the earlier instructions don't
        assert second.previous_response_id == first.id


async def test_a_streamed_answer_is_kept_before_its_end_is_seen(tmp_path):
    async with running(tmp_path) as service:
        async with service.ada.responses.stream(model="echo/echo", input="hi") as stream:
            async for event in stream:
                if event.type == "response.completed":
                    kept = await service.ada.responses.retrieve(event.response.id)
        final = await stream.get_final_response()
        assert kept.output_text == final.output_text == "You said: hi"
        assert kept.usage == final.usage


async def test_another_callers_responses_do_not_exist(tmp_path):
    async with running(tmp_path) as service:
        first = await service.ada.responses.create(model="echo/echo", input="secret")
        for act in (
            service.bob.responses.retrieve,
            service.bob.responses.delete,
            service.bob.responses.input_items.list,
        ):
            with pytest.raises(openai.NotFoundError):
                await act(first.id)
        with pytest.raises(openai.BadRequestError) as caught:
            await service.bob.responses.create(model="echo/echo", input="?", previous_response_id=first.id)
        assert caught.value.param == "previous_response_id"
        reference = {"type": "item_reference", "id": first.output[0].id}
        with pytest.raises(openai.BadRequestError, match=first.output[0].id):
            await service.bob.responses.create(model="echo/echo", input=[reference])
        assert (await service.ada.responses.retrieve(first.id)).output_text == "You said: secret"


async def test_a_response_can_be_deleted(tmp_path):
    async with running(tmp_path) as service:
        first = await service.ada.responses.create(model="echo/echo", input="hi")
        await service.ada.responses.delete(first.id)
        with pytest.raises(openai.NotFoundError):
            await service.ada.responses.retrieve(first.id)


@pytest.mark.parametrize("store", ["", "responses = false"])
async def test_what_is_not_to_be_kept_is_not_kept(tmp_path, store):
    wish = {} if store else {"store": False}
    async with running(tmp_path, store=store) as service:
        first = await service.ada.responses.create(model="echo/echo", input="hi", **wish)
        assert first.store is False
        with pytest.raises(openai.NotFoundError):
            await service.ada.responses.retrieve(first.id)


async def test_input_items_come_in_pages(tmp_path):
    async with running(tmp_path) as service:
        asked = [{"role": "user", "content": f"{number}"} for number in range(5)]
        first = await service.ada.responses.create(model="echo/echo", input=asked)
        items = service.ada.responses.input_items.list(first.id, limit=2)
        assert [item.content[0].text async for item in items] == ["4", "3", "2", "1", "0"]


async def test_a_native_answer_is_passed_on_and_kept(tmp_path):
    said = [response(1, "first"), response(2, "second")]
    async with running(tmp_path, *answering(*said)) as service:
        first = await service.ada.responses.create(
            model="native/gpt-5", input="one", extra_body={"brand_new": True, "tools": [{"type": "web_search"}]}
        )
        assert first.to_dict() == said[0]
        await service.ada.responses.create(model="native/gpt-5", input="two", previous_response_id=first.id)
        assert service.upstream.requests[0].path == "/v1/responses"
        one, two = service.asked()
        assert one == {"model": "gpt-5", "input": "one", "brand_new": True, "tools": [{"type": "web_search"}]}
        *history, asked = two.pop("input")
        assert ([item["content"][0]["text"] for item in history], asked["content"]) == (["one", "first"], "two")
        assert two == {"model": "gpt-5"}


async def test_a_native_stream_ends_with_what_it_cost_and_is_kept(tmp_path):
    said = response(1, "Hello")
    async with running(tmp_path, (stream_head(), *streaming(said), LAST_CHUNK)) as service:
        async with service.ada.responses.stream(model="native/gpt-5", input="hi") as stream:
            events = [event async for event in stream]
        assert [event.sequence_number for event in events] == list(range(6))
        final = events[-1].response.to_dict()
        assert "cost_usd" in final["usage"]
        assert (await service.ada.responses.retrieve("resp_1")).output_text == "Hello"


async def test_a_referenced_item_is_put_in_its_place(tmp_path):
    async with running(tmp_path, *answering(response(1, "first"), response(2, "second"))) as service:
        await service.ada.responses.create(model="native/gpt-5", input="one")
        reference = {"type": "item_reference", "id": "msg_1"}
        asked = [reference, {"role": "user", "content": "two"}]
        await service.ada.responses.create(model="native/gpt-5", input=asked)
        assert service.asked()[1]["input"] == [response(1, "first")["output"][0], asked[1]]


async def test_a_server_without_the_api_is_asked_by_chat_completions(tmp_path):
    said = {
        "id": "chatcmpl-1",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
    }
    async with running(tmp_path, *answering(said)) as service:
        first = await service.ada.responses.create(model="chat/m", input="hi", instructions="Be brief.")
        assert (first.output_text, first.usage.total_tokens) == ("Hello", 5)
        assert service.upstream.requests[0].path == "/v1/chat/completions"
        assert [message["role"] for message in service.asked()[0]["messages"]] == ["system", "user"]


async def test_a_cut_stream_is_an_error_and_is_not_kept(tmp_path):
    pieces = list(streaming(response(1, "Hello")))
    async with running(tmp_path, (stream_head(), *pieces[:4], Upset.RESET)) as service:
        seen = []
        stream = await service.ada.responses.create(model="native/gpt-5", input="hi", stream=True)
        with pytest.raises(openai.APIError):
            await collect(stream, seen)
        assert [event.type for event in seen][-1] == "response.output_text.delta"
        with pytest.raises(openai.NotFoundError):
            await service.ada.responses.retrieve("resp_1")


async def test_nobody_reads_a_response_without_a_credential(tmp_path):
    async with running(tmp_path) as service:
        first = await service.ada.responses.create(model="echo/echo", input="hi")
        nobody = service.ada.with_options(api_key="key-of-nobody-0000")
        for act in (nobody.responses.retrieve, nobody.responses.delete, nobody.responses.input_items.list):
            with pytest.raises(openai.AuthenticationError):
                await act(first.id)

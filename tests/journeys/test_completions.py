"""OpenAI's older completions, to a server that has them and to models that only chat."""

import json

import pytest

from headgate.testing import LAST_CHUNK, Upset, chunk, stream_head, whole
from journeys._asking import check_error, check_words
from journeys._service import serving
from journeys._upstreams import data, frames, said

CONFIG = """
[access]
api_keys = "key-of-ann:ann:open"
[tiers.open]
[models.kind]
targets = ["openai/kind"]
system_prompt = "Be kind."
"""
KEY = "key-of-ann"
PATH = "/v1/completions"
USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


@pytest.fixture(scope="module")
async def service(upstreams, tmp_path_factory):
    async with serving(tmp_path_factory.mktemp("completions"), CONFIG + upstreams.config) as service:
        yield service


def piece(text, finish=None, **more):
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt", "choices": [choice], **more}


def streamed(*pieces, end=True):
    sent = [chunk(data(each)) for each in pieces]
    return [stream_head(), *sent, *([chunk(b"data: [DONE]\n\n"), LAST_CHUNK] if end else [Upset.CLOSE])]


def text_of(answer):
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return answer.json["choices"][0]["text"]
    found = [json.loads(told) for _, told in answer.frames if told != "[DONE]"]
    assert {chunk["object"] for chunk in found} == {"text_completion"}
    return "".join(choice["text"] for chunk in found for choice in chunk["choices"])


@pytest.mark.anyio
async def test_a_server_that_has_them_is_asked_for_them_and_passed_on(service, upstreams):
    body = piece(" there", "stop", usage=USAGE, novel={"a": 1})
    model = upstreams.model([whole(json.dumps(body).encode())])
    asked = {"prompt": ["Hello", "Bye"], "suffix": ".", "logprobs": 2, "best_of": 2, "novel": 1}
    answer = await service.post(PATH, {"model": f"openai/{model}", **asked}, key=KEY)
    assert (answer.status, answer.json) == (200, body)
    [seen] = upstreams.requests(model)
    assert seen.path == "/v1/completions"
    assert json.loads(seen.body) == {**asked, "model": model, "max_tokens": 16}
    row = await service.entry(answer)
    assert (row["surface"], row["status"]) == ("openai.completions", "ok")
    assert (row["tokens_in"], row["tokens_out"], row["finish"]) == (5, 7, "stop")


@pytest.mark.anyio
async def test_its_stream_is_passed_on_and_its_usage_told_last(service, upstreams):
    sent = [piece(" th"), piece("ere", "length")]
    model = upstreams.model(streamed(*sent, {**piece(""), "choices": [], "usage": USAGE}))
    asked = {"model": f"openai/{model}", "prompt": "Hello", "stream": True, "stream_options": {"include_usage": True}}
    answer = await service.post(PATH, asked, key=KEY)
    assert answer.complete
    told = [each for _, each in answer.frames]
    assert told[-1] == "[DONE]"
    assert [json.loads(each) for each in told[:-2]] == sent
    assert json.loads(told[-2])["usage"]["total_tokens"] == 12
    assert (await service.entry(answer))["finish"] == "length"


@pytest.mark.anyio
async def test_a_stream_that_is_cut_ends_with_an_error(service, upstreams):
    model = upstreams.model(streamed(piece(" th"), end=False))
    answer = await service.post(PATH, {"model": f"openai/{model}", "prompt": "Hello", "stream": True}, key=KEY)
    assert answer.status == 200
    assert "[DONE]" not in answer.text
    check_words("openai", json.loads(answer.frames[-1][1]))
    assert (await service.entry(answer))["status"] == "partial"


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["anthropic", "gemini"])
async def test_a_model_that_only_chats_completes_too(service, upstreams, kind, stream):
    model = upstreams.model(said(kind, streamed=stream))
    asked = {"model": f"{kind}/{model}", "prompt": "Say hello: ", "stream": stream, "echo": True}
    answer = await service.post(PATH, asked, key=KEY)
    assert answer.status == 200, answer
    assert text_of(answer) == "Say hello: Hello there"
    assert '"finish_reason":"stop"' in answer.text.replace(" ", "")
    assert stream is answer.text.endswith("data: [DONE]\n\n")
    assert (await service.entry(answer))["tokens_out"] == 7


@pytest.mark.anyio
async def test_what_a_chat_cannot_do_is_refused_and_nobody_is_asked(service, upstreams):
    model = upstreams.model(said("anthropic", streamed=False))
    for field, value in {"suffix": ".", "logprobs": 1, "best_of": 3, "prompt": [1, 2]}.items():
        asked = {"model": f"anthropic/{model}", "prompt": "Hello", field: value}
        answer = await service.post(PATH, asked, key=KEY)
        check_error("openai", answer, 400)
        assert (answer.json["error"]["param"], answer.json["error"]["code"]) == (field, "unsupported")
    assert upstreams.requests(model) == []


@pytest.mark.anyio
async def test_the_operators_system_prompt_is_kept(service, upstreams):
    upstreams.model(said("openai", streamed=False), name="kind")
    answer = await service.post(PATH, {"model": "kind", "prompt": "Hello"}, key=KEY)
    assert text_of(answer) == "Hello there"
    [seen] = upstreams.requests("kind")
    assert seen.path == "/v1/chat/completions"
    assert json.loads(seen.body)["messages"][0] == {"role": "system", "content": "Be kind."}


@pytest.mark.anyio
@pytest.mark.parametrize("body", [{}, {"prompt": []}, {"prompt": "x", "n": 0}, {"prompt": "x", "max_tokens": -1}])
async def test_a_wrong_field_is_refused_in_openais_words(service, body):
    answer = await service.post(PATH, body, key=KEY)
    check_error("openai", answer, 400)
    assert answer.json["error"]["type"] == "invalid_request_error"
    assert answer.json["error"]["param"] == (list(body)[-1] if body else "prompt")


@pytest.mark.anyio
async def test_a_stream_of_a_chat_that_is_cut_ends_with_an_error(service, upstreams):
    sent = frames("gemini", "Hel", "lo", end=False)
    model = upstreams.model([stream_head(), *map(chunk, sent), Upset.CLOSE])
    answer = await service.post(PATH, {"model": f"gemini/{model}", "prompt": "Hello", "stream": True}, key=KEY)
    assert "[DONE]" not in answer.text
    check_words("openai", json.loads(answer.frames[-1][1]))


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_a_server_that_turns_out_not_to_have_them_is_asked_for_a_chat(service, upstreams, stream):
    def answered(seen):
        return said("openai", streamed=stream) if seen.path.endswith("/chat/completions") else [whole(b"{}", 404)]

    model = upstreams.model([answered])
    for _ in range(2):
        answer = await service.post(PATH, {"model": f"openai/{model}", "prompt": "Hi", "stream": stream}, key=KEY)
        assert answer.status == 200
        assert text_of(answer) == "Hello there"
    paths = [seen.path for seen in upstreams.requests(model)]
    assert paths == ["/v1/completions", "/v1/chat/completions", "/v1/chat/completions"]


@pytest.mark.anyio
async def test_a_model_that_can_neither_complete_nor_chat_is_not_there(service, upstreams):
    model = upstreams.model([whole(b"{}", 404)])
    check_error("openai", await service.post(PATH, {"model": f"openai/{model}", "prompt": "Hi"}, key=KEY), 404)

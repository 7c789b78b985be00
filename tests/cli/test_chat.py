"""`headgate chat` against a service on a real socket."""

import asyncio
import json

import pytest

from headgate.testing import LAST_CHUNK, ScriptedUpstream, Upset, chunk, stream_head, whole

pytestmark = pytest.mark.anyio


def said(text):
    return chunk(f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n".encode())


DONE = chunk(b"data: [DONE]\n\n") + LAST_CHUNK
HEALTHY = [whole(b'{"status":"ok"}')]


async def chat(command, service, *args):
    return await asyncio.to_thread(command, "chat", "--url", service.url, *args)


async def test_an_answer_is_printed_as_it_streams(shell):
    async with ScriptedUpstream(HEALTHY, [stream_head(), said("Good "), said("day"), DONE]) as service:
        result = await chat(shell, service, "--key", "k1", "--model", "assistant", "--system", "Be brief.", "Hello")
    assert (result.returncode, result.stdout, result.stderr) == (0, "Good day\n", "")
    request = service.requests[1]
    assert request.path == "/v1/chat/completions"
    assert dict(request.headers)["authorization"] == "Bearer k1"
    assert json.loads(request.body) == {
        "model": "assistant",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "stream": True,
    }


async def test_a_models_words_cannot_steer_the_terminal(run):
    async with ScriptedUpstream(HEALTHY, [stream_head(), said("\x1b[2Ja\x07\tb\x9bc\nd"), DONE]) as service:
        result = await chat(run, service, "Hello")
    assert result.stdout == "[2Ja\tbc\nd\n"


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ([whole(b'{"error":{"message":"The key is not valid."}}', 401)], "The key is not valid."),
        ([whole(b"<html>", 502)], "the service answered 502"),
        ([stream_head(), said("half"), LAST_CHUNK], "the answer was cut off"),
        ([stream_head(), chunk(b'data: {"error":{"message":"Too slow."}}\n\n'), LAST_CHUNK], "Too slow."),
        ([stream_head(), said("half"), Upset.RESET], "the service broke off"),
    ],
)
async def test_what_goes_wrong_is_a_sentence(run, script, sentence):
    async with ScriptedUpstream(HEALTHY, script) as service:
        result = await chat(run, service, "Hello")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {sentence}")
    assert "Traceback" not in result.stderr


async def test_a_service_that_was_named_and_does_not_answer_is_told(run):
    async with ScriptedUpstream() as service:
        url = service.url
    result = await asyncio.to_thread(run, "chat", "--url", url, "Hello")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"Error: no service answers at {url}\n")

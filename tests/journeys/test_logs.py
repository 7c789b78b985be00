"""The log of a whole service, under callers who want to write into it."""

import json

import pytest

from journeys._asking import ask
from journeys._service import serving

CONFIG = """
[access]
anonymous = true
api_keys = "key-of-ann:ann:open"
[telemetry]
log_format = "json"
log_level = "debug"
[tiers.open]
[tiers.anonymous]
requests = "1000/minute"
requests_per_address = "unlimited"
models = ["*"]
"""
FORGED = 'x\n{"level": "fatal", "message": "forged"}\x1b[2J\x9b31m\u202e'


@pytest.mark.anyio
async def test_no_caller_can_forge_a_line_or_read_words_of_others_there(tmp_path):
    async with serving(tmp_path, CONFIG) as service:
        secret = {**ask("simple", "echo/x"), "message": "the-words-of-ann"}
        secret.pop("prompt", None)
        assert (await service.post("/chat", secret, key="key-of-ann")).status == 200
        assert (await service.post("/chat", {"message": "hi", "model": FORGED})).status == 404
        assert (await service.post("/chat", {FORGED: "the-words-of-ann"})).status == 422
        assert (await service.post("/chat", {"message": "hi"}, key="a-wrong-key-of-bob")).status == 401
        sent = {"X-Request-Id": "\x1b[2Jid", "X-Forwarded-For": "forged", "traceparent": "\x1b[2J"}
        assert (await service.post("/chat", {"message": "hi"}, headers=sent)).status in {200, 400}
        assert len(await service.entries()) >= 4
    lines = [line for line in service.log.splitlines() if line.startswith("{")]
    told = [json.loads(line) for line in lines]
    assert all(line.isprintable() for line in lines)
    assert {line["level"] for line in told} <= {"debug", "info", "warning"}
    assert [line for line in told if line.get("model") == FORGED[:100]]
    for word in ("the-words-of-ann", "key-of-ann", "key-of-bob", "forged\x1b"):
        assert word not in service.log

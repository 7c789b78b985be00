"""A budget outlives the process: what was used counts on when the service starts anew, however it ended."""

import asyncio
import sqlite3

import pytest

from journeys._asking import PATHS, ask
from journeys._service import ADMIN, serving
from journeys._upstreams import said

CONFIG = """
[access]
api_keys = "key-of-ann:ann:capped, key-of-bob:bob:capped"
[tiers.capped]
requests = ["5/hour", "100/minute"]
tokens = "10_000/day"
spend_usd = "1/month"
[tiers.open]
[limits]
requests = "8/2h"
[prices."openai/*"]
input = 10
output = 100
"""


async def limits(service, key):
    """What is left, of windows that outlive a restart."""
    rows = (await service.get("/me", key=key)).json["limits"]
    return {row["rule"]: row["left"] for row in rows if "minute" not in row["rule"]}


@pytest.mark.anyio
@pytest.mark.parametrize("killed", [False, True])
async def test_caps_hold_over_a_restart(upstreams, tmp_path, killed):
    config = CONFIG + upstreams.config
    model = f"openai/{upstreams.model(said('openai', streamed=False))}"
    body = ask("openai", model, max_tokens=5)

    async def status(service, key):
        return (await service.post(PATHS["openai"], body, key=key)).status

    async with serving(tmp_path, config) as service:
        made = await service.post("/admin/keys", {"tier": "open", "limits": {"spend_usd": "0.002/day"}}, key=ADMIN)
        own = made.json["key"]
        assert [await status(service, "key-of-ann") for _ in range(3)] == [200] * 3
        assert await status(service, own) == 200
        ann, key = await limits(service, "key-of-ann"), await limits(service, own)
        if killed:
            service.process.kill()
            await service.ended()
    assert ann["5 requests an hour"] == 2
    assert ann["$1.00 a month"] < 1
    async with serving(tmp_path, config) as service:
        assert await limits(service, "key-of-ann") == ann
        assert await limits(service, own) == key
        assert [await status(service, "key-of-ann") for _ in range(4)] == [200, 200, 429, 429]
        assert await status(service, own) == 429
        assert [await status(service, "key-of-bob") for _ in range(3)] == [200, 200, 429]


@pytest.mark.anyio
async def test_calls_older_than_the_operator_keeps_them_are_deleted_at_the_next_start(upstreams, tmp_path):
    config = CONFIG + upstreams.config
    model = f"openai/{upstreams.model(said('openai', streamed=False))}"
    async with serving(tmp_path, config) as service:
        for _ in range(3):
            assert (await service.post("/chat", ask("simple", model, max_tokens=5), key="key-of-ann")).status == 200
        assert len(await service.entries(principal="ann")) == 3
    base = sqlite3.connect(tmp_path / ".headgate" / "headgate.db")
    with base:
        base.execute("UPDATE entries SET at = at - 32 * 86400 WHERE id <> (SELECT MAX(id) FROM entries)")
    async with serving(tmp_path, config + '[store]\nkeep = "31 days"\n') as service:
        async with asyncio.timeout(10):
            while len(await service.entries(principal="ann")) > 1:  # noqa: ASYNC110 - another process deletes
                await asyncio.sleep(0.05)
        assert len(service.stored()) == 1
    base.close()

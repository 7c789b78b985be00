"""Several processes serve as one: limits hold over all of them, and each can be lost."""

import asyncio
import json
import os
import signal
import subprocess
from collections import Counter

import pytest

from journeys._asking import PATHS, ask, check_error, check_good
from journeys._caller import connected, request
from journeys._service import ADMIN, command, serving
from journeys._upstreams import said
from servers import valkey

CONFIG = """
[access]
anonymous = true
api_keys = "key-of-ann:ann:twenty, key-of-fay:fay:one, key-of-gus:gus:open, key-of-hal:hal:rich"
[models.parrot]
targets = ["echo/echo"]
[tiers.open]
[tiers.twenty]
requests = "20/minute"
[tiers.one]
concurrent = 1
[tiers.rich]
spend_usd = "1/day"
"""
PRICES = '[prices."openai/*"]\ninput = 10\noutput = 100\n'


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def shared(store):
    if store.process is None:
        store.start()
    return f'[shared]\nurl = "{store.url}"\n'


def workers_of(service):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(service.process.pid)], stdout=subprocess.PIPE, check=True
    )
    return [int(pid) for pid in listed.stdout.split()]


async def eventually(check, patience=10.0):
    async with asyncio.timeout(patience):
        while not await check():  # noqa: ASYNC110 - another process changes
            await asyncio.sleep(0.05)


async def many(number, *services, key, path="/chat", body=None):
    body = body or ask("simple", "parrot")
    calls = [services[n % len(services)].post(path, body, key=key) for n in range(number)]
    return Counter(answer.status for answer in await asyncio.gather(*calls))


@pytest.mark.anyio
async def test_workers_count_together_and_one_that_dies_is_replaced(shared, tmp_path):
    async with serving(tmp_path, CONFIG + shared + "[server]\nworkers = 2\n") as service:
        await eventually(lambda: asyncio.sleep(0, len(workers_of(service)) == 2))
        assert await many(60, service, key="key-of-ann") == {200: 20, 429: 40}
        assert len(await service.entries(principal="ann")) == 60
        lost, kept = workers_of(service)
        os.kill(lost, signal.SIGKILL)

        async def replaced():
            now = workers_of(service)
            return len(now) == 2 and kept in now and lost not in now

        await eventually(replaced)
        for _ in range(5):
            assert (await service.get("/health")).status == 200
        assert await many(1, service, key="key-of-ann") == {429: 1}
        totals = await service.get("/metrics", key=ADMIN)
        assert totals.status == 200


@pytest.mark.anyio
async def test_workers_drain_when_the_service_is_told_to_stop(shared, upstreams, tmp_path):
    model = upstreams.model([0.7, *said("openai", streamed=True)])
    async with serving(tmp_path, CONFIG + shared + upstreams.config + "[server]\nworkers = 2\n") as service:
        body = ask("openai", f"openai/{model}", stream=True)
        running = [asyncio.create_task(service.post(PATHS["openai"], body, key="key-of-gus")) for _ in range(4)]
        await upstreams.asked(model, 4)
        service.terminate()
        for answer in await asyncio.gather(*running):
            check_good("openai", answer)
        assert await service.ended() == 0
        assert service.log.count(" ok ") == 4


@pytest.mark.anyio
async def test_workers_that_cannot_start_are_not_tried_for_ever(tmp_path):
    config = '[server]\nworkers = 2\n[shared]\nper_process = true\n[models.m]\ntargets = ["nobody/x"]\n'
    (tmp_path / "headgate.toml").write_text(config)
    code, told = await command(tmp_path, "serve", "--port", "0", code=True)
    assert code == 1
    assert "nobody" in told


@pytest.mark.anyio
async def test_replicas_share_limits_keys_and_ledger_over_postgres(shared, postgres_url, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    config = CONFIG + shared + f'[store]\nurl = "{postgres_url}"\n'
    (tmp_path / "headgate.toml").write_text(config)
    code, told = await command(tmp_path, "serve", "--port", "0", code=True)
    assert code == 1
    assert "headgate migrate" in told
    assert "0001_ledger" in await command(tmp_path, "migrate")
    async with serving(tmp_path / "a", config) as one, serving(tmp_path / "b", config) as other:
        made = (await one.post("/admin/keys", {"tier": "open", "limits": {"requests": "7/minute"}}, key=ADMIN)).json
        key = made["key"]

        async def known():
            return (await other.get("/me", key=key)).status == 200

        await eventually(known)
        assert await many(30, one, other, key=key) == {200: 7, 429: 23}

        async def written():
            return (await one.get("/usage", key=key)).json["total"]["requests"] == 30

        await eventually(written)


@pytest.mark.anyio
async def test_a_caller_who_hangs_up_frees_its_slot_everywhere(shared, upstreams, tmp_path):
    model = upstreams.model([*said("openai", streamed=True)[:2], 60], said("openai", streamed=False))
    async with serving(tmp_path, CONFIG + shared + upstreams.config) as service:
        async with connected(service.port) as line:
            body = ask("openai", f"openai/{model}", stream=True)
            sent = json.dumps(body).encode()
            await line.send(request("POST", PATHS["openai"], sent, {"Authorization": "Bearer key-of-fay"}))
            await line.head()
            waiting = await service.post(PATHS["openai"], ask("openai", f"openai/{model}"), key="key-of-fay")
            check_error("openai", waiting, 429)

        async def free():
            answer = await service.post(PATHS["openai"], ask("openai", f"openai/{model}"), key="key-of-fay")
            return answer.status == 200

        await eventually(free, 3.0)


@pytest.mark.anyio
async def test_without_the_shared_store_limits_refuse_until_it_is_back(store, shared, tmp_path):
    async with serving(tmp_path, CONFIG + shared) as service:
        assert (await service.get("/ready")).status == 200
        store.kill()
        for surface in ("simple", "openai", "anthropic"):
            answer = await service.post(PATHS[surface], ask(surface, "parrot"), key="key-of-ann")
            check_error(surface, answer, 503, "overloaded")
            assert answer.headers["retry-after"] == "1"
        ready = await service.get("/ready")
        assert (ready.status, ready.json["failing"]) == (503, ["shared"])
        check_good(
            "simple", await service.post("/chat", ask("simple", "parrot"), key="key-of-gus"), "You said: Say hello"
        )
        store.start()

        async def back():
            return (await service.get("/ready")).status == 200

        await eventually(back)
        assert await many(25, service, key="key-of-ann") == {200: 20, 429: 5}


@pytest.mark.anyio
async def test_without_the_shared_store_a_service_may_count_its_share_and_says_so(store, shared, upstreams, tmp_path):
    local = 'when_down = "local"\nreplicas = 2\n'
    model = upstreams.model(said("openai", streamed=False))
    async with serving(tmp_path, CONFIG + shared + local + upstreams.config + PRICES) as service:
        store.kill()
        assert await many(25, service, key="key-of-ann") == {200: 10, 429: 15}
        body = ask("openai", f"openai/{model}", max_tokens=5)
        assert (await service.post(PATHS["openai"], body, key="key-of-hal")).status == 503
        ready = await service.get("/ready")
        assert (ready.status, ready.json["failing"], ready.json["degraded"]) == (200, [], ["shared"])
        metrics = await service.get("/metrics", key=ADMIN)
        assert 'headgate_degraded{part="shared"} 1.0' in metrics.text

"""Several workers are watched, and change, as one service."""

import asyncio
import json
import os
import signal
import subprocess
from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from headgate.access import keys
from headgate.boot import reload
from journeys._asking import PATHS, ask
from journeys._caller import connected, request
from journeys._service import ADMIN, serving
from journeys._upstreams import said

CONFIG = """
[access]
anonymous = false
api_keys = "key-of-ann:ann:open, key-of-bob:bob:{bob}"
[models.parrot]
targets = ["echo/{echo}"]
[providers.echo]
[tiers.open]
[tiers.two]
requests = "2/hour"
[server]
workers = 2
[shared]
per_process = true
"""


def config(bob="two", echo="echo"):
    return CONFIG.format(bob=bob, echo=echo)


def workers_of(service):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(service.process.pid)], stdout=subprocess.PIPE, check=True
    )
    return [int(pid) for pid in listed.stdout.split()]


async def eventually(check, patience=10.0):
    async with asyncio.timeout(patience):
        while not await check():  # noqa: ASYNC110 - another process changes
            await asyncio.sleep(0.05)


async def told(service):
    """The metrics, as one worker or the other tells them: names to the sums of their series."""
    answer = await service.get("/metrics", key=ADMIN)
    assert answer.status == 200
    sums = defaultdict(float)
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            sums[sample.name] += sample.value
            sums[sample.name, *sorted(sample.labels.values())] += sample.value
    return sums


async def ready(service):
    async def both():
        return (await told(service))["headgate_workers"] == 2

    await eventually(both)


@pytest.mark.anyio
async def test_whichever_worker_answers_tells_the_sum_also_of_one_that_died(tmp_path):
    async with serving(tmp_path, config()) as service:
        await ready(service)
        for _ in range(20):
            assert (await service.post("/chat", ask("simple", "parrot"), key="key-of-ann")).status == 200
        wrong = await asyncio.gather(*(service.post("/chat", ask("simple", "parrot"), key="no-key") for _ in range(5)))
        assert {answer.status for answer in wrong} == {401}

        async def counted(number):
            asked = [await told(service) for _ in range(4)]
            return all(each["headgate_calls_total"] == number for each in asked)

        await eventually(lambda: counted(25))
        assert (await told(service))["headgate_calls_total", "", "", "chat", "refused", "unauthenticated"] == 5
        lost = workers_of(service)[0]
        os.kill(lost, signal.SIGKILL)

        async def replaced():
            now = workers_of(service)
            return len(now) == 2 and lost not in now

        await eventually(replaced)
        await eventually(lambda: counted(25))
        await ready(service)
        assert (await service.post("/chat", ask("simple", "parrot"), key="key-of-ann")).status == 200
        await eventually(lambda: counted(26))


@pytest.mark.anyio
async def test_streams_of_every_worker_are_seen_while_they_run(upstreams, tmp_path):
    model = upstreams.model([*said("openai", streamed=True)[:2], 60])
    async with serving(tmp_path, config() + upstreams.config) as service:
        await ready(service)
        body = ask("openai", f"openai/{model}", stream=True)
        lines = [connected(service.port) for _ in range(6)]
        for line in lines:
            opened = await line.__aenter__()
            await opened.send(request("POST", PATHS["openai"], json.dumps(body).encode(), {"X-API-Key": "key-of-ann"}))
            await opened.head()

        async def streams(number):
            now = await told(service)
            return now["headgate_open_streams"] == number and now["headgate_in_flight_requests"] >= number

        await eventually(lambda: streams(6))
        for line in lines:
            await line.__aexit__(None, None, None)
        await eventually(lambda: streams(0))


async def everywhere(check, tries=12):
    """Wait until every one of many connections, so both workers, agree."""

    async def all_agree():
        return all(await asyncio.gather(*(check() for _ in range(tries))))

    await eventually(all_agree, patience=5.0)


def test_every_worker_looks_for_changes_more_often_than_once_a_second():
    assert max(keys.POLL, reload.EVERY) <= 0.5


@pytest.mark.anyio
async def test_keys_and_a_saved_configuration_reach_every_worker(tmp_path):
    async with serving(tmp_path, config()) as service:
        await ready(service)

        async def status(key, expected):
            return (await service.get("/me", key=key)).status == expected

        made = (await service.post("/admin/keys", {"user": "eve", "tier": "open"}, key=ADMIN)).json
        await everywhere(lambda: status(made["key"], 200))
        assert (await service.call("DELETE", f"/admin/keys/{made['id']}", key=ADMIN)).status == 200
        await everywhere(lambda: status(made["key"], 401))

        async def limits(number):
            return len((await service.get("/me", key="key-of-bob")).json["limits"]) == number

        async def speaks(model):
            answer = await service.post("/chat", ask("simple", "parrot"), key="key-of-ann")
            return answer.json["model"] == model

        await everywhere(lambda: limits(1))
        new = service.config.with_suffix(".new")
        new.write_text(config(bob="open", echo="other"))
        new.replace(service.config)
        await everywhere(lambda: limits(0))
        await everywhere(lambda: speaks("other"))
        service.config.write_text("this is not TOML")  # a faulty one changes nothing anywhere

        async def complained():
            return service.log.count("the changed configuration is faulty") == 2

        await eventually(complained)
        await everywhere(lambda: speaks("other"), tries=6)

"""Of any number of callers exactly as many are let in as a limit allows: every kind of rule, whoever it is about.

On one process, on two workers, on three replicas. Nothing is left taken, not even by a worker that was killed.
"""

import asyncio
import json
import random
from dataclasses import dataclass, field
from itertools import cycle

import pytest

from headgate.testing import LAST_CHUNK, Upset, chunk, stream_head, whole
from journeys._asking import PATHS, ask
from journeys._caller import Cut, connected, request
from journeys._fleets import FLEETS, eventually, fleet, size, tally
from journeys._service import ADMIN
from journeys._upstreams import Upstreams, answer, data, frames
from servers import valkey

IN, OUT = 10_000, 100_000  # nano-USD a token
USED_TOKENS, USED_SPEND = 12, 5 * IN + 7 * OUT  # by the answer that every held call gets
CALLERS = 30
LIMITS = {"requests": 7, "tokens": 1500, "spend": 50_000_000, "concurrent": 5}
RULES = {"requests": "7/hour", "tokens": "1500/hour", "spend_usd": "0.05/day", "concurrent": 5}
KINDS = dict(zip(LIMITS, RULES, strict=True))
SERVICE = 300
SHARED = "the service"
BUDGET = 200_000_000


def toml(rules: dict) -> str:
    return ", ".join(f"{kind} = {json.dumps(rule)}" for kind, rule in rules.items())


CONFIG = f"""
[access]
anonymous = true
trusted_proxies = ["127.0.0.1"]
api_keys = '''
{"".join(f"{user}-of-{kind}:{user}:{kind}," for kind in LIMITS for user in ("tier", "twin"))}
{"".join(f"again-of-{kind}:twin:{kind}," for kind in LIMITS)}
open:open:open,racer:racer:racing,killed:killed:concurrent'''
[routing]
default = "echo/echo"
[providers.echo]
[tiers.anonymous]
requests_per_address = "7/hour"
models = ["*"]
[tiers.open]
[tiers.racing]
spend_usd = "0.2/day"
{"".join(f"[tiers.{kind}]{chr(10)}{toml({rule: RULES[rule]})}{chr(10)}" for kind, rule in KINDS.items())}
{
    "".join(
        f'[models.of-{kind}]{chr(10)}targets = ["openai/model-of-{kind}"]{chr(10)}'
        f"limits = {{ {toml({rule: RULES[rule]})} }}{chr(10)}"
        for kind, rule in KINDS.items()
    )
}
[limits]
requests = "{SERVICE}/hour"
[prices."openai/*"]
input = {IN / 1000}
output = {OUT / 1000}
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
async def upstreams():
    """New ones for each fleet, so that each is counted for itself."""
    made = Upstreams()
    async with made.server:
        yield made


@dataclass
class Case:
    """Callers under one rule: they take turns with these keys (or addresses), and ask for this model."""

    kind: str
    model: str
    target: str
    keys: list[str] = field(default_factory=lambda: ["open"])
    addresses: list[str] = field(default_factory=list)

    @property
    def body(self):
        return ask("openai", self.model, max_tokens=50)

    @property
    def admitted(self) -> int:
        """How many fit at once, each at its worst case."""
        worst = {"tokens": size(self.body) + 50, "spend": size(self.body) * IN + 50 * OUT}
        return LIMITS[self.kind] // worst.get(self.kind, 1)

    def ways(self):
        if self.addresses:
            return [{"headers": {"X-Forwarded-For": address}} for address in self.addresses]
        return [{"key": key} for key in self.keys]


async def cases_of(here) -> list[Case]:
    cases = []
    for kind, rule in KINDS.items():
        limits = {rule: str(RULES[rule])}
        made = await here.services[0].post("/admin/keys", {"user": "k", "tier": "open", "limits": limits}, key=ADMIN)
        own = made.json["key"]
        for service in here.services:
            await eventually(lambda at=service, key=own: known(at, key))
        cases += [
            Case(kind, f"openai/tier-{kind}", f"tier-{kind}", [f"tier-of-{kind}"]),
            Case(kind, f"openai/user-{kind}", f"user-{kind}", [f"twin-of-{kind}", f"again-of-{kind}"]),
            Case(kind, f"openai/key-{kind}", f"key-{kind}", [own]),
            Case(kind, f"of-{kind}", f"model-of-{kind}"),
        ]
    addresses = ["2001:db8::1", "2001:db8::2"]  # one household
    return [*cases, Case("requests", "openai/address", "address", addresses=addresses)]


async def known(service, key):
    return (await service.get("/me", key=key)).status == 200


class Held:
    """A model that answers once it is let."""

    def __init__(self, upstreams, name: str) -> None:
        self.go = False
        self.name = upstreams.model([lambda _: self._steps()], name=name)

    def _steps(self):
        while not self.go:
            yield 0.02
        yield whole(json.dumps(answer("openai")).encode())


async def race(here, upstreams, case: Case) -> int:
    """All callers at once; how many were let in, which is as many as it must be."""
    model = Held(upstreams, case.target)
    ways = cycle(case.ways())
    calls = [asyncio.create_task(here.post(PATHS["openai"], case.body, **next(ways))) for _ in range(CALLERS)]
    async with asyncio.timeout(20):
        while sum(call.done() for call in calls) + len(upstreams.requests(model.name)) < CALLERS:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    model.go = True
    statuses = tally(await asyncio.gather(*calls))
    assert statuses == {200: case.admitted, 429: CALLERS - case.admitted}, case
    assert len(upstreams.requests(model.name)) == case.admitted, case
    return case.admitted


async def check_settled(here, case: Case) -> None:
    """What was not used has been given back, to the last token."""
    used = {"requests": 1, "tokens": USED_TOKENS, "spend": USED_SPEND, "concurrent": 0}
    left = LIMITS[case.kind] - used[case.kind] * case.admitted
    unit = {"spend": "USD", "concurrent": "requests at once"}.get(case.kind, case.kind)

    async def settled():
        limits = (await here.next.get("/me", key=case.keys[0])).json["limits"]
        found = [limit["left"] for limit in limits if limit["unit"] == unit and limit["scope"] != SHARED]
        return found == [left / 1e9 if case.kind == "spend" else left]

    await eventually(settled, 5.0)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", FLEETS)
async def test_exactly_as_many_are_let_in_as_every_rule_allows(kind, store, postgres_url, upstreams, tmp_path):
    async with fleet(
        kind, tmp_path, CONFIG + upstreams.config, f"{store.url}/{FLEETS.index(kind)}", postgres_url
    ) as here:
        admitted = await lose_a_worker(here, upstreams) if kind == "two workers" else 0
        for case in await cases_of(here):
            admitted += await race(here, upstreams, case)
            if "openai/" in case.model and not case.addresses:
                await check_settled(here, case)
        admitted += await spend(here, upstreams)
        flood = [here.post(PATHS["openai"], ask("openai", "echo/echo"), key="open") for _ in range(SERVICE)]
        statuses = tally(await asyncio.gather(*flood))
        assert admitted + statuses[200] == SERVICE
        if kind == "two workers":
            await eventually(lambda: nothing_taken(here, "killed"), 30.0)


async def nothing_taken(here, key: str) -> bool:
    limits = (await here.next.get("/me", key=key)).json["limits"]
    [limit] = [limit for limit in limits if limit["scope"] != SHARED]
    return limit["left"] == LIMITS["concurrent"]


async def lose_a_worker(here, upstreams) -> int:
    """SIGKILL for a worker that holds slots; how many calls had been let in."""
    model = Held(upstreams, "until-death")
    body = ask("openai", "openai/until-death")
    calls = [asyncio.create_task(here.post(PATHS["openai"], body, key="killed")) for _ in range(LIMITS["concurrent"])]
    await upstreams.asked(model.name, len(calls))
    await here.kill_a_worker()
    await asyncio.sleep(0.1)
    model.go = True
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(outcome, Cut | OSError) or outcome.status == 200
    return len(calls)


class Meter:
    """An upstream that says as many words as it likes, up to what it was allowed, and keeps the bill."""

    def __init__(self, upstreams, seed: int) -> None:
        self.billed = 0
        self._chance = random.Random(seed)
        self.name = upstreams.model([self._steps], name="meter")

    def _steps(self, seen):
        asked = json.loads(seen.body)
        most = asked.get("max_tokens") or asked.get("max_completion_tokens")
        words = self._chance.randint(1, most)
        self.billed += 5 * IN + words * OUT
        yield stream_head()
        yield chunk(b"".join(frames("openai", *["w "] * words, end=False)))
        ending = self._chance.random()
        if ending < 0.1:
            yield 0.05
            yield Upset.RESET
        elif ending < 0.2:
            yield Upset.HANG  # the caller leaves
        usage = {"prompt_tokens": 5, "completion_tokens": words, "total_tokens": 5 + words}
        end = {"id": "c1", "object": "chat.completion.chunk", "model": "gpt"}
        stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
        yield chunk(data({**end, "choices": [stop]}) + data({**end, "choices": [], "usage": usage}))
        yield chunk(b"data: [DONE]\n\n")
        yield LAST_CHUNK


async def stream(here, number: int) -> int:
    """One stream to its end, or until it falls silent; its status."""
    bound = {} if number % 4 == 0 else {"max_tokens": number % 150 + 1}
    body = json.dumps(ask("openai", "openai/meter", stream=True, **bound)).encode()
    async with connected(here.next.port) as line:
        await line.send(request("POST", PATHS["openai"], body, {"Authorization": "Bearer racer"}))
        answer = await line.head()
        pieces = line.pieces(answer)
        await anext(pieces)
        try:
            while True:
                async with asyncio.timeout(0.5):
                    await anext(pieces)
        except (StopAsyncIteration, TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            return answer.status


async def spend(here, upstreams) -> int:
    """200 streams of unknown length race for one budget, until it is used up; how many were let in."""
    meter = Meter(upstreams, 1)
    statuses = await asyncio.gather(*(stream(here, number) for number in range(200)))
    while 200 in (more := await asyncio.gather(*(stream(here, number) for number in range(1, 40)))):
        statuses += more
    while await stream(here, 150) == 200:  # of one token
        statuses.append(200)
    assert set(statuses) == {200, 429}
    assert meter.billed <= BUDGET
    assert len(upstreams.requests(meter.name)) == statuses.count(200)

    async def written():
        rows = await here.next.entries(principal="racer")
        return len([row for row in rows if row["status"] != "refused"]) == statuses.count(200)

    await eventually(written)
    spent = (await here.next.get("/usage", key="racer")).json["total"]["cost_usd"]
    assert meter.billed / 1e9 <= spent + 1e-9
    assert BUDGET - OUT - 200 * IN < spent * 1e9 <= BUDGET
    return statuses.count(200)

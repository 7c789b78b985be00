"""What an app that builds on Headgate asks of the gate, on its caller's behalf."""

import httpx2
import pytest

from headgate import Gate, create_app
from headgate.core.faults import Unsupported

from ._served import ADMIN, KEY, configured, served

AS_ALICE = {"x-api-key": KEY}


@pytest.fixture
def client(tmp_path):
    app = create_app(configured(tmp_path, "[tiers.pro]\nrequests = '2/day'\n"))

    @app.post("/near")
    async def near(one: str, other: str, gate: Gate) -> float:
        first, second = (await gate.embed([one, other])).vectors
        return sum(a * b for a, b in zip(first, second, strict=True))

    @app.post("/long")
    async def long(gate: Gate) -> str:
        try:
            await gate.embed("text", dimensions=100_000)
        except Unsupported as fault:
            return fault.message
        return ""

    with served(app) as url, httpx2.Client(base_url=url, headers=AS_ALICE) as client:
        yield client


def test_an_app_embeds_on_its_callers_behalf(client):
    answer = client.post("/near", params={"one": "open the gate", "other": "the gate opens"})
    assert 0 < answer.json() < 1
    request_id = answer.headers["x-request-id"]
    rows = client.get("/admin/entries", headers={"x-api-key": ADMIN}).json()["entries"]
    [row] = [row for row in rows if row["request_id"] == request_id]
    assert (row["principal"], row["surface"], row["tokens_in"], row["status"]) == ("alice", "/near", 6, "ok")


def test_a_fault_is_the_apps_to_catch(client):
    assert "1024" in client.post("/long").json()


def test_the_callers_limits_hold(client):
    asked = {"one": "a", "other": "b"}
    assert [client.post("/near", params=asked).status_code for _ in range(3)] == [200, 200, 429]

"""Access tokens: exchanged for a signed statement, kept, renewed early, one exchange for however many callers."""

import asyncio
import json
from time import monotonic
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from headgate.core.faults import UpstreamAuth, UpstreamBroken, UpstreamDown, UpstreamTimeout
from headgate.providers._google_token import EARLY, Tokens, credentials_of
from headgate.testing import FrozenClock, ScriptedUpstream, Upset, whole

from ._google import PEM, account, claims_of, token

pytestmark = pytest.mark.anyio

NEVER = float("inf")
ELLIPTIC = (
    ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
)


def tokens_at(upstream, clock=None):
    return Tokens(credentials_of(account(upstream.url + "/token")), clock or FrozenClock())


async def test_the_account_signs_a_statement_and_gets_a_token():
    clock = FrozenClock()
    async with ScriptedUpstream([token()]) as upstream:
        assert await tokens_at(upstream, clock).get(NEVER) == "ya29.first"
        (request,) = upstream.requests
        claims, header = claims_of(request)
        assert claims == {
            "iss": "gate@mine.iam.gserviceaccount.com",
            "scope": "https://www.googleapis.com/auth/cloud-platform",
            "aud": upstream.url + "/token",
            "iat": int(clock.now),
            "exp": int(clock.now) + 3600,
        }
    assert (header["alg"], header["kid"]) == ("RS256", "key-1")
    assert (request.method, request.path) == ("POST", "/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_a_persons_login_is_refreshed():
    said = {"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r"}
    async with ScriptedUpstream([token()]) as upstream:
        tokens = Tokens(credentials_of(json.dumps(said | {"token_uri": upstream.url + "/token"})))
        assert await tokens.get(NEVER) == "ya29.first"
    form = parse_qs(upstream.requests[0].body.decode())
    assert form == {"grant_type": ["refresh_token"], "client_id": ["c"], "client_secret": ["s"], "refresh_token": ["r"]}


async def test_a_token_is_kept_until_shortly_before_its_end():
    clock = FrozenClock()
    async with ScriptedUpstream([token("one")], [token("two")]) as upstream:
        tokens = tokens_at(upstream, clock)
        assert await tokens.get(NEVER) == "one"
        clock.advance(3600 - EARLY - 1)
        assert await tokens.get(NEVER) == "one"
        clock.advance(2)
        assert await tokens.get(NEVER) == "two"
    assert len(upstream.requests) == 2


async def test_however_many_wait_one_exchange_is_made():
    async with ScriptedUpstream([0.05, token("one")], [token("two")]) as upstream:
        tokens = tokens_at(upstream)
        assert await asyncio.gather(*(tokens.get(NEVER) for _ in range(20))) == ["one"] * 20
    assert len(upstream.requests) == 1


async def test_who_leaves_does_not_take_the_exchange_from_the_others():
    async with ScriptedUpstream([0.05, token("one")], [token("two")]) as upstream:
        tokens = tokens_at(upstream)
        first = asyncio.create_task(tokens.get(NEVER))
        second = asyncio.create_task(tokens.get(NEVER))
        await asyncio.sleep(0)
        first.cancel()
        assert await second == "one"
    assert len(upstream.requests) == 1


async def test_nobody_waits_beyond_its_deadline():
    async with ScriptedUpstream([Upset.HANG]) as upstream:
        tokens = tokens_at(upstream)
        with pytest.raises(UpstreamTimeout):
            await tokens.get(monotonic() + 0.01)
        tokens._exchange.cancel()
        await asyncio.wait([tokens._exchange])


async def test_while_a_token_is_good_its_renewal_may_fail():
    clock = FrozenClock()
    async with ScriptedUpstream([token("one")], [whole(b"{}", 503)], [token("two")]) as upstream:
        tokens = tokens_at(upstream, clock)
        await tokens.get(NEVER)
        clock.advance(3600 - EARLY + 1)
        assert [await tokens.get(NEVER), await tokens.get(NEVER)] == ["one", "one"]
        assert len(upstream.requests) == 2
        clock.advance(EARLY)
        assert await tokens.get(NEVER) == "two"


async def test_a_token_that_was_refused_is_not_used_again():
    async with ScriptedUpstream([token("one")], [token("two")]) as upstream:
        tokens = tokens_at(upstream)
        tokens.forget(await tokens.get(NEVER))
        tokens.forget("an older one")
        assert await tokens.get(NEVER) == "two"


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (whole(b'{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}', 400), UpstreamAuth),
        (whole(b'{"error": "unauthorized_client"}', 401), UpstreamAuth),
        (whole(b"{}", 500), UpstreamDown),
        (whole(b'{"id_token": "x"}'), UpstreamBroken),
        (Upset.RESET, UpstreamDown),
    ],
)
async def test_an_exchange_that_fails_is_a_fault_and_is_tried_again_by_the_next(answer, fault):
    async with ScriptedUpstream([answer], [token("two")]) as upstream:
        tokens = tokens_at(upstream)
        with pytest.raises(fault) as raised:
            await tokens.get(NEVER)
        assert "JWT" not in raised.value.message
        assert await tokens.get(NEVER) == "two"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "no JSON",
        '{"type": "external_account"}',
        account("https://x/token", private_key="secret"),
        account("https://x/token", private_key=ELLIPTIC),
        account("ftp://x/token"),
        "[" * 100_000,
        "\ud800",
    ],
)
def test_what_are_no_credentials_is_refused_without_telling_them(text):
    with pytest.raises(ValueError, match="credentials") as raised:
        credentials_of(text)
    assert "secret" not in str(raised.value)


def test_credentials_do_not_show_their_secrets():
    shown = repr(credentials_of(account("https://x/token")))
    assert shown == "ServiceAccount('gate@mine.iam.gserviceaccount.com')"
    assert PEM[60:90] not in shown

"""Tokens: only what a configured issuer signed, with its own algorithm, for us, and now."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from access._issuer import EC, ED, OTHER_RSA, RSA, SECRET, Published, claims, jwk, pem, rsa_key, token
from headgate.access import jwt as module
from headgate.access.jwt import Issuer, JwtVerifier, mint_token
from headgate.core.faults import Forbidden, Unauthenticated, Unavailable
from headgate.core.key import digest

pytestmark = pytest.mark.anyio

TIERS = {"free", "pro"}
HS = Issuer(secret=SECRET)


def b64(value):
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(header, payload, secret=SECRET):
    """A token put together by hand, signed with HMAC-SHA-256 whatever its header says."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


def unsigned(header, payload, signature="AAAA"):
    return f"{b64(header)}.{b64(payload)}.{signature}"


async def verify(text, *issuers, tiers=TIERS):
    verifier = JwtVerifier(issuers or (HS,), tiers)
    try:
        return await verifier.verify(text)
    finally:
        await verifier.aclose()


async def refusal(text, *issuers):
    with pytest.raises(Unauthenticated) as caught:
        await verify(text, *issuers)
    return caught.value.message


async def test_a_good_token_is_a_user():
    who = await verify(token(tier="pro"))
    assert (who.kind, who.id, who.tier, who.key_id) == ("user", "ada", "pro", "")


async def test_the_tier_is_the_claims_or_the_issuers():
    assert (await verify(token())).tier == "free"
    assert (await verify(token(tier=None))).tier == "free"
    assert (await verify(token(), Issuer(secret=SECRET, tier="pro"))).tier == "pro"
    plan = Issuer(secret=SECRET, tier_claim="https://app.example/plan")
    assert (await verify(token(tier="nonsense", **{"https://app.example/plan": "pro"}), plan)).tier == "pro"


@pytest.mark.parametrize("tier", ["gold", "", 5, ["pro"], {"pro": 1}, True])
async def test_a_tier_that_does_not_exist_is_forbidden(tier):
    with pytest.raises(Forbidden):
        await verify(token(tier=tier))


async def test_the_user_may_stand_in_another_claim():
    who = await verify(token(sub=None, email="ada@example.org"), Issuer(secret=SECRET, user_claim="email"))
    assert who.id == "ada@example.org"


@pytest.mark.parametrize("sub", ["", " ", 5, True, ["ada"], {"id": 1}, "a\nb", "a\x00b", "x" * 256])
async def test_a_subject_that_names_no_user_is_refused(sub):
    assert "sub" in await refusal(forged({"alg": "HS256"}, claims(sub=sub)))


async def test_half_a_character_is_no_text():
    await refusal(forged({"alg": "HS256"}, claims(sub="\ud800")))
    await refusal(forged({"alg": "HS256"}, claims(iss="\ud800")))


async def test_required_claims():
    assert "lacks" in await refusal(token(sub=None))
    assert "lacks" in await refusal(token(exp=None))


async def test_time_claims_are_checked_with_a_little_leeway():
    now = int(time.time())
    assert "expired" in await refusal(token(exp=now - 60))
    assert "not valid yet" in await refusal(token(nbf=now + 300))
    assert "not valid yet" in await refusal(token(iat=now + 300))
    exact = Issuer(secret=SECRET, leeway=0)
    assert "expired" in await refusal(token(exp=now - 1), exact)
    assert (await verify(token(exp=now - 5), Issuer(secret=SECRET, leeway=30))).id == "ada"


@pytest.mark.parametrize(
    "exp", ["9999999999", True, False, [], {}, "never", float("nan"), float("inf"), -1, 0, "1e400", "soon"]
)
async def test_an_odd_expiry_is_refused(exp):
    await refusal(forged({"alg": "HS256"}, claims(exp=exp)))


async def test_an_expiry_beyond_all_numbers_does_no_harm():
    assert (await verify(forged({"alg": "HS256"}, claims(exp=10**400)))).id == "ada"
    await refusal(forged({"alg": "HS256"}, b'{"sub":"ada","exp":' + b"9" * 5000 + b"}"))


async def test_audience_and_issuer_are_checked_where_configured():
    strict = Issuer(secret=SECRET, issuer="https://us.example", audience="gate")
    good = {"iss": "https://us.example", "aud": ["other", "gate"]}
    assert (await verify(token(**good), strict)).id == "ada"
    assert "audience" in await refusal(token(**{**good, "aud": "other"}), strict)
    assert "lacks" in await refusal(token(iss=good["iss"]), strict)
    assert "issuer" in await refusal(token(**{**good, "iss": "https://them.example"}), strict)
    assert "issuer" in await refusal(token(aud="gate"), strict)
    await refusal(token(**{**good, "aud": 5}), strict)
    await refusal(forged({"alg": "HS256"}, claims(**{**good, "iss": ["https://us.example"]})), strict)
    assert (await verify(token(**good))).id == "ada", "what is not configured is not checked"
    several = Issuer(secret=SECRET, audience=("gate", "door"))
    assert (await verify(token(aud="door"), several)).id == "ada"


async def test_a_prefix_keeps_the_users_of_two_issuers_apart():
    ours = Issuer(secret=SECRET, issuer="https://us.example")
    theirs = Issuer(secret=SECRET, issuer="https://them.example", user_prefix="them:")
    assert (await verify(token(iss="https://us.example"), ours, theirs)).id == "ada"
    assert (await verify(token(iss="https://them.example"), ours, theirs)).id == "them:ada"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS384", "HS512", "RS256", "hs256", None, 5, ["HS256"]])
async def test_only_the_keys_own_algorithm_is_accepted(alg):
    await refusal(forged({"alg": alg}, claims()))
    await refusal(unsigned({"alg": alg}, claims(), ""))
    await refusal(unsigned({}, claims(), ""))


async def test_a_public_key_is_no_secret():
    for secret in (pem(RSA), pem(RSA).strip(), json.dumps(jwk(RSA, "one"))):
        confused = forged({"alg": "HS256", "typ": "JWT", "kid": "one"}, claims(), secret)
        await refusal(confused, Issuer(public_key=pem(RSA)))
        with Published(jwk(RSA, "one")) as published:
            await refusal(confused, Issuer(jwks_url=published.url))


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")])
async def test_every_algorithm_works_by_pem_and_by_jwks(key, algorithm):
    signed = token(key, algorithm, headers={"kid": "one"})
    assert (await verify(signed, Issuer(public_key=pem(key)))).id == "ada"
    with Published(jwk(key, "one", algorithm)) as published:
        assert (await verify(signed, Issuer(jwks_url=published.url))).id == "ada"
        await refusal(signed[:-8] + "AAAAAAAA", Issuer(jwks_url=published.url))


async def test_the_key_that_signed_must_be_the_issuers():
    await refusal(token("another secret of more than thirty-two bytes"))
    with Published(jwk(RSA, "one")) as published:
        issuer = Issuer(jwks_url=published.url)
        await refusal(token(OTHER_RSA, "RS256", headers={"kid": "one"}), issuer)
        await refusal(token(RSA, "RS256", headers={"kid": "two"}), issuer)
        await refusal(token(RSA, "PS256", headers={"kid": "one"}), issuer)


async def test_keys_that_the_token_brings_along_are_ignored():
    with Published(jwk(RSA, "one")) as ours, Published(jwk(OTHER_RSA, "one")) as theirs:
        headers = {"kid": "one", "jwk": jwk(OTHER_RSA, "one"), "jku": theirs.url, "x5u": theirs.url, "x5c": ["AAAA"]}
        await refusal(token(OTHER_RSA, "RS256", headers=headers), Issuer(jwks_url=ours.url))
        assert theirs.hits == 0
        assert (await verify(token(RSA, "RS256", headers=headers), Issuer(jwks_url=ours.url))).id == "ada"


@pytest.mark.parametrize("crit", [["exp"], ["b64"], ["made-up"], [], None, "exp", 5])
async def test_a_critical_extension_is_refused(crit):
    assert "extension" in await refusal(forged({"alg": "HS256", "crit": crit, "b64": True}, claims()))


@pytest.mark.parametrize("kid", [5, None, ["one"], {"a": 1}, True])
async def test_a_key_id_that_is_no_text_is_refused(kid):
    await refusal(forged({"alg": "HS256", "kid": kid}, claims()))


@pytest.mark.parametrize(
    "text",
    [
        "..",
        "a.b.c",
        "....",
        unsigned(b"[]", b"[]"),
        unsigned(b"null", b"5"),
        unsigned({"alg": "HS256"}, b"{"),
        unsigned({"alg": "HS256"}, b"[" * 4000),
        unsigned(b'{"alg":' * 500, claims()),
        unsigned({"alg": "HS256"}, {"iss": 5}),
        unsigned(b"\xff", b"\xff"),
        token() + "é",
        token() + ".",
        " " + token(),
        token()[:-1],
    ],
)
async def test_what_is_no_token_is_refused(text):
    await refusal(text)
    await refusal(text, Issuer(public_key=pem(ED)))


@pytest.mark.parametrize("payload", [b"[]", b"5", b"null", b'"x"', b"[" * 4000, b"{", b"\xff"])
async def test_a_signed_payload_that_is_no_claims_is_refused(payload):
    await refusal(forged({"alg": "HS256"}, payload))


async def test_a_token_of_more_than_8_kb_is_refused():
    assert (await verify(token(note="x" * 5800))).id == "ada"
    assert "long" in await refusal(token(note="x" * 6200))


async def test_several_issuers_each_verify_their_own():
    with Published(jwk(RSA, "one")) as published:
        ours = Issuer(secret=SECRET, issuer="us", tier="pro")
        theirs = Issuer(jwks_url=published.url, issuer="them")
        assert (await verify(token(iss="us"), theirs, ours)).tier == "pro"
        assert published.hits == 0, "only the issuer that the token names is asked"
        assert (await verify(token(RSA, "RS256", iss="them", headers={"kid": "one"}), ours, theirs)).tier == "free"
        await refusal(token(iss="them"), ours, theirs)
        await refusal(token(RSA, "RS256", iss="us", headers={"kid": "one"}), ours, theirs)


async def test_issuers_without_a_name_are_tried_in_order():
    first = Issuer(secret="the first secret, of more than thirty-two bytes")
    assert (await verify(token(tier="pro"), first, HS, Issuer(public_key=pem(ED)))).tier == "pro"
    assert "expired" in await refusal(token(exp=1), first, HS, Issuer(public_key=pem(ED)))


async def test_an_issuer_out_of_reach_does_not_hinder_the_others():
    gone = Issuer(jwks_url="http://127.0.0.1:9/jwks.json")
    assert (await verify(token(), gone, HS)).id == "ada"
    with pytest.raises(Unavailable):
        await verify(token(RSA, "RS256", headers={"kid": "one"}), gone, HS)


async def test_a_verified_token_is_remembered_until_it_expires():
    now = [time.time()]
    verifier = JwtVerifier([HS], TIERS, clock=lambda: now[0])
    text = token(exp=int(now[0]) + 100)
    assert verifier.remembered(digest(text)) is None
    who = await verifier.verify(text)
    assert verifier.remembered(digest(text)) is who
    assert verifier.remembered(digest(text + "x")) is None
    now[0] += 100 + HS.leeway
    assert verifier.remembered(digest(text)) is None


async def test_a_token_is_not_remembered_for_longer_than_keys_are_fresh():
    now = [time.time()]
    verifier = JwtVerifier([HS], TIERS, clock=lambda: now[0])
    text = token(exp=int(now[0]) + 10**6)
    await verifier.verify(text)
    now[0] += module.TTL
    assert verifier.remembered(digest(text)) is None


async def test_the_memory_of_tokens_is_bounded_and_keeps_those_in_use(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 3)
    verifier = JwtVerifier([HS], TIERS)
    texts = [token(sub=f"user-{number}") for number in range(4)]
    for text in texts[:3]:
        await verifier.verify(text)
    assert verifier.remembered(digest(texts[0])) is not None
    await verifier.verify(texts[3])
    assert [verifier.remembered(digest(text)) is not None for text in texts] == [True, False, True, True]


async def test_a_refused_token_is_not_remembered():
    verifier = JwtVerifier([HS], TIERS)
    for text in (token(exp=1), token(sub="")):
        with pytest.raises(Unauthenticated):
            await verifier.verify(text)
        assert verifier.remembered(digest(text)) is None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "exactly one"),
        ({"secret": SECRET, "public_key": pem(ED)}, "exactly one"),
        ({"secret": "short"}, "32 bytes"),
        ({"secret": pem(RSA)}, "another kind"),
        ({"public_key": "nonsense"}, "not a PEM"),
        ({"public_key": pem(rsa_key(1024))}, "2048"),
        ({"public_key": pem(ec.generate_private_key(ec.SECP384R1()))}, "P-256"),
        ({"jwks_url": "file:///etc/passwd"}, "http"),
        ({"secret": SECRET, "leeway": 31}, "leeway"),
        ({"secret": SECRET, "leeway": -1}, "leeway"),
    ],
)
def test_an_issuer_that_makes_no_sense_is_refused(settings, words):
    with pytest.raises(ValueError, match=words) as caught:
        Issuer(**settings)
    assert SECRET not in str(caught.value)


def test_a_secret_is_not_shown():
    assert SECRET not in repr(HS)
    assert SECRET not in repr(JwtVerifier([HS], TIERS))


async def test_a_minted_token_is_accepted():
    text = mint_token(SECRET, "ada", "pro", 60, issuer="us", audience="gate", tier_claim="plan")
    who = await verify(text, Issuer(secret=SECRET, issuer="us", audience="gate", tier_claim="plan"))
    assert (who.id, who.tier) == ("ada", "pro")
    assert (await verify(mint_token(SECRET, "bob"))).tier == "free"
    with pytest.raises(ValueError, match="32 bytes"):
        mint_token("short", "ada")

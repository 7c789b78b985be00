"""`headgate token mint` signs what the service will accept."""

import time

import jwt
import pytest

SECRET = "a-secret-of-more-than-thirty-two-bytes"


@pytest.fixture(autouse=True)
def configured(here, monkeypatch):
    monkeypatch.setenv("JWT_SECRET", SECRET)
    (here / "headgate.toml").write_text(
        '[[access.jwt]]\njwks_url = "https://other.example/jwks"\n'
        '[[access.jwt]]\nsecret = "env:JWT_SECRET"\nissuer = "me"\naudience = "app"\ntier_claim = "plan"\n'
    )


def test_a_minted_token_says_who_and_until_when(run):
    token = run("token", "mint", "--sub", "ada", "--tier", "pro", "--ttl", "10m").stdout.strip()
    claims = jwt.decode(token, SECRET, algorithms=["HS256"], audience="app", issuer="me")
    assert (claims["sub"], claims["plan"]) == ("ada", "pro")
    assert 500 < claims["exp"] - time.time() <= 600


def test_without_a_secret_nothing_is_minted(run, here):
    (here / "headgate.toml").write_text("")
    result = run("token", "mint", "--sub", "ada")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no [[access.jwt]] with a `secret` is configured" in result.stderr


def test_a_tier_that_is_not_there_is_wrong_usage(run):
    assert run("token", "mint", "--sub", "ada", "--tier", "gold").exit_code == 2

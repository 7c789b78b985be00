"""`headgate token`: signed login tokens, to try out what an app's own login would send."""

from __future__ import annotations

import time
from pathlib import Path

import click

from headgate.cli._shared import Seconds, config_option, example


@click.group(epilog=example("token mint --sub ada"))
def token() -> None:
    """Make login tokens for tests."""


@token.command(epilog=example("token mint --sub ada --tier pro --ttl 1h"))
@config_option
@click.option("--sub", required=True, help="The user.")
@click.option("--tier", help="The tier claim.  [default: none, so the issuer's own tier holds]")
@click.option("--ttl", type=Seconds(), default="1h", show_default=True, help="How long it is good.")
@click.option("--issuer", help="Which of several issuers with a secret.  [default: the first]")
def mint(config_path: Path | None, sub: str, tier: str | None, ttl: float, issuer: str | None) -> None:
    """Print a token signed with the configured HS256 secret."""
    import jwt

    from headgate.config import load, text_of

    config = load(config_path)
    signers = [each for each in config.access.jwt if each.secret and issuer in (None, each.issuer)]
    if not signers:
        where = f' with the issuer "{issuer}"' if issuer else ""
        raise click.ClickException(f"no [[access.jwt]] with a `secret`{where} is configured")
    if tier is not None and tier not in config.tiers:
        raise click.UsageError(f'there is no tier "{tier}"; there are: {", ".join(config.tiers)}')
    signer, now = signers[0], int(time.time())
    claims: dict[str, object] = {signer.user_claim: sub, "iat": now, "exp": now + int(ttl)}
    if signer.issuer:
        claims["iss"] = signer.issuer
    if signer.audience:
        claims["aud"] = signer.audience[0]
    if tier is not None:
        claims[signer.tier_claim] = tier
    click.echo(jwt.encode(claims, text_of(signer.secret), algorithm="HS256"))

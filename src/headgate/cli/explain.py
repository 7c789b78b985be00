"""`headgate explain`: what would happen to a call, without making it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headgate.cli._shared import config_option, example, json_option, print_json, print_table

if TYPE_CHECKING:
    from headgate.config import Config
    from headgate.core.limit import Level


@click.command(epilog=example("explain --model assistant", "explain --model openai/gpt-4o --key hg_..."))
@config_option
@click.option("--model", default="", help="The model that the call would name.  [default: none, so the default model]")
@click.option("--key", help="The caller's API key.  [default: no credential]")
@click.option("--jwt", "token", help="The caller's login token.")
@json_option
def explain(config_path: Path | None, model: str, key: str | None, token: str | None, as_json: bool) -> None:
    """Say which targets a call would try, which limits apply, and what is left of each.

    Nothing is asked and nothing is counted.
    """
    from headgate.config import load

    if key and token:
        raise click.UsageError("a caller has --key or --jwt, not both")
    config = load(config_path)
    told = asyncio.run(_explained(config, model, key or token))
    if as_json:
        print_json(told)
        return
    click.echo(f"Caller:  {told['caller']}, tier {told['tier']}")
    click.echo(f"Model:   {told['model']}")
    if not told["allowed"]:
        click.echo(f"REFUSED: {told['why']}")
    click.echo("Targets, in this order:")
    for target in told["targets"]:
        click.echo(f"  {target['target']}{'  (failing, passed over)' if target['tripped'] else ''}")
    click.echo("Limits:")
    print_table(told["limits"], as_json=False, empty="  none", right=("limit", "left"))
    if not config.shared.url:
        click.echo(
            "Counts live in the memory of the service: this is a full allowance; GET /me there tells what is left."
        )


async def _explained(config: Config, model: str, credential: str | None) -> dict[str, Any]:
    from headgate.boot.opening import open_runtime
    from headgate.core.faults import Forbidden

    headers = [(b"authorization", b"Bearer " + credential.encode())] if credential else []
    async with open_runtime(config) as runtime:
        who = await runtime.identify.verify(headers)
        route = runtime.admission.routes.find(model)
        why = ""
        try:
            runtime.admission.check_right(who, runtime.admission.tier_of(who), route)
        except Forbidden as fault:
            why = fault.message
        wants = runtime.admission.rules.wants(who, route.name, "127.0.0.1", 0, 0)
        levels = await runtime.admission.limiter.levels(wants)
        return {
            "caller": who.tenant,
            "tier": who.tier,
            "model": route.name,
            "allowed": not why,
            "why": why,
            "targets": [{"target": each.name, "tripped": each.breaker.tripped} for each in route.targets],
            "limits": [_limit(level) for level in levels],
        }


def _limit(level: Level) -> dict[str, object]:
    from headgate.core.limit import in_words, usd

    want = level.want
    return {
        "whose": want.scope,
        "limit": in_words(want.kind, want.limit, want.window),
        "left": usd(level.left) if want.kind == "spend" else level.left,
        "full_again_in_s": round(level.reset_after),
    }

"""`headgate explain`: what would happen to a call, without making it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headgate.cli._service import address_of, answer
from headgate.cli._shared import config_option, example, json_option, print_json
from headgate.cli.limits import print_limits

if TYPE_CHECKING:
    from headgate.config import Config


@click.command(epilog=example("explain --model assistant", "explain --model openai/gpt-4o --key hg_..."))
@config_option
@click.option("--model", default="", help="The model that the call would name.  [default: none, so the default model]")
@click.option("--key", help="The caller's API key.  [default: no credential]")
@click.option("--jwt", "token", help="The caller's login token.")
@click.option("--url", help="The running service, for what is left.  [default: the configured address]")
@json_option
def explain(
    config_path: Path | None, model: str, key: str | None, token: str | None, url: str | None, as_json: bool
) -> None:
    """Say which targets a call would try, which limits apply, what is left of each and which would refuse it.

    No model is asked and nothing is counted. What is left is what the running service says, where one answers.
    """
    from headgate.config import load

    if key and token:
        raise click.UsageError("a caller has --key or --jwt, not both")
    config = load(config_path)
    told = asyncio.run(_explained(config, model, key or token))
    told["counted_by"] = _count(config, url, told, key or token or "")
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
    print_limits(told["limits"], empty="  none")
    if told["counted_by"]:
        click.echo(f"Counted by {told['counted_by']}.")
    else:
        click.echo("Counts live in the memory of the service, and none answers: this is a full allowance.")


def _count(config: Config, url: str | None, told: dict[str, Any], credential: str) -> str:
    """Put in what the running service counts for this caller; who counts, or nothing where nobody answers."""
    if told.pop("shared"):
        return "the shared store"
    address = address_of(config, url)
    try:
        mine = answer(address, "GET", "/me", credential, query={"model": told["model"]} if told["model"] else None)
    except (ConnectionError, click.ClickException):
        if url:
            raise
        return ""
    if not isinstance(mine, dict) or (mine.get("kind"), mine.get("id")) != (told["kind"], told["id"]):
        return ""
    known = {limit["name"]: limit for limit in mine["limits"]}
    told["limits"] = [known.get(limit["name"], limit) for limit in told["limits"]]
    return address


async def _explained(config: Config, model: str, credential: str | None) -> dict[str, Any]:
    import msgspec

    from headgate.boot.opening import open_runtime
    from headgate.core.faults import Forbidden
    from headgate.engine.levels import views

    headers = [(b"authorization", b"Bearer " + credential.encode())] if credential else []
    async with open_runtime(config, quiet=True) as runtime:
        who = await runtime.identify.verify(headers)
        route = runtime.admission.routes.find(model)
        why = ""
        try:
            runtime.admission.check_right(who, runtime.admission.tier_of(who), route)
        except Forbidden as fault:
            why = fault.message
        wants = runtime.admission.rules.wants(who, route.name, "127.0.0.1", 1, 1)
        levels = await runtime.admission.limiter.levels(wants)
        shared = config.shared.url and not getattr(runtime.admission.limiter, "degraded", False)
        return {
            "shared": bool(shared),
            "caller": who.tenant,
            "kind": who.kind,
            "id": who.id,
            "tier": who.tier,
            "model": route.name,
            "allowed": not why,
            "why": why,
            "targets": [{"target": each.name, "tripped": each.breaker.tripped} for each in route.targets],
            "limits": [msgspec.to_builtins(view) for view in views(levels, private=True)],
        }

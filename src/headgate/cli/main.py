"""`headgate`: the command line. One file a command group; what a command needs is imported when it runs."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from headgate import __version__
from headgate.cli.ask import ask
from headgate.cli.chat import chat
from headgate.cli.check import check
from headgate.cli.explain import explain
from headgate.cli.ingest import ingest
from headgate.cli.init import init
from headgate.cli.keys import keys
from headgate.cli.knowledge import knowledge
from headgate.cli.limits import limits
from headgate.cli.migrate import migrate
from headgate.cli.new_provider import new_provider
from headgate.cli.openapi import openapi
from headgate.cli.replay import replay
from headgate.cli.search import search
from headgate.cli.serve import serve
from headgate.cli.token import token
from headgate.cli.usage import usage


class Commands(click.Group):
    """The commands; what stops one is told in a sentence. `HEADGATE_TRACEBACK=1` shows a developer where it was."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if os.environ.get("HEADGATE_TRACEBACK"):
                raise
            raise click.ClickException(sentence(error)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """In the order in which one meets them, not of the alphabet."""
        return list(self.commands)


def sentence(error: Exception) -> str:
    """An error in words for whoever typed the command."""
    from headgate.config import ConfigError
    from headgate.core.faults import Fault

    if isinstance(error, ConfigError):
        problems = [str(problem) for problem in error.problems]
        return problems[0] if len(problems) == 1 else "\n  ".join([f"{len(problems)} problems:", *problems])
    if isinstance(error, Fault):
        return error.message
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


@click.group(
    cls=Commands,
    commands=[
        serve,
        init,
        check,
        explain,
        keys,
        limits,
        token,
        chat,
        ingest,
        search,
        ask,
        knowledge,
        usage,
        replay,
        migrate,
        openapi,
        new_provider,
    ],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nBegin with:\n  headgate init\n  headgate serve",
)
@click.version_option(__version__, prog_name="headgate")
def main() -> None:
    """The LLM backend that every product otherwise writes again.

    One process between an app's users and the models: keys, limits, budgets, routing, streaming and cost records.
    """


if __name__ == "__main__":
    sys.exit(main())

"""`headgate serve`."""

from __future__ import annotations

from pathlib import Path

import click

from headgate.cli._shared import config_option, example


@click.command(epilog=example("serve", "serve --config prod.toml --host 0.0.0.0 --port 80 --workers 2"))
@config_option
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="TCP port; 0 takes a free one.  [default: 8000]")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that serve.  [default: 1]")
@click.option("--reload", is_flag=True, help="Start again when the code changes, for developers.")
def serve(config_path: Path | None, host: str | None, port: int | None, workers: int | None, reload: bool) -> None:
    """Run the service.

    Prints the address, the models it can reach and why, who may call, and where data lies. With no configuration it
    finds providers by the well-known variables (OPENAI_API_KEY, GEMINI_API_KEY, ...); with none of them it answers
    with the built-in echo. Stop it with Ctrl-C or SIGTERM: running answers finish first.
    """
    from headgate.boot.serve import serve as run

    run(config_path, host, port, workers, reload)

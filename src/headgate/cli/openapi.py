"""`headgate openapi`."""

from __future__ import annotations

import click

from headgate.cli._shared import example, print_json


@click.command(epilog=example("openapi > openapi.json"))
def openapi() -> None:
    """Print the OpenAPI document, as the service has it at /openapi.json."""
    from headgate.boot.app import create_app

    print_json(create_app().openapi())

"""Transformers is shown elsewhere."""

from contracts._vendor import Apart

VENDOR = Apart(
    "it asks a model in this process, which needs an extra; tests/providers shows it where that is installed"
)

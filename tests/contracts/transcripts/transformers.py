"""Transformers runs its model in the process itself."""

from contracts._vendor import Apart

VENDOR = Apart("its model runs in this process, and no vendor's bytes stand behind it")

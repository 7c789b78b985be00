"""Vertex is shown elsewhere."""

from contracts._vendor import Apart

VENDOR = Apart("it is Gemini's and Anthropic's dialects at other addresses, which tests/providers shows")

"""Bedrock is shown elsewhere."""

from contracts._vendor import Apart

VENDOR = Apart("its binary streams and signed requests are shown by tests of their own")

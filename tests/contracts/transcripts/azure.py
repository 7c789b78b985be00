"""Azure is shown elsewhere."""

from contracts._vendor import Apart

VENDOR = Apart("it is OpenAI's dialect at other addresses; tests/providers and tests/dialects show what differs")

"""A Headgate in front of scripted models, for clients that nobody here wrote. Both last for a module."""

import pytest

from clients._dialects import played
from journeys._service import serving
from journeys._upstreams import Upstreams, model_of

pytest.register_assert_rewrite("clients._openai_talks", "clients._anthropic_talks")

KEY = "key-of-ann-00000001"
PACED = "key-of-bob-00000001"
CONFIG = f"""
[access]
api_keys = "{KEY}:ann:open,{PACED}:bob:paced"
[tiers.open]
[tiers.paced]
requests = "1/second"
"""


class Models(Upstreams):
    """The models of `_models`. `NAME~ANYTHING` is another one that says the same, with a health of its own."""

    def _dispatch(self, request):
        return played(model_of(request).partition("~")[0])


class Gateway:
    """Where clients find Headgate, and what its models were asked."""

    key = KEY
    paced = PACED

    def __init__(self, port, upstreams):
        self.url = f"http://127.0.0.1:{port}"
        self.upstreams = upstreams


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def more_config():
    """Further configuration; a module may override it."""
    return ""


@pytest.fixture(scope="module")
async def gateway(anyio_backend, tmp_path_factory, more_config):
    """Headgate, and the models of `_models` behind `openai/NAME`, `anthropic/NAME` and `gemini/NAME`."""
    upstreams = Models()
    folder = tmp_path_factory.mktemp("clients")
    async with upstreams.server, serving(folder, CONFIG + upstreams.config + more_config) as service:
        yield Gateway(service.port, upstreams)

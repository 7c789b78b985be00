"""The journeys: the whole service over real sockets. Its fixtures last for a module, and so does its event loop."""

import pytest

from journeys._upstreams import Upstreams


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
async def upstreams(anyio_backend):
    """Models that do what a test tells them."""
    made = Upstreams()
    async with made.server:
        yield made

"""What every test may use."""

import os

import pytest
from hypothesis import settings

from servers import valkey

settings.register_profile("headgate", deadline=None)  # a busy machine is no failure
settings.load_profile("headgate")


@pytest.fixture
def anyio_backend():
    """Async tests run on asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory):
    """A Redis or Valkey server that may be emptied."""
    if url := os.environ.get("HEADGATE_TEST_REDIS"):
        yield url
    else:
        with valkey(tmp_path_factory.mktemp("valkey")) as server:
            yield server.url

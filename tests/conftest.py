"""What every test may use."""

import pytest
from hypothesis import settings

settings.register_profile("headgate", deadline=None)  # a busy machine is no failure
settings.load_profile("headgate")


@pytest.fixture
def anyio_backend():
    """Async tests run on asyncio."""
    return "asyncio"

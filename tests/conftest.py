"""What every test may use."""

import faulthandler
import os
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from headgate.stores.opening import open_database
from servers import postgres, valkey

# a busy machine is no failure
settings.register_profile("headgate", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("headgate")


HUNG = 240
"""Seconds after which a test is given up, with its process: a run that hangs tells nobody why."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    faulthandler.dump_traceback_later(int(os.environ.get("HEADGATE_HUNG", HUNG)), exit=True)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


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


@pytest.fixture(scope="session")
def postgres_server():
    """The address of a PostgreSQL server on which databases may be made."""
    if url := os.environ.get("HEADGATE_TEST_POSTGRES"):
        yield url
    else:
        with postgres() as server:
            yield server.url


@pytest.fixture
def postgres_url(postgres_server):
    """An empty PostgreSQL database, for one test."""
    import psycopg

    name = f"headgate_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield urlunsplit(urlsplit(postgres_server)._replace(path=f"/{name}"))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request, tmp_path):
    """Each kind of database, with its tables."""
    url = "sqlite:///headgate.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = open_database(url, tmp_path)
    database.migrate()
    yield database
    database.close()

"""The key ring: configured keys and those of the database, found by digest, gone when revoked or expired."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from contextlib import asynccontextmanager, suppress

import pytest

from headgate.access.keys import KeyRing, configured_keys
from headgate.core.faults import Unavailable
from headgate.core.key import digest
from headgate.stores.keys import KeyStore
from headgate.stores.sqlite import SqliteDatabase

STATIC = "a-static-key-of-some-length"


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def database(tmp_path):
    database = SqliteDatabase(tmp_path / "headgate.db")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def store(database):
    return KeyStore(database, Clock())


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ring(store, clock):
    return KeyRing(configured_keys(STATIC), store, clock)


@asynccontextmanager
async def watching(ring, every=0.02):
    task = asyncio.create_task(ring.watch(every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the other side is a thread or a process
            await asyncio.sleep(0.01)


def test_a_created_key_is_found_after_a_refresh(ring, store):
    text, record = store.create(user="ada", tier="pro", models=("a",), limits=(("requests", "5/minute"),))
    assert ring.find(digest(text)) is None
    ring.refresh()
    assert ring.find(digest(text)) == record.principal
    assert ring.find(digest(text + "x")) is None
    assert ring.find(digest(STATIC)) is not None


def test_a_revoked_key_is_refused(ring, store):
    text, record = store.create()
    ring.refresh()
    principal = ring.find(digest(text))
    assert ring.holds(principal)
    store.revoke(record.id)
    ring.refresh()
    assert ring.find(digest(text)) is None
    assert not ring.holds(principal)


def test_a_configured_caller_always_holds(ring):
    assert ring.holds(ring.find(digest(STATIC)))


def test_expiry_is_seen_at_the_look_up(ring, store, clock):
    text, _ = store.create(expires=1010.0)
    ring.refresh()
    clock.now = 1009.9
    assert ring.find(digest(text)) is not None
    clock.now = 1010.0
    assert ring.find(digest(text)) is None


def test_a_changed_key_has_its_new_rights(ring, store):
    text, record = store.create(tier="pro")
    ring.refresh()
    store.change(record.id, tier="free")
    ring.refresh()
    assert ring.find(digest(text)).tier == "free"


def test_after_a_rotation_the_old_text_works_for_the_grace_only(ring, store, clock):
    old, record = store.create()
    ring.refresh()
    new, _ = store.rotate(record.id, grace=60.0)
    ring.refresh()
    assert ring.find(digest(old)) == ring.find(digest(new)) == record.principal
    clock.now = 1060.0
    assert ring.find(digest(old)) is None
    assert ring.find(digest(new)) is not None


def test_a_rotation_without_grace_ends_the_old_text_at_once(ring, store):
    old, record = store.create()
    ring.refresh()
    new, _ = store.rotate(record.id)
    ring.refresh()
    assert ring.find(digest(old)) is None
    assert ring.find(digest(new)) is not None


def test_a_restored_backup_is_read_anew(ring, store, tmp_path):
    lost = [store.create()[0] for _ in range(3)]
    ring.refresh()
    other = SqliteDatabase(tmp_path / "backup.db")
    other.migrate()
    kept, _ = KeyStore(other).create()
    ring._source = KeyStore(other)
    ring.refresh()
    other.close()
    assert ring.find(digest(kept)) is not None
    assert [ring.find(digest(text)) for text in lost] == [None] * 3
    assert ring.find(digest(STATIC)) is not None


@pytest.mark.anyio
async def test_what_another_process_revokes_ends_here(ring, store, database):
    text, record = store.create()
    ring.refresh()
    code = (
        "import sys; from headgate.stores.keys import KeyStore; from headgate.stores.sqlite import SqliteDatabase\n"
        "KeyStore(SqliteDatabase(sys.argv[1])).revoke(sys.argv[2])"
    )
    async with watching(ring):
        assert ring.find(digest(text)) is not None
        command = [sys.executable, "-c", code, str(database.path), record.id]
        await asyncio.to_thread(subprocess.run, command, check=True)
        await until(lambda: ring.find(digest(text)) is None)


@pytest.mark.anyio
async def test_a_source_out_of_reach_leaves_the_keys_and_is_asked_again(ring, store, caplog):
    text, _ = store.create()
    ring.refresh()
    answer = store.version
    asked = []

    def out_of_reach():
        asked.append(1)
        raise Unavailable("no")

    store.version = out_of_reach
    checked = ring.checked
    with caplog.at_level(logging.WARNING):
        async with watching(ring):
            await until(lambda: len(asked) > 2)
            assert ring.find(digest(text)) is not None
            assert ring.checked == checked
            store.version = answer
            await until(lambda: ring.checked > checked)
    assert len(caplog.records) == 1


def test_configured_keys_name_their_user_and_tier():
    keys = configured_keys(" plain-key-0123456789 , second-key-0123456789:ada,third-key-0123456789:bob:pro,")
    plain, ada, bob = keys.values()
    assert next(iter(keys)) == digest("plain-key-0123456789")
    assert (plain.kind, plain.tier, plain.id) == ("key", "standard", plain.key_id)
    assert "plain" not in plain.id
    assert (ada.id, ada.tier) == ("ada", "standard")
    assert (bob.id, bob.tier) == ("bob", "pro")
    assert len({plain.key_id, ada.key_id, bob.key_id}) == 3


def test_the_admin_key_makes_an_admin():
    (admin,) = configured_keys(admin_key="an-admin-key-0123456789").values()
    assert admin.is_admin


@pytest.mark.parametrize(
    ("api_keys", "admin_key", "words"),
    [
        (":ada:pro", "", "entry 1 of api_keys has no key"),
        ("some-secret-012345:a:b:c", "", "entry 1 of api_keys is not"),
        ("some secret 012345", "", "entry 1 of api_keys has characters"),
        ("some-sécret-012345", "", "entry 1 of api_keys has characters"),
        ("some-secret-012345,some-secret-012345:ada", "", "entry 2 of api_keys repeats"),
        ("some-secret-012345", "some-secret-012345", "admin_key repeats"),
    ],
)
def test_a_faulty_entry_is_told_by_its_place_and_never_by_its_text(api_keys, admin_key, words):
    with pytest.raises(ValueError, match=words) as caught:
        configured_keys(api_keys, admin_key)
    assert "secret" not in str(caught.value)
    assert "tiny" not in str(caught.value)


def test_a_short_key_is_warned_about_without_telling_it(caplog):
    with caplog.at_level(logging.WARNING):
        configured_keys("short-key-1")
    assert "entry 1 of api_keys" in caplog.text
    assert "short-key-1" not in caplog.text

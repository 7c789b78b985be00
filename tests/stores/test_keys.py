"""Key records in a real database: created, listed, changed, rotated, revoked, and seen by others."""

from __future__ import annotations

import pytest

from headgate.core.faults import NotFound
from headgate.core.key import SHOWN, digest, looks_like_key
from headgate.stores.keys import KeyStore


class Clock:
    """A clock that the test sets."""

    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(database, clock):
    return KeyStore(database, clock)


def test_a_created_key_is_found_again_as_it_was(store):
    text, record = store.create(
        user="ada",
        tier="pro",
        name="laptop",
        scopes=frozenset({"chat", "embed"}),
        models=("assistant", "openai/*"),
        limits=(("requests", "5/minute"),),
        expires=2000.5,
    )
    assert looks_like_key(text)
    assert store.get(record.id) == record
    assert (record.digest, record.prefix, record.created) == (digest(text), text[:SHOWN], 1000.0)


def test_the_defaults_are_a_standard_key_without_bounds(store):
    _, record = store.create()
    assert store.get(record.id) == record
    assert (record.tier, record.models, record.expires, record.revoked) == ("standard", None, None, None)


def test_an_empty_list_of_models_stays_empty(store):
    _, record = store.create(models=())
    assert store.get(record.id).models == ()


def test_the_database_never_holds_the_text_of_a_key(store, database, tmp_path):
    text, _ = store.create()
    assert text not in str(database.rows("SELECT * FROM api_keys"))
    assert text.encode() not in b"".join(path.read_bytes() for path in tmp_path.rglob("*.db*"))


def test_keys_are_listed_newest_first_by_owner_or_prefix(store, clock):
    first, one = store.create(user="ada")
    clock.now += 1
    _, two = store.create(user="bob")
    clock.now += 1
    _, three = store.create(user="ada")
    assert list(store.list()) == [three, two, one]
    assert list(store.list(user="ada")) == [three, one]
    assert list(store.list(prefix=first)) == list(store.list(prefix=first[:8])) == [one]
    assert list(store.list(limit=1)) == [three]


def test_a_prefix_is_taken_by_the_letter(store):
    store.create()
    assert list(store.list(prefix="hg%")) == []
    assert list(store.list(prefix="__")) == []
    assert list(store.list(prefix="' OR 1=1 --")) == []


def test_a_change_sets_what_it_names_and_leaves_the_rest(store):
    _, record = store.create(user="ada", tier="pro", name="laptop", models=("a",), expires=5.0)
    changed = store.change(record.id, tier="free", models=None, expires=None, user="bob")
    assert changed == store.get(record.id)
    assert (changed.tier, changed.models, changed.expires, changed.user, changed.name) == (
        "free",
        None,
        None,
        "bob",
        "laptop",
    )
    assert changed.digest == record.digest
    assert store.change(record.id) == changed


def test_a_rotated_key_has_a_new_text_and_the_same_identity(store):
    old_text, old = store.create(user="ada")
    text, record = store.rotate(old.id, grace=60.0)
    assert text != old_text
    assert (record.id, record.digest, record.prefix) == (old.id, digest(text), text[:SHOWN])
    assert (record.previous, record.previous_until) == (digest(old_text), 1060.0)
    _, again = store.rotate(old.id)
    assert again.previous == b""


def test_a_revoked_key_can_be_neither_changed_nor_rotated(store, clock):
    _, record = store.create()
    assert store.revoke(record.id).revoked == 1000.0
    clock.now += 5
    assert store.revoke(record.id).revoked == 1000.0
    with pytest.raises(NotFound):
        store.change(record.id, tier="pro")
    with pytest.raises(NotFound):
        store.rotate(record.id)


def test_an_unknown_key_is_not_found(store):
    for act in (store.get, store.revoke, store.rotate, lambda key: store.change(key, tier="pro")):
        with pytest.raises(NotFound):
            act("key_none")


def test_every_change_advances_the_version_and_is_listed_since(store):
    assert store.version() == 0
    _, one = store.create()
    _, two = store.create()
    seen = store.version()
    assert {record.id for record in store.changed(0)} == {one.id, two.id}
    assert list(store.changed(seen)) == []
    revoked = store.revoke(one.id)
    assert store.version() > seen
    assert list(store.changed(seen)) == [revoked]
    seen = store.version()
    assert list(store.changed(seen)) == []
    assert [record.id for record in (store.rotate(two.id)[1],)] == [record.id for record in store.changed(seen)]

"""From headers to a caller: a credential that is given must be good, and one only."""

from __future__ import annotations

import pytest

from access._issuer import SECRET, token
from headgate.access.identify import ANONYMOUS, Identify, Seen
from headgate.access.jwt import Issuer, JwtVerifier
from headgate.access.keys import KeyRing, configured_keys
from headgate.core.faults import Unauthenticated
from headgate.core.key import digest, mint
from headgate.stores.keys import KeyStore
from headgate.stores.sqlite import SqliteDatabase

pytestmark = pytest.mark.anyio

KEY = "a-static-key-of-some-length"
OTHER = "another-static-key-of-some-length"
KEYS = KeyRing(configured_keys(f"{KEY}:ada:pro,{OTHER}", "the-admin-key-0123456789"))


class _Found:
    """Keys in a dictionary that the test may change."""

    def __init__(self, keys):
        self.find = keys.get


def bearer(text, scheme="Bearer"):
    return (b"authorization", f"{scheme} {text}".encode("latin-1"))


def api_key(text):
    return (b"x-api-key", text.encode("latin-1"))


@pytest.fixture
def identify():
    return Identify(KEYS, JwtVerifier([Issuer(secret=SECRET)], {"free", "pro"}))


@pytest.mark.parametrize(
    "headers",
    [
        [bearer(KEY)],
        [bearer(KEY, "bearer")],
        [bearer(KEY, "BEARER")],
        [bearer(f" {KEY} ")],
        [api_key(KEY)],
        [api_key(f" {KEY}")],
        [(b"host", b"x"), bearer(KEY), (b"accept", b"*/*"), api_key(KEY)],
    ],
)
def test_a_key_is_known_at_once(identify, headers):
    who = identify.known(headers)
    assert (who.kind, who.id, who.tier) == ("key", "ada", "pro")


def test_the_admin_is_known(identify):
    assert identify.known([bearer("the-admin-key-0123456789")]).is_admin


def test_what_a_connection_brought_before_changes_nobody():
    """A proxy brings many callers by one connection, and what it brought may be revoked meanwhile."""
    keys = {digest(key.encode()): KEYS.find(digest(key.encode())) for key in (KEY, OTHER)}
    identify, seen = Identify(_Found(keys)), Seen()
    mine, others, nobodys, wrong = ([bearer(KEY)], [bearer(OTHER)], [], [bearer("no-key-of-anybody")])
    named = {id(headers): dict(headers) for headers in (mine, others, nobodys, wrong)}

    def known(headers):
        return identify.known(headers, named[id(headers)], seen)

    for _ in range(2):
        assert known(mine).id == "ada" == known(mine).id
        assert known(nobodys) is ANONYMOUS
        assert known(others).id != "ada"
        for _ in range(2):
            with pytest.raises(Unauthenticated):
                known(wrong)
        assert known(mine).id == "ada"
    with pytest.raises(Unauthenticated):
        known(wrong)
    keys[digest(b"no-key-of-anybody")] = keys[digest(OTHER.encode())]  # what was wrong a moment ago
    assert known(mine).id == "ada"
    del keys[digest(KEY.encode())]
    with pytest.raises(Unauthenticated):
        known(mine)


async def test_a_token_is_verified_once_and_then_known(identify):
    headers = [bearer(token(sub="bob"))]
    assert identify.known(headers) is None
    who = await identify.verify(headers)
    assert (who.kind, who.id) == ("user", "bob")
    assert identify.known(headers) is who
    assert await identify.verify(headers) is who


async def test_a_token_may_come_twice_the_same(identify):
    text = token()
    assert (await identify.verify([bearer(text), api_key(text)])).id == "ada"


async def test_without_a_credential_the_caller_is_anonymous_where_that_is_enabled(identify):
    assert identify.known([(b"host", b"x")]) is ANONYMOUS
    assert await identify.verify([]) is ANONYMOUS
    closed = Identify(KEYS, anonymous=None)
    with pytest.raises(Unauthenticated):
        closed.known([])


async def test_a_bad_credential_is_never_anonymous(identify):
    headers = [
        [bearer("wrong")],
        [bearer(mint())],
        [bearer(KEY + "x")],
        [bearer(KEY[:-1])],
        [bearer("")],
        [bearer("  ")],
        [bearer("a.b.c")],
        [bearer(mint() + "..")],
        [bearer(token(exp=1))],
        [bearer(token("another secret of more than thirty-two bytes"))],
        [bearer(f"{KEY}, Bearer {KEY}")],
        [bearer(f"{KEY} {KEY}")],
        [bearer("é" * 20)],
        [bearer("é.é.é")],
        [bearer("\x00.\x00.\x00")],
        [bearer(KEY, "Basic")],
        [bearer(KEY, "Bearerx")],
        [bearer(KEY, "")],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", KEY.encode())],
        [(b"authorization", b"Bearer\t" + KEY.encode())],
        [bearer(digest(KEY).hex())],
        [api_key("")],
        [api_key(" ")],
        [api_key("wrong")],
        [api_key(f"Bearer {KEY}")],
        [api_key(token())],
        [bearer(KEY), bearer(KEY)],
        [bearer(KEY), bearer(OTHER)],
        [api_key(KEY), api_key(KEY)],
        [bearer(KEY), api_key(OTHER)],
        [bearer(KEY), api_key("")],
        [bearer(""), api_key(KEY)],
        [bearer(KEY, "Basic"), api_key(KEY)],
    ]
    for each in headers:
        with pytest.raises(Unauthenticated) as caught:
            await identify.verify(each)
        assert KEY not in caught.value.message


async def test_without_issuers_a_token_is_refused():
    with pytest.raises(Unauthenticated):
        await Identify(KEYS).verify([bearer(token())])


def test_a_refusal_does_not_tell_a_revoked_key_from_an_unknown_one(tmp_path):
    database = SqliteDatabase(tmp_path / "headgate.db")
    database.migrate()
    store = KeyStore(database)
    ring = KeyRing({}, store)
    revoked, record = store.create()
    expired, _ = store.create(expires=1.0)
    ring.refresh()
    identify = Identify(ring)
    assert identify.known([bearer(revoked)]).key_id == record.id
    store.revoke(record.id)
    ring.refresh()
    database.close()
    messages = set()
    for text in (revoked, expired, mint(), "x" * 41):
        with pytest.raises(Unauthenticated) as caught:
            identify.known([bearer(text)])
        messages.add(caught.value.message)
    assert len(messages) == 1

"""An API key's text: random, recognisable by its checksum, kept as a digest."""

from __future__ import annotations

import hashlib
import string

from headgate.core.key import KeyRecord, digest, looks_like_key, mint


def record(**fields):
    return KeyRecord(id="key_1", prefix="hg_abc", digest=b"d", created=0.0, **fields)


def test_a_minted_key_has_the_documented_form():
    key = mint()
    assert key.startswith("hg_")
    assert len(key) == 3 + 32 + 6
    assert set(key[3:]) <= set(string.ascii_letters + string.digits)
    assert looks_like_key(key)


def test_keys_never_repeat():
    assert len({mint() for _ in range(500)}) == 500


def test_every_single_wrong_character_is_noticed():
    key = mint()
    for place in range(len(key)):
        wrong = "a" if key[place] != "a" else "b"
        assert not looks_like_key(key[:place] + wrong + key[place + 1 :]), place


def test_what_is_no_key_does_not_look_like_one():
    key = mint()
    for text in ("", "hg_", key[:-1], key + "0", "sk" + key[2:], key[:-1] + "é", "hg_" + "é" * 38):
        assert not looks_like_key(text), text


def test_the_digest_is_sha256_of_text_or_bytes():
    assert digest("secret") == digest(b"secret") == hashlib.sha256(b"secret").digest()


def test_a_key_without_an_owner_stands_for_itself():
    assert record().principal.id == "key_1"
    assert record(user="ada").principal.tenant == "user:ada"


def test_a_record_opens_with_its_digest_until_it_expires_and_its_previous_one_until_the_grace_ends():
    assert list(record().digests()) == [(b"d", float("inf"))]
    rotated = record(previous=b"old", previous_until=50.0)
    assert list(rotated.digests()) == [(b"d", float("inf")), (b"old", 50.0)]
    assert list(record(previous=b"old", previous_until=50.0, expires=20.0).digests()) == [(b"d", 20.0), (b"old", 20.0)]
    assert list(record(revoked=1.0, previous=b"old", previous_until=50.0).digests()) == []

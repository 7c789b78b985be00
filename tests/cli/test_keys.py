"""`headgate keys` over a real database."""

import json
import time

from headgate.core.key import digest, looks_like_key
from headgate.stores.keys import KeyStore
from headgate.stores.sqlite import SqliteDatabase


def create(run, *args):
    return json.loads(run("keys", "create", "--json", *args).stdout)


def listed(run, *args):
    return json.loads(run("keys", "list", "--json", *args).stdout)


def test_a_key_is_shown_once_and_kept_as_a_digest(run, here):
    result = run("keys", "create", "--user", "ada", "--tier", "pro")
    text = result.stdout.strip()
    assert looks_like_key(text)
    assert "not shown again" in result.stderr
    assert text not in run("keys", "list").output
    assert text not in run("keys", "list", "--json").output
    database = SqliteDatabase(here / ".headgate" / "headgate.db")
    [record] = KeyStore(database).list()
    database.close()
    assert (record.digest, record.user, record.tier) == (digest(text), "ada", "pro")
    assert text.encode() not in (here / ".headgate" / "headgate.db").read_bytes()


def test_all_of_a_keys_settings_can_be_given(run):
    options = ["--name", "ci", "--expires", "90d", "--model", "a*", "--model", "b", "--limit", "requests=5/minute"]
    made = create(run, *options, "--scope", "read")
    assert made["models"] == ["a*", "b"]
    assert made["limits"] == ["requests=5/minute"]
    assert made["scopes"] == ["read"]
    assert made["expires"] > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 89 * 86_400))


def test_keys_are_listed_by_user_and_prefix(run):
    ada, bob = create(run, "--user", "ada"), create(run, "--user", "bob")
    assert {key["id"] for key in listed(run)} == {ada["id"], bob["id"]}
    assert [key["id"] for key in listed(run, "--user", "ada")] == [ada["id"]]
    assert [key["id"] for key in listed(run, "--prefix", bob["key"])] == [bob["id"]]


def test_a_revoked_key_is_shown_as_such(run):
    made = create(run)
    assert run("keys", "revoke", made["prefix"]).exit_code == 0
    assert listed(run)[0]["state"] == "revoked"
    result = run("keys", "rotate", made["id"])
    assert (result.exit_code, result.stderr) == (1, "Error: There is no such API key.\n")


def test_a_rotated_key_has_a_new_text(run):
    made = create(run)
    again = json.loads(run("keys", "rotate", made["id"], "--grace", "1h", "--json").stdout)
    assert again["id"] == made["id"]
    assert again["key"] != made["key"]


def test_what_cannot_be_is_wrong_usage(run):
    assert 'there is no tier "gold"' in run("keys", "create", "--tier", "gold").stderr
    assert run("keys", "create", "--tier", "gold").exit_code == 2
    assert run("keys", "create", "--limit", "requests=many").exit_code == 2
    assert run("keys", "create", "--expires", "soon").exit_code == 2
    result = run("keys", "revoke", "key_unknown")
    assert (result.exit_code, result.stderr) == (1, "Error: There is no such API key.\n")


def test_no_keys_are_said_so(run):
    assert run("keys", "list").output == "There are no keys.\n"
    assert listed(run) == []


def test_a_key_without_an_end_is_good_until_it_is_revoked(run):
    made = create(run)
    assert (made["state"], listed(run)[0]["state"]) == ("good", "good")
    run("keys", "revoke", made["id"])
    assert listed(run)[0]["state"] == "revoked"


def test_a_list_in_a_pipe_has_a_line_for_each_key(run):
    made = [create(run, "--user", "a-user-with-a-long-name", "--tier", "standard") for _ in range(2)]
    lines = run("keys", "list").stdout.splitlines()
    assert len(lines) == 3
    assert all(any(each["id"] in line for line in lines) for each in made)

"""What the start says."""

import pytest

from headgate.boot.opening import check
from headgate.boot.serve import banner
from headgate.config import load

OURS = '[[access.jwt]]\nissuer = "https://us.example"\njwks_url = "https://us.example/keys"\n'
THEIRS = '[[access.jwt]]\nissuer = "https://them.example"\njwks_url = "https://them.example/keys"\n'


def test_where_data_lies_is_said_without_a_password(tmp_path):
    path = tmp_path / "headgate.toml"
    path.write_text('[store]\nurl = "postgresql://ada:pass-word@db.example:5432/gate?password=pass-word"\n', "utf-8")
    config = load(path)
    told = banner(config, check(config), 8000)
    assert "postgresql://db.example:5432/gate" in told
    assert "pass-word" not in told


def test_where_data_lies_without_a_host_is_said_as_it_is_configured(tmp_path):
    path = tmp_path / "headgate.toml"
    path.write_text('[store]\nurl = "sqlite:///data/gate.db"\n', "utf-8")
    config = load(path)
    assert "data           sqlite:///data/gate.db\n" in banner(config, check(config), 8000)


@pytest.mark.parametrize(
    ("issuers", "warned"),
    [(OURS, False), (OURS * 2, False), (OURS + THEIRS, True), (f'{OURS + THEIRS}user_prefix = "t:"\n', False)],
)
def test_issuers_whose_users_may_be_taken_for_each_other_are_warned_of(tmp_path, issuers, warned):
    path = tmp_path / "headgate.toml"
    path.write_text(issuers, "utf-8")
    config = load(path)
    assert ("user_prefix" in banner(config, check(config), 8000)) is warned


@pytest.mark.parametrize(("text", "warned"), [("", True), ('[access]\napi_keys = "env:API_KEYS"\n', False)])
def test_keys_in_the_environment_that_nobody_looks_at_are_warned_of(tmp_path, monkeypatch, text, warned):
    monkeypatch.setenv("API_KEYS", "a-key-long-enough-for-anyone")
    path = tmp_path / "headgate.toml"
    path.write_text(text, "utf-8")
    config = load(path)
    told = banner(config, check(config), 8000)
    assert ("API_KEYS is set and not used" in told) is warned
    assert "long-enough" not in told

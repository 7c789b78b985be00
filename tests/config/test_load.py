"""The file, the environment and the flags become one tree."""

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from headgate.config import ConfigError, load, text_of

SECRET = "correct-horse-battery-staple-0123456789"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str, name: str = "headgate.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_nothing_is_required():
    config = load(env={})
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8000)
    assert config.path is None
    assert config.store.url == "sqlite:///.headgate/headgate.db"


def test_the_file_in_the_working_directory_is_read():
    write("[server]\nport = 9001")
    assert load(env={}).server.port == 9001


def test_a_named_file_wins_over_the_variable_and_the_variable_over_the_working_directory():
    write("[server]\nport = 1")
    other = write("[server]\nport = 2", "other.toml")
    third = write("[server]\nport = 3", "third.toml")
    assert load(env={"HEADGATE_CONFIG": str(other)}).server.port == 2
    assert load(third, {"HEADGATE_CONFIG": str(other)}).server.port == 3


def test_flags_win_over_variables_and_variables_over_the_file():
    write("[server]\nport = 1\nhost = '10.0.0.1'\nworkers = 1")
    env = {"HEADGATE__SERVER__PORT": "2", "HEADGATE__SERVER__HOST": "10.0.0.2"}
    config = load(None, env, {"server.port": 3, "server.workers": None})
    assert (config.server.host, config.server.port, config.server.workers) == ("10.0.0.2", 3, 1)


def test_a_variable_holds_a_toml_value_or_plain_text():
    config = load(
        env={
            "HEADGATE__TIERS__PRO__REQUESTS": '["7/minute", "8/day"]',
            "HEADGATE__TIERS__FREE__REQUESTS": "3/minute",
            "HEADGATE__SERVER__MAX_BODY": "1 MB",
            "HEADGATE__CACHE__ENABLED": "true",
            "HEADGATE__SERVER__CORS_ORIGINS": "https://a.example, https://b.example",
        }
    )
    assert config.tiers["pro"].requests == ("7/minute", "8/day")
    assert config.tiers["free"].requests == ("3/minute",)
    assert config.server.max_body == 1_000_000
    assert config.cache.enabled is True
    assert config.server.cors_origins == ("https://a.example", "https://b.example")


def test_a_secret_in_a_variable_keeps_its_digits():
    env = {"HEADGATE__ACCESS__ADMIN_KEY": "1_000", "HEADGATE__PROVIDERS__GEMINI__API_KEY": "1e5"}
    config = load(env=env)
    assert text_of(config.access.admin_key) == "1_000"
    assert config.providers["gemini"]["api_key"] == "1e5"


def test_a_variable_cannot_smuggle_in_a_second_key():
    with pytest.raises(ConfigError):
        load(env={"HEADGATE__SERVER__PORT": "1\nother = 2"})


def test_a_variable_finds_names_with_dashes_and_capitals():
    write('[models.My-Model]\ntargets = ["a/b"]')
    config = load(env={"HEADGATE__MODELS__MY_MODEL__TARGETS": '["c/d"]'})
    assert {name: model.targets for name, model in config.models.items()} == {"My-Model": ("c/d",)}


def test_the_tiers_are_merged_key_by_key_with_the_built_in_ones():
    write('[tiers.pro]\nrequests = "1/s"\nconcurrent = "unlimited"\n[tiers.gold]\nspend_usd = "0.5/day"')
    tiers = load(env={}).tiers
    assert set(tiers) == {"anonymous", "free", "standard", "pro", "gold"}
    assert tiers["pro"].requests == ("1/s",)
    assert tiers["pro"].concurrent is None
    assert tiers["pro"].tokens == ("200_000/minute",)
    assert tiers["anonymous"].requests_per_address == ("5/minute",)


def test_a_providers_kind_is_its_name_unless_told_otherwise():
    write('[providers.gemini]\n[providers.local]\nkind = "openai"')
    assert {name: t["kind"] for name, t in load(env={}).providers.items()} == {"gemini": "gemini", "local": "openai"}


def test_secrets_come_from_variables_and_files_and_a_dotenv_beside_the_file():
    write(
        '[providers.a]\napi_key = "env:A_KEY"\nheaders = { x-team = "env:TEAM" }\n'
        '[access]\nadmin_key = "file:secrets/admin"\n[[access.jwt]]\nsecret = "env:JWT_SECRET"',
        "conf/headgate.toml",
    )
    write("admin-secret\n", "conf/secrets/admin")
    write(f"A_KEY=from-dotenv\nTEAM=dotenv\nJWT_SECRET='{SECRET}'\n", "conf/.env")
    config = load(Path("conf/headgate.toml"), {"TEAM": "real"})
    assert config.providers["a"]["api_key"] == "from-dotenv"
    assert config.providers["a"]["headers"] == {"x-team": "real"}
    assert text_of(config.access.admin_key) == "admin-secret"
    assert text_of(config.access.jwt[0].secret) == SECRET
    assert config.environ["A_KEY"] == "from-dotenv"
    assert set(config.files) == {Path("conf/headgate.toml"), Path("conf/.env"), Path("conf/secrets/admin")}


def test_a_dotenv_in_the_working_directory_is_read_without_a_file():
    write("HEADGATE__SERVER__PORT=4321\n", ".env")
    assert load(env={}).server.port == 4321


def test_the_admin_key_has_a_variable_of_its_own():
    write('[access]\nanonymous = true\n[server]\nhost = "0.0.0.0"')
    assert text_of(load(env={"HEADGATE_ADMIN_KEY": "opens-all"}).access.admin_key) == "opens-all"


def test_no_secret_shows_in_any_rendering():
    write(
        '[providers.a]\napi_key = "inline-secret"\nbase_url = "https://u:inline-secret@host/v1"\n'
        'headers = { Authorization = "inline-secret" }\n[providers.b]\ntoken = "env:TOKEN"\n'
        '[access]\nadmin_key = "inline-secret"\napi_keys = "env:TOKEN"\n[[access.jwt]]\nsecret = "env:JWT"\n'
        '[store]\nurl = "postgresql://u:inline-secret@db/x"\n[shared]\nurl = "redis://:inline-secret@r/0"'
    )
    config = load(env={"TOKEN": "inline-secret-2:me", "JWT": "inline-secret" * 4})
    everything = f"{config!r} {config} {config.resolved()} {config._source}"
    assert "inline-secret" not in everything
    assert config.resolved()["store"]["url"] == "postgresql://u:********@db/x"
    assert config.resolved()["providers"]["a"]["api_key"] == "********"


def test_a_prompt_stays_a_reference_from_the_files_directory():
    write('[models.m]\ntargets = ["a/b"]\nsystem_prompt = "file:prompts/s.md"', "conf/headgate.toml")
    write("Be kind.", "conf/prompts/s.md")
    config = load(Path("conf/headgate.toml"), {})
    assert config.models["m"].system_prompt == "file:prompts/s.md"
    assert config.prompt_file("file:prompts/s.md") == Path("conf/prompts/s.md")
    assert Path("conf/prompts/s.md") in config.files
    assert config.prompt_file("Be kind.") is None


@pytest.mark.parametrize(
    ("text", "anonymous"),
    [
        ("", True),
        ("[server]\nhost = '0.0.0.0'", False),
        ("[server]\nhost = 'localhost'", True),
        ("[server]\nhost = '::1'", True),
        ("[access]\napi_keys = 'k'", False),
        ("[access]\nadmin_key = 'k'", False),
        ("[access]\nanonymous = true\napi_keys = 'k'", True),
        ("[access]\nanonymous = false", False),
        ("[server]\nhost = '0.0.0.0'\n[access]\nanonymous = true", True),
    ],
)
def test_anonymous_callers_are_served_by_default_only_on_an_unconfigured_loopback(text, anonymous):
    write(text)
    assert load(env={}).anonymous is anonymous


def test_the_rules_of_a_tier_are_those_that_are_set():
    write('[tiers.gold]\nspend_usd = "0.5/day"\nconcurrent = 2\nmodels = ["a*"]')
    tiers = load(env={}).tiers
    assert tiers["gold"].rules == {"spend_usd": ("0.5/day",), "concurrent": 2}
    assert tiers["anonymous"].rules == {"requests": ("20/minute",), "requests_per_address": ("5/minute",)}


def test_a_providers_own_options_are_checked_in_its_words():
    class Own(BaseModel):
        model_config = ConfigDict(extra="forbid")
        api_key: str = ""
        base_url: str = ""

    write('[providers.good]\nkind = "x"\napi_key = "env:K"\n[providers.bad]\nbase_ulr = "http://x"')
    config = load(env={"K": "v"})
    assert config.options("good", Own) == Own(api_key="v")
    with pytest.raises(ConfigError) as caught:
        config.options("bad", Own)
    assert str(caught.value) == (
        "headgate.toml:5: providers.bad.base_ulr is not a known key; did you mean providers.bad.base_url?"
    )


def test_the_tree_is_frozen():
    with pytest.raises(ValidationError):
        load(env={}).server.port = 1

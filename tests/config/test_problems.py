"""A mistake is told once, with its key, its place and what was meant."""

from pathlib import Path

import pytest

from headgate.config import ConfigError, load
from headgate.config.source import lines_of

SAY = "write an amount, a slash and a time, as in"
FORMS = '"20/minute", "5/10s", "1000/hour" or "200_000/day" (second, minute, hour, day, week, month)'
SPEND_FORMS = '"0.50/day" or "200/month", in US dollars (second, minute, hour, day, week, month)'


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def told(text: str, env=None, overrides=None) -> list[str]:
    Path("headgate.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(None, env or {}, overrides)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[servr]\nport = 1", "1: servr is not a known key; did you mean server?"),
        ("[server]\n\nprot = 1", "3: server.prot is not a known key; did you mean server.port?"),
        ("server = 1", "1: server must be a table, not 1"),
        ("[server]\nport = 'x'", '2: server.port must be a whole number, not "x"'),
        ("[server]\nport = 99999", "2: server.port must be at most 65535, not 99999"),
        ("[server]\nhost = 1", "2: server.host must be text, not 1"),
        ("[server]\ndrain = '5 parsecs'", '2: server.drain must be a duration such as "30 s", "500 ms" or "1 h"'),
        ("[server]\nmax_body = 'big'", '2: server.max_body must be a size such as "20 MiB" or "500 kB"'),
        ("[cache]\nenabled = 'maybe'", '2: cache.enabled must be true or false, not "maybe"'),
        ("[models.a]\nstrategy = 'order'", "1: models.a.targets is required"),
        ("[models.a]\ntargets = []", "2: models.a.targets must have at least 1 of them"),
        ("[models.a]\ntargets = ['gpt']", '2: models.a.targets must be "provider/model" each, not "gpt"'),
        (
            "[models.a]\ntargets = ['a/b']\nstrategy = 'odrer'",
            "3: models.a.strategy must be 'order', 'weighted' or 'least_busy', not \"odrer\"",
        ),
        (
            "[models.a]\ntargets = ['a/b']\nhistory = 'refuse'",
            "1: models.a must say both context_window and history, or neither",
        ),
        (
            "[models.a]\ntargets = ['a/b']\ncontext_window = 8000",
            "1: models.a must say both context_window and history, or neither",
        ),
        (
            "[models.a]\ntargets = ['a/b', 'a/c']\nweights = [1]",
            "3: models.a.weights must have one weight for each of the 2 targets, not all 0",
        ),
        (
            "[models.a]\ntargets = ['a/b']\ntimeout = { conect = '5 s' }",
            "3: models.a.timeout.conect is not a known key; did you mean models.a.timeout.connect?",
        ),
        (
            "[models.a]\ntargets = ['a/b']\n[models.a.timeout]\nidle = 0",
            '4: models.a.timeout.idle must be a duration such as "30 s", "500 ms" or "1 h"',
        ),
        ("[tiers.free]\nrequests = 'lots'", f"2: tiers.free.requests 'lots' is no limit; {SAY} {FORMS}"),
        (
            "[tiers.free]\ntokens = ['9/day', '1.5/minute']",
            f'2: tiers.free.tokens "1.5" is no whole number; write {FORMS}',
        ),
        (
            "[tiers.free]\nspend_usd = '1/fortnight'",
            f"2: tiers.free.spend_usd '1/fortnight' is no limit; {SAY} {SPEND_FORMS}",
        ),
        ("[limits]\nconcurrent = 0", "2: limits.concurrent must be at least 1, not 0"),
        (
            "[knowledge]\nchunk_char = 900",
            "2: knowledge.chunk_char is not a known key; did you mean knowledge.chunk_chars?",
        ),
        ("[routing]\ndefault = 'a'", '2: routing.default names no model of this file: "a"'),
        (
            "[shared]\nurl = 'http://x'",
            "2: shared.url must begin with redis://, rediss://, valkey://, valkeys://, unix://",
        ),
        ("[prices.x]\ninput = 1", "1: prices.x.output is required"),
        ("[prices.'a/b']\ninput = 1\noutput = -1", '3: prices."a/b".output must be at least 0.0, not -1'),
        ("[[access.jwt]]\nissuer = 'x'", "1: access.jwt[0] needs one of `secret`, `public_key` and `jwks_url`"),
        ("[[access.jwt]]\njwks_url = 'http://i.example/k'", "2: access.jwt[0].jwks_url must be an https:// address"),
        (
            "[[access.jwt]]\njwks_url = 'https://i.example/k'\ntier = 'fre'",
            '3: access.jwt[0].tier names no tier: "fre"; did you mean free?',
        ),
        ("[access]\napi_keys = 'k:u:glod'", '2: access.api_keys names no tier: "glod"'),
        (
            "[access]\ntrusted_proxies = ['10.0.0.0/8', 'proxy']",
            '2: access.trusted_proxies must be addresses or networks, which "proxy" is not',
        ),
        (
            "[providers.a]\napi_key = 'env:NOT_THERE'",
            "2: providers.a.api_key needs the environment variable NOT_THERE, which is not set",
        ),
        (
            "[access]\nadmin_key = 'file:/nowhere/x'",
            "2: access.admin_key needs the file /nowhere/x, which cannot be read",
        ),
        (
            "[models.a]\ntargets = ['a/b']\nsystem_prompt = 'file:nope.md'",
            "3: models.a.system_prompt needs the file nope.md, which is not there",
        ),
        (
            "[server]\nworkers = 2",
            (
                "2: server.workers needs `[shared] url`, so that the workers count together; or `[shared] per_process "
                "= true` to accept that each counts for itself"
            ),
        ),
    ],
)
def test_one_mistake_is_one_sentence(text, sentence):
    assert told(text) == [f"headgate.toml:{sentence}"]


def test_all_mistakes_are_told_at_once():
    problems = told(
        "[server]\nprot = 1\n[models.a]\ntargets = ['x']\nsystem_prompt = 'file:nope.md'\n"
        "[routing]\ndefault = 'b'\n[access]\nadmin_key = 'env:NOPE'\n[[access.jwt]]\nsecret = 'env:NOPE2'",
        {"HEADGATE__CACHE__TTL": "soon"},
        {"server.port": -1},
    )
    places = {problem.split(" ")[0] for problem in problems}
    lines = {f"headgate.toml:{line}:" for line in (2, 4, 5, 7, 9, 11)}
    assert places == {"--port:", "environment", *lines}
    assert len(problems) == 8


def test_a_variable_is_named_where_it_is_at_fault():
    assert told("", {"HEADGATE__SERVER__PORT": "x", "HEADGATE__SHRED__URL": ""}) == [
        'environment variable HEADGATE__SERVER__PORT: server.port must be a whole number, not "x"',
        "environment variable HEADGATE__SHRED__URL: shred is not a known key; did you mean shared?",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "[[access.jwt]]\nsecret = 'short-hidden'",
        "[access]\nadmin_key = ['hidden']",
        "[access]\nadmin_key = true\napi_keys = 'hidden:u:nope'",
        "[store]\nurl = 'mysql://u:hidden@x'",
        "[providers]\na = 'hidden'\nb = 1",
        "[models]\napi_key = 'env:HIDDEN'",
        "[server]\nport = 'env:HIDDEN'",
    ],
)
def test_no_mistake_shows_a_secret(text):
    problems = told(text, {"HIDDEN": "hidden"})
    assert problems
    assert "hidden'" not in str(problems).replace("providers.a must be a table, not", "")
    assert "hidden@" not in str(problems)


def test_a_file_that_is_not_toml_is_told_with_its_line():
    assert told("[server]\nport = = 1") == ["headgate.toml: is not TOML: Invalid value (at line 2, column 8)"]


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(ConfigError, match=r"nope\.toml: there is no such file; `headgate init` writes one"):
        load(Path("nope.toml"), {})


def test_a_directory_or_binary_in_place_of_the_file_is_told():
    Path("binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(Path("binary.toml"), {})
    with pytest.raises(ConfigError, match="cannot be read"):
        load(Path(), {})


def test_lines_are_found_in_every_way_of_writing_a_key():
    lines = lines_of(
        "# comment\n"
        "a.b = 1\n"
        "[t] # [not.a.table]\n"
        "s = '''\n"
        "[fake]\n"
        "k = 1\n"
        "'''\n"
        "l = [\n"
        "  1,\n"
        "]\n"
        'q."x y" = { in = { deep = 2 } }\n'
        "\n"
        "[[arr]]\n"
        "k = 1\n"
        "[arr.sub]\n"
        "m = 1\n"
        "[[arr]]\n"
        "k = 2\n"
    )
    assert lines["a", "b"] == 2
    assert lines["t", "s"] == 4
    assert lines["t", "l"] == lines["t", "l", 0] == 8
    assert lines["t", "q", "x y", "in", "deep"] == 11
    assert lines["arr", 0, "k"] == 14
    assert lines["arr", 0, "sub", "m"] == 16
    assert lines["arr", 1, "k"] == 18
    assert ("fake",) not in lines

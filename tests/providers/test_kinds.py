"""Kinds of providers are found by their name, and a broken plug-in is nobody's trouble but its own."""

import pytest

from headgate.boot.models import sources_of
from headgate.config import ConfigError, load
from headgate.providers import echo
from headgate.providers.kinds import kind_of, kinds, loaders

POINTS = """[headgate.providers]
fireside = headgate_fireside
hearth = headgate_hearth
candle = headgate_candle
"""
MODULES = {
    "headgate_fireside": "from headgate.providers.echo import Options, connect\n",
    "headgate_hearth": "import a_library_that_is_not_there\n",
    "headgate_candle": "raise ValueError('no wick')\n",
}


def forget():
    for cached in (loaders, kind_of, kinds):
        cached.cache_clear()


@pytest.fixture
def plugged(tmp_path, monkeypatch):
    """Three plug-ins are installed, and two of them are broken."""
    info = tmp_path / "headgate_fires-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: headgate-fires\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield
    forget()


def configured(folder, text, monkeypatch, **environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    (folder / "headgate.toml").write_text(text)
    return load(folder / "headgate.toml")


def test_a_plug_in_is_found_beside_broken_ones(plugged):
    assert kind_of("fireside").connect is echo.connect
    assert kind_of("openai").name == "openai"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("hearth", "ModuleNotFoundError: No module named 'a_library_that_is_not_there'"),
        ("candle", "ValueError: no wick"),
    ],
)
def test_a_broken_one_is_named_with_its_package_and_the_reason(plugged, name, why):
    with pytest.raises(LookupError) as caught:
        kind_of(name)
    assert str(caught.value) == (
        f'the plug-in "{name}" (headgate_{name}, of headgate-fires 1.0) cannot be loaded: {why}'
    )


def test_where_all_are_wanted_broken_ones_are_left_out_and_logged(plugged, monkeypatch):
    told = []
    monkeypatch.setattr("headgate.providers.kinds.log.warning", lambda form, said: told.append(form % said))
    found = kinds()
    assert {"fireside", "openai", "groq", "echo"} <= found.keys()
    assert not {"hearth", "candle"} & found.keys()
    assert {line.partition(" (")[0] for line in told} == {'the plug-in "hearth"', 'the plug-in "candle"'}


def test_a_configuration_that_asks_for_no_broken_one_is_served(plugged, tmp_path, monkeypatch):
    config = configured(tmp_path, '[providers.mine]\nkind = "fireside"\n', monkeypatch)
    assert list(sources_of(config)) == ["mine"]


@pytest.mark.parametrize(
    "text",
    ['[providers.mine]\nkind = "hearth"\n', '[providers.a]\nkind = "echo"\n[models.m]\ntargets = ["hearth/x"]\n'],
)
def test_one_that_does_is_told_which_plug_in_is_broken(plugged, tmp_path, monkeypatch, text):
    config = configured(tmp_path, text, monkeypatch)
    with pytest.raises(ConfigError, match=r'the plug-in "hearth" .* cannot be loaded: ModuleNotFoundError'):
        sources_of(config)

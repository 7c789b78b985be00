"""Recipes, as the configuration makes them."""

import pytest

from headgate.boot.recipes import recipes_of
from headgate.config import ConfigError, load

ASK = '[ask]\nunknown = "No."\ntop_k = 7\n'


def recipes(folder, text):
    (folder / "headgate.toml").write_text(text)
    return recipes_of(load(folder / "headgate.toml", {}))


def test_what_a_recipe_does_not_say_holds_as_in_ask(tmp_path):
    found = recipes(tmp_path, ASK + "[recipes.a]\n[recipes.b]\ntop_k = 5\n")
    assert [(each.name, each.unknown, each.top_k) for each in found.values()] == [
        ("", "No.", 7),
        ("a", "No.", 7),
        ("b", "No.", 5),
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('[recipes.a]\ntemplate = "{sources} {question} {who}"', r"recipes\.a\.template .*\{who\}.*\{unknown\}"),
        ('[ask]\ntemplate = "{sources}"', r"ask\.template .*\{question\}"),
        ('[recipes.a]\ntemplate = "file:none.md"', r"recipes\.a\.template needs the file .*none\.md"),
        ('[recipes.a]\ninputs = ["sources"]', r"recipes\.a\.inputs .*sources"),
        ('[recipes.a]\nmodel = "assitant"\n[models.assistant]\ntargets = ["echo/x"]', r"did you mean assistant"),
        ('[recipes."a/b"]\ntop_k = 1', "a/b"),
        ("[recipes.a]\ntopk = 1", "top_k"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_told_with_its_key(tmp_path, text, wrong):
    with pytest.raises(ConfigError, match=wrong):
        recipes(tmp_path, text)

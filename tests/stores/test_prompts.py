"""System prompts in the database."""

from __future__ import annotations

import pytest

from headgate.stores.prompts import PromptTable


@pytest.fixture
def prompts(database):
    return PromptTable(database)


def test_the_newest_version_is_in_force_and_old_ones_stay_readable(prompts):
    assert prompts.get("a") is None
    assert prompts.put("a", "one").version == 1
    assert prompts.put("a", "two").version == 2
    assert prompts.get("a").text == "two"
    assert prompts.get("a", 1).text == "one"
    assert prompts.get("a", 3) is None


def test_the_same_text_is_no_new_version_but_an_older_one_is(prompts):
    for text, version in (("one", 1), ("one", 1), ("two", 2), ("one", 3)):
        assert prompts.put("a", text).version == version


def test_names_are_listed_once_and_apart(prompts):
    for name, text in (("b", "x"), ("a", "y"), ("b", "z")):
        prompts.put(name, text)
    assert [(p.name, p.version, p.text) for p in prompts.all()] == [("a", 1, "y"), ("b", 2, "z")]


def test_a_deleted_prompt_is_gone_with_its_versions(prompts):
    prompts.put("a", "one")
    prompts.put("a", "two")
    assert prompts.delete("a")
    assert not prompts.delete("a")
    assert prompts.get("a", 1) is None
    assert prompts.all() == []

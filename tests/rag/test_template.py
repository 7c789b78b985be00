"""Templates: what is filled in stays what it is, and what nobody fills in is named."""

import pytest

from headgate.rag.template import ANSWER, UnknownPlaceholder, checked, filled


def test_what_is_filled_in_is_not_looked_at_again():
    assert filled("{sources} {question}", {"sources": "{question}", "question": "{x} {0}"}) == "{question} {x} {0}"


def test_braces_that_name_nothing_stay():
    text = 'JSON: {"a": 1} {} {0} {a.b} {question} {sources}'
    assert filled(checked(text), {"question": "Q", "sources": "S"}) == 'JSON: {"a": 1} {} {0} {a.b} Q S'


def test_a_placeholder_that_nobody_fills_in_is_named():
    with pytest.raises(UnknownPlaceholder, match=r"\{audience\}"):
        checked("{question} {sources} {audience}")
    assert checked("{question} {sources} {audience}", ["audience"])


@pytest.mark.parametrize("missing", ["question", "sources"])
def test_a_template_must_say_where_the_question_and_its_sources_go(missing):
    text = "{question} {sources}".replace(f"{{{missing}}}", "")
    with pytest.raises(UnknownPlaceholder, match=missing):
        checked(text)


def test_the_built_in_template_is_a_good_one():
    assert checked(ANSWER) == ANSWER

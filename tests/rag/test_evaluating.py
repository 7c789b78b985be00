"""Grades: read leniently, and never made up."""

import pytest

from headgate.rag.evaluating import grade_of


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"score": 8, "reason": "most of it"}', 0.8),
        ('```json\n{"score": 10}\n```', 1.0),
        ('Sure! {"note": 1} {"score": "7", "reason": null} done', 0.7),
        ('{"reason": "no", "score": 0}', 0.0),
        ('{"score": 11}', None),
        ('{"score": NaN}', None),
        ('{"score": [1]}', None),
        ("I would say eight.", None),
        ("", None),
    ],
)
def test_a_grade_is_read_or_there_is_none_and_a_reason(text, score):
    grade = grade_of(text)
    assert grade.score == score
    assert score is not None or grade.reason

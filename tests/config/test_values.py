"""Durations and sizes are read from what people write."""

import pytest

from headgate.config import Secret, duration, size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30 s", 30), ("5s", 5), ("1 h", 3600), ("500 ms", 0.5), ("1.5 min", 90), ("2 days", 172_800), (7, 7), ("9", 9)],
)
def test_a_duration_is_seconds(text, seconds):
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "s", "-1 s", "0", 0, -1, True, None, "1 parsec", float("inf"), float("nan"), "1e5 s"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="must be a duration"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "number"), [("20 MiB", 20 * 1024**2), ("1 MB", 10**6), ("2KiB", 2048), (100, 100), ("7", 7), ("3 b", 3)]
)
def test_a_size_is_bytes(text, number):
    assert size(text) == number


@pytest.mark.parametrize("text", ["MB", "1 MBit", "0", False, [], "-1 MB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="must be a size"):
        size(text)


def test_a_secret_is_text_that_does_not_show():
    assert "hunter2" not in repr({"api_key": Secret("hunter2")})
    assert Secret("hunter2") == "hunter2"

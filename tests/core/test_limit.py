"""Rules as the configuration writes them."""

import pytest

from headgate.core.limit import Rule, in_words, parse_rule


@pytest.mark.parametrize(
    ("kind", "text", "rule"),
    [
        ("requests", "20/minute", Rule("requests", 20, 60.0)),
        ("requests", "1000/hour", Rule("requests", 1000, 3600.0)),
        ("requests", "20/day", Rule("requests", 20, 86_400.0)),
        ("requests", "5/10s", Rule("requests", 5, 10.0)),
        ("requests", " 5 / 10 seconds ", Rule("requests", 5, 10.0)),
        ("requests", "5/2m", Rule("requests", 5, 120.0)),
        ("requests", "5/min", Rule("requests", 5, 60.0)),
        ("requests", "7/Week", Rule("requests", 7, 604_800.0)),
        ("requests", "0/day", Rule("requests", 0, 86_400.0)),
        ("requests_per_address", "5/minute", Rule("requests", 5, 60.0, per_address=True)),
        ("tokens", "200_000/minute", Rule("tokens", 200_000, 60.0)),
        ("spend_usd", "0.50/day", Rule("spend", 500_000_000, 86_400.0)),
        ("spend_usd", "200/month", Rule("spend", 200 * 10**9, 30 * 86_400.0)),
        ("spend_usd", "0.000000001/second", Rule("spend", 1, 1.0)),
        ("concurrent", 8, Rule("concurrent", 8)),
        ("concurrent", "8", Rule("concurrent", 8)),
    ],
)
def test_a_rule_is_read(kind, text, rule):
    assert parse_rule(kind, text) == rule


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("requests", "20 per minute", '"20/minute", "5/10s"'),
        ("requests", "20", "an amount, a slash and a time"),
        ("requests", 20, "an amount, a slash and a time"),
        ("requests", "-1/minute", "an amount, a slash and a time"),
        ("requests", "5/10ms", "an amount, a slash and a time"),
        ("requests", "5/fortnight", "second, minute, hour, day, week, month"),
        ("requests", "\u0661/minute", "an amount, a slash and a time"),
        ("requests", "1.5/minute", "no whole number"),
        ("requests", "5/0s", "no time in it"),
        ("tokens", "9999999999999999/day", "more than can be counted"),
        ("spend_usd", "$5/day", '"0.50/day" or "200/month", in US dollars'),
        ("spend_usd", "nan/day", "in US dollars"),
        ("spend_usd", "9_999_999_999/day", "more than can be counted"),
        ("concurrent", "8/minute", "write a whole number, as in 8"),
        ("concurrent", -1, "write a whole number"),
        ("concurrent", True, "write a whole number"),
        ("concurrent", "9" * 5000, "write a whole number"),
        ("request", "20/minute", "requests, requests_per_address, tokens, spend_usd, concurrent"),
    ],
)
def test_what_is_no_rule_is_told_what_a_rule_looks_like(kind, text, words):
    with pytest.raises(ValueError) as caught:
        parse_rule(kind, text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("requests", "20/minute", "20 requests a minute"),
        ("requests", "1/hour", "1 request an hour"),
        ("requests", "5/10s", "5 requests in 10 seconds"),
        ("requests", "5/7200s", "5 requests in 2 hours"),
        ("tokens", "200_000/month", "200,000 tokens a month"),
        ("spend_usd", "0.5/day", "$0.50 a day"),
        ("spend_usd", "1200/week", "$1,200.00 a week"),
        ("spend_usd", "0.0004/second", "$0.0004 a second"),
        ("concurrent", 8, "8 requests at once"),
    ],
)
def test_a_rule_is_said_in_words(kind, text, words):
    rule = parse_rule(kind, text)
    assert in_words(rule.kind, rule.limit, rule.window) == words

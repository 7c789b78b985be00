"""How limits are told."""

import re

import pytest

from headgate.core.faults import BudgetExhausted, RateLimited
from headgate.core.limit import Level, Want
from headgate.core.seams import Refusal
from headgate.engine.levels import duration, fault_of, rate_lines, retry_after_header, views


def level(kind, left, limit, *, window=60.0, retry=0.0, scope="tier free", amount=1, reset=30.2, private=False):
    want = Want(f"{scope}{kind}{window}", kind, amount, limit, window, scope, private)
    return Level(want, left, reset if window else 0.0, retry)


def headers(*levels):
    found = [line.split(": ", 1) for line in rate_lines(levels).decode().splitlines()]
    assert len(dict(found)) == len(found)
    return dict(found)


def test_one_rule_is_told_in_all_ways():
    assert headers(level("requests", 7, 20)) == {
        "ratelimit": '"tier-free-requests-60s";r=7;t=31',
        "ratelimit-policy": '"tier-free-requests-60s";q=20;w=60',
        "x-ratelimit-limit-requests": "20",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "31s",
    }


def test_no_rules_no_headers():
    assert rate_lines([]) == b""


def test_the_tightest_rule_of_each_kind_speaks():
    found = headers(
        level("requests", 50, 100),
        level("requests", 3, 5000, window=86_400.0, reset=80_000),
        level("tokens", 900, 1000),
        level("tokens", 950, 1000, scope="the service"),
    )
    assert found["x-ratelimit-limit-requests"] == "5000"
    assert found["x-ratelimit-reset-requests"] == "22h13m20s"
    assert found["x-ratelimit-remaining-tokens"] == "900"
    assert found["ratelimit"] == '"tier-free-requests-86400s";r=3;t=80000, "tier-free-tokens-60s";r=900;t=31'
    assert found["ratelimit-policy"] == (
        '"tier-free-requests-86400s";q=5000;w=86400, "tier-free-tokens-60s";q=1000;qu="tokens";w=60'
    )


def test_of_rules_that_have_nothing_left_the_one_that_refuses_for_longest_speaks():
    short = level("requests", 0, 20, retry=2.5)
    long = level("requests", 0, 500, window=86_400.0, retry=900.0)
    for found in (headers(short, long), headers(long, short)):
        assert found["ratelimit"] == '"tier-free-requests-86400s";r=0;t=900'


def test_the_wait_of_a_refusing_rule_is_never_beyond_retry_after():
    refusing = level("tokens", 40, 1000, retry=12.3, amount=100)
    assert headers(refusing)["ratelimit"].endswith(";t=13")
    assert retry_after_header(12.3) == (b"retry-after", b"13")


def test_money_is_told_in_millionths_of_a_dollar_and_concurrency_without_a_time():
    found = headers(level("spend", 1_500_000_999, 20 * 10**9, window=86_400.0), level("concurrent", 3, 8, window=0.0))
    assert found["ratelimit"] == '"tier-free-spend-86400s";r=1500000;t=31, "tier-free-concurrent";r=3'
    assert '"tier-free-spend-86400s";q=20000000;qu="micro-usd";w=86400' in found["ratelimit-policy"]
    assert '"tier-free-concurrent";q=8;qu="concurrent-requests"' in found["ratelimit-policy"]


def test_private_numbers_are_not_told():
    private = level("spend", 5, 10, private=True, scope="the service")
    assert rate_lines([private]) == b""
    assert headers(private, level("spend", 9000, 10_000))["ratelimit"] == '"tier-free-spend-60s";r=9;t=31'
    assert views([private]) == []
    assert [view.scope for view in views([private], private=True)] == ["the service"]


def test_no_name_of_a_tier_can_break_a_header():
    found = headers(level("requests", 1, 2, scope='tier "é\r\nSet-Cookie: x\\'))
    assert re.fullmatch(r'"[A-Za-z0-9_.-]+";r=1;t=31', found["ratelimit"])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, b"0s"), (1, b"1s"), (60, b"1m0s"), (360, b"6m0s"), (3725, b"1h2m5s"), (86_400, b"24h0m0s")],
)
def test_durations_are_written_as_openai_writes_them(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.0, b"1"), (0.2, b"1"), (1.0, b"1"), (1.001, b"2"), (60.0, b"60")])
def test_retry_after_is_whole_seconds_rounded_up_and_at_least_one(seconds, text):
    assert retry_after_header(seconds)[1] == text


def refused(*levels):
    return fault_of(Refusal(list(levels)))


def test_a_refusal_is_a_fault_of_the_rule_that_refuses_for_longest():
    rate = level("requests", 0, 20, retry=12.3)
    money = level("spend", 0, 5 * 10**8, window=86_400.0, retry=4000.0)
    fault = refused(rate, money, level("tokens", 5, 10))
    assert isinstance(fault, BudgetExhausted)
    assert fault.retry_after == 4000.0
    assert [one.left for one in fault.levels] == [0, 0, 5]
    assert fault.message == "Budget used up: the limit is $0.50 a day (tier free). Try again in 1h6m40s."
    assert isinstance(refused(rate, level("tokens", 5, 10)), RateLimited)
    assert (
        refused(rate).message == "Rate limit reached: the limit is 20 requests a minute (tier free). Try again in 13s."
    )


def test_a_caller_over_the_concurrency_limit_is_told_so():
    fault = refused(level("concurrent", 0, 8, window=0.0, retry=1.0))
    assert isinstance(fault, RateLimited)
    assert fault.message == "Too many requests at once: the limit is 8 requests at once (tier free)."


def test_what_never_fits_is_told_so():
    tokens = refused(level("tokens", 1000, 1000, retry=60.0, amount=4000))
    money = refused(level("spend", 10**9, 10**9, retry=60.0, amount=10**10))
    assert "may take 4,000 tokens" in tokens.message
    assert "1,000 tokens a minute" in tokens.message
    assert "more than the whole budget of $1.00 a minute" in money.message
    assert (tokens.retry_after, money.retry_after) == (None, None)
    assert tokens.details["frees_in"] is None
    assert tokens.message.endswith("ask for less, or set max_tokens.")
    assert rate_lines(tokens.levels).splitlines()[-2].endswith(b";r=1000;t=31")


def test_what_never_fits_is_told_before_what_only_takes_long():
    long = level("requests", 0, 500, window=86_400.0, retry=900.0)
    fault = refused(long, level("tokens", 1000, 1000, retry=60.0, amount=4000))
    assert "may take 4,000 tokens" in fault.message
    assert fault.retry_after is None


def test_who_has_no_answer_to_bound_is_not_told_to():
    fault = fault_of(Refusal([level("tokens", 1000, 1000, retry=60.0, amount=4000)]), answered=False)
    assert fault.message == "This request may take 4,000 tokens, and the limit is 1,000 tokens a minute (tier free)."


def test_a_limit_of_nothing_is_not_told_to_free():
    fault = refused(level("requests", 0, 0, retry=60.0))
    assert fault.message == "Rate limit reached: the limit is 0 requests a minute (tier free)."
    (view,) = views([level("requests", 0, 0, retry=60.0)])
    assert (view.refuses, view.frees_in) == (True, None)


def test_a_private_rule_into_which_a_call_never_fits_names_no_time_and_no_numbers():
    fault = refused(level("spend", 3, 9, retry=90.0, scope="the service", amount=10, private=True))
    assert fault.message == "This request may take more than the whole budget of the service."
    assert fault.retry_after is None


def test_a_refusal_by_a_private_rule_tells_no_numbers():
    fault = refused(level("spend", 3, 2 * 10**9, retry=90.0, scope="the service", private=True))
    assert fault.message == "The budget of the service is used up. Try again in 1m30s."


def test_limits_are_viewed_in_units_of_people():
    found = views(
        [
            level("requests", 7, 20),
            level("spend", 250_000_000, 5 * 10**8, window=86_400.0),
            level("concurrent", 3, 8, window=0.0),
        ]
    )
    assert [(view.rule, view.unit, view.limit, view.left, view.resets_in) for view in found] == [
        ("20 requests a minute", "requests", 20, 7, 30.2),
        ("$0.50 a day", "USD", 0.5, 0.25, 30.2),
        ("8 requests at once", "requests at once", 8, 3, None),
    ]

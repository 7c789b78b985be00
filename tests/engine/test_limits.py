"""Which limits a call is under."""

import pytest

from headgate.core.faults import Forbidden
from headgate.core.principal import Principal
from headgate.engine.limits import PLANS, RuleBook, network_of

ANONYMOUS = Principal(kind="anonymous", id="", tier="anonymous")


def user(name="ann", tier="free", **more):
    return Principal(kind="user", id=name, tier=tier, **more)


def book(**tier):
    return RuleBook({"free": tier, "pro": tier, "anonymous": tier})


def asked(rules, principal, *, model="m", address="192.0.2.1", tokens=100, spend=7):
    return rules.wants(principal, model, address, tokens, spend)


def keys(rules, principal, **more):
    return [want.key for want in asked(rules, principal, **more)]


def test_every_kind_of_rule_becomes_a_want_of_its_amount():
    rules = book(
        requests=["100/minute", "5000/day"],
        requests_per_address="5/minute",
        tokens="200_000/minute",
        spend_usd="20/day",
        concurrent=8,
    )
    wants = asked(rules, user())
    assert sorted((want.kind, want.amount, want.limit, want.window, want.scope) for want in wants) == [
        ("concurrent", 1, 8, 0.0, "tier free"),
        ("requests", 1, 5, 60.0, "this address"),
        ("requests", 1, 100, 60.0, "tier free"),
        ("requests", 1, 5000, 86_400.0, "tier free"),
        ("spend", 7, 20 * 10**9, 86_400.0, "tier free"),
        ("tokens", 100, 200_000, 60.0, "tier free"),
    ]
    assert len({want.key for want in wants}) == 6


def test_amounts_are_those_of_the_call_and_not_of_an_earlier_one():
    rules = book(tokens="200_000/minute", spend_usd="20/day")
    assert [want.amount for want in asked(rules, user(), tokens=1, spend=2)] == [1, 2]
    assert [want.amount for want in asked(rules, user(), tokens=3, spend=4)] == [3, 4]


def test_all_keys_of_one_user_share_the_rules_of_the_tier():
    rules = book(requests="10/minute")
    first = Principal(kind="key", id="ann", tier="free", key_id="k1")
    second = Principal(kind="key", id="ann", tier="free", key_id="k2")
    assert keys(rules, first) == keys(rules, second) == keys(rules, user("ann"))
    assert keys(rules, first) != keys(rules, user("bob"))
    assert keys(rules, user(tier="free")) != keys(rules, user(tier="pro"))


def test_the_rules_of_a_key_are_its_own():
    rules = book()
    limits = (
        ("requests", "2/minute"),
        ("requests", "9/day"),
        ("requests_per_address", "1/day"),
        ("spend_usd", "1/day"),
    )
    first = Principal(kind="key", id="ann", tier="free", key_id="k1", limits=limits)
    second = Principal(kind="key", id="ann", tier="free", key_id="k2", limits=limits)
    assert [(want.limit, want.scope) for want in asked(rules, first)] == [
        (2, "this key"),
        (9, "this key"),
        (1, "this address"),
        (10**9, "this key"),
    ]
    assert not set(keys(rules, first)) & set(keys(rules, second))


def test_a_key_whose_limits_were_changed_is_under_the_new_ones():
    rules = book()
    before = user(key_id="k", limits=(("requests", "2/minute"),))
    after = user(key_id="k", limits=(("requests", "3/minute"),))
    assert [want.limit for principal in (before, after) for want in asked(rules, principal)] == [2, 3]
    assert keys(rules, before) == keys(rules, after)


def test_anonymous_callers_share_the_tier_and_each_address_has_its_share():
    rules = book(requests="20/minute", requests_per_address="5/minute")
    here, there = keys(rules, ANONYMOUS, address="192.0.2.1"), keys(rules, ANONYMOUS, address="192.0.2.2")
    assert here[0] == there[0]
    assert here[1] != there[1]


def test_a_user_cannot_choose_a_name_that_shares_the_anonymous_callers_rules():
    rules = book(requests="20/minute")
    for name in ("", "|", "anonymous", "anonymous:"):
        assert not set(keys(rules, user(name, tier="anonymous"))) & set(keys(rules, ANONYMOUS))


def test_the_rules_of_a_model_and_of_the_service_are_for_everybody():
    rules = RuleBook({"free": {}, "anonymous": {}}, {"m": {"requests": "5/minute"}}, {"spend_usd": "200/month"})
    assert keys(rules, user("ann")) == keys(rules, user("bob")) == keys(rules, ANONYMOUS)
    assert [want.scope for want in asked(rules, user())] == ["model m", "the service"]
    assert [want.scope for want in asked(rules, user(), model="other")] == ["the service"]


def test_only_what_models_and_the_service_may_spend_is_private():
    money = {"spend_usd": "1/day", "requests": "1/day"}
    rules = RuleBook({"free": money}, {"m": money}, money)
    private = {(want.scope, want.kind) for want in asked(rules, user()) if want.private}
    assert private == {("model m", "spend"), ("the service", "spend")}


def test_of_two_rules_over_the_same_time_the_stricter_holds():
    wants = asked(book(requests=["100/minute", "50/60s", "70/minute"]), user())
    assert [want.limit for want in wants] == [50]


def test_a_tier_that_is_not_configured_is_forbidden_and_not_unlimited():
    with pytest.raises(Forbidden, match="gold"):
        asked(book(requests="10/minute"), user(tier="gold"))


def test_the_admin_is_under_the_rules_of_the_service_only():
    rules = RuleBook({"free": {"requests": "1/minute"}}, {}, {"requests": "9/minute"})
    admin = Principal(kind="admin", id="", tier="admin")
    assert [want.limit for want in asked(rules, admin)] == [9]


def test_a_wrong_rule_or_an_unknown_kind_is_told_when_the_book_is_made():
    with pytest.raises(ValueError, match="no limit"):
        book(requests="many")
    with pytest.raises(ValueError, match="no kind of limit"):
        book(request="20/minute")


def test_what_is_not_configured_is_left_out():
    assert asked(book(requests=None, tokens=[], concurrent=None), user()) == ()


def test_the_book_forgets_callers_when_there_are_too_many():
    rules = book(requests="10/minute")
    for number in range(PLANS + 10):
        asked(rules, user(str(number)))
    assert len(rules._plans) <= PLANS
    assert keys(rules, user("0"))


def test_a_long_name_takes_little_room_and_stays_apart_from_others():
    rules = book(requests="10/minute")
    one, other = user("x" * 10_000 + "1"), user("x" * 10_000 + "2")
    assert keys(rules, one) != keys(rules, other)
    assert len(keys(rules, one)[0]) < 200
    assert keys(rules, user("\ud800" * 200))


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::9", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("a unix socket", "a unix socket"),
    ],
)
def test_an_address_counts_as_one_or_as_its_64(address, network):
    assert network_of(address) == network

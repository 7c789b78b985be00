"""The router: who is asked, how often, with which key, and what is told when nobody speaks."""

import asyncio
import time

import pytest

from headgate.core.call import Call, Prompt
from headgate.core.events import Done, Text
from headgate.core.faults import NotFound, UpstreamAuth, UpstreamBusy, UpstreamDown, UpstreamRejected, UpstreamTimeout
from headgate.engine.hedge import Hedge
from headgate.engine.routing import Route, Routes, begun, first_to_speak, whole
from headgate.engine.targets import Spoken, Target, Upstream
from headgate.testing import ScriptedProvider

pytestmark = pytest.mark.anyio
SAID = (Text("Hi"), Done())


def call(**fields):
    return Call(model="m", understand=lambda _: Prompt(messages=()), **fields)


def targets(*providers):
    return tuple(Target(Upstream.of(f"p{n}", provider), "m") for n, provider in enumerate(providers))


def keyed(*providers):
    return Target(Upstream.of("p", *providers), "m")


def busy(seconds, status=429):
    fault = UpstreamBusy("later", retry_after=seconds)
    fault.status = status
    return fault


async def ask(route, spoken=None, how=whole, **fields):
    return await first_to_speak(route, call(**fields), None, spoken or Spoken(), how)


async def test_a_call_is_under_way_until_its_answer_is_over():
    route = Route("m", targets(ScriptedProvider(SAID)))
    [target] = route.targets
    spoken = Spoken()
    await ask(route, spoken)
    assert (target.busy, target.upstream.active, spoken.tries) == (1, 1, 1)
    assert target.heard_at
    spoken.over(None)
    spoken.over(None)
    assert (target.busy, target.upstream.active) == (0, 0)


async def test_a_call_that_is_left_before_a_word_frees_its_place():
    route = Route("m", targets(ScriptedProvider((5.0,))))
    task = asyncio.create_task(ask(route))
    await asyncio.sleep(0.01)
    assert route.targets[0].busy == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert route.targets[0].busy == 0


async def test_a_refused_key_is_passed_over_at_once_and_its_call_answered_by_another():
    refusing, speaking = ScriptedProvider((UpstreamAuth("no"),)), ScriptedProvider(SAID)
    target = keyed(speaking, refusing)  # the second is next in turn
    for _ in range(5):
        spoken = Spoken()
        await ask(Route("m", (target,)), spoken)
        spoken.over(None)
    assert (len(refusing.calls), len(speaking.calls)) == (1, 5)
    assert target.upstream.keys[1].breaker.tripped
    assert not target.breaker.tripped


async def test_a_limited_key_is_not_waited_for_while_another_is_free():
    limited, speaking = ScriptedProvider((busy(9.0),)), ScriptedProvider(SAID)
    target = keyed(speaking, limited)
    begun_at = time.monotonic()
    for _ in range(3):
        spoken = Spoken()
        await ask(Route("m", (target,)), spoken)
        spoken.over(None)
    assert time.monotonic() - begun_at < 2
    assert (len(limited.calls), len(speaking.calls)) == (1, 3)


async def test_when_every_key_is_limited_the_caller_hears_when_the_first_is_free():
    target = keyed(ScriptedProvider((busy(30.0),)), ScriptedProvider((busy(9.0),)))
    for _ in range(3):
        with pytest.raises(UpstreamBusy) as caught:
            await ask(Route("m", (target,)))
        assert 8 < caught.value.retry_after <= 9
    assert [len(key.provider.calls) for key in target.upstream.keys] == [1, 1]
    assert not target.breaker.tripped


async def test_a_target_whose_keys_rest_is_passed_over():
    resting, other = keyed(ScriptedProvider((busy(30.0),)), ScriptedProvider((busy(30.0),))), ScriptedProvider(SAID)
    route = Route("m", (resting, *targets(other)))
    for _ in range(2):
        spoken = Spoken()
        assert await ask(route, spoken) == list(SAID)
        spoken.over(None)
    assert len(other.calls) == 2


async def test_no_more_than_a_few_calls_are_asked_again_at_once():
    provider = ScriptedProvider((UpstreamDown("no"),))
    route = Route("m", targets(provider))
    [target] = route.targets
    target.breaker._most = 1000
    failed = await asyncio.gather(*(ask(route) for _ in range(30)), return_exceptions=True)
    assert {type(fault) for fault in failed} == {UpstreamDown}
    assert 30 < len(provider.calls) <= 30 + 2 * 6
    assert target.upstream.retrying == target.upstream.active == 0


async def test_a_caller_who_leaves_during_a_pause_frees_its_retry():
    route = Route("m", targets(ScriptedProvider((busy(1.5, 503),))))
    task = asyncio.create_task(ask(route))
    await asyncio.sleep(0.05)
    upstream = route.targets[0].upstream
    assert upstream.retrying == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert upstream.retrying == upstream.active == 0


async def test_nothing_is_asked_after_the_deadline():
    late, other = ScriptedProvider((0.05, UpstreamTimeout("slow"))), ScriptedProvider(SAID)
    route = Route("m", targets(late, other))
    with pytest.raises(UpstreamTimeout):
        await ask(route, deadline=time.monotonic() + 0.02)
    assert not other.calls


async def test_no_pause_is_longer_than_the_deadline():
    route = Route("m", targets(ScriptedProvider((busy(1.5, 503),))))
    begun_at = time.monotonic()
    with pytest.raises(UpstreamBusy) as caught:
        await ask(route, deadline=begun_at + 1.0)
    assert time.monotonic() - begun_at < 0.9
    assert caught.value.retry_after == 1.5


async def test_one_trial_at_a_time_goes_to_a_target_that_failed():
    provider = ScriptedProvider((0.1, *SAID))
    route = Route("m", targets(provider))
    breaker = route.targets[0].breaker
    for _ in range(5):
        breaker.failed(UpstreamDown("no"))
    breaker._open_until = 0.0
    answers = await asyncio.gather(*(ask(route) for _ in range(10)), return_exceptions=True)
    assert len(provider.calls) == 1
    assert sum(answer == list(SAID) for answer in answers) == 1


async def test_the_trial_of_a_call_with_a_bug_is_free_for_the_next():
    route = Route("m", targets(ScriptedProvider(SAID)))
    [target] = route.targets
    for _ in range(5):
        target.breaker.failed(UpstreamDown("no"))
    target.breaker._open_until = 0.0
    spoken = Spoken()
    await ask(route, spoken)
    spoken.over(KeyError("a bug"))
    assert target.breaker.allows()


async def test_a_target_has_one_health_whatever_names_lead_to_it():
    upstream = Upstream.of("p", ScriptedProvider())
    target = Target(upstream, "m")
    routes = Routes({"a": Route("a", (target,)), "b": Route("b", (target,))}, {"p": upstream})
    assert routes.find("p/m").targets == (target,)
    assert routes.find("p/n") is routes.find("p/n")
    with pytest.raises(NotFound):
        routes.find("q/m")


class TestHedges:
    """A second target for calls whose first is silent."""

    async def test_the_second_answers_while_the_first_is_silent(self):
        silent, quick = ScriptedProvider((5.0, *SAID)), ScriptedProvider(SAID)
        route = Route("m", targets(silent, quick), hedge=Hedge(0.02, 1.0))
        spoken = Spoken()
        assert await ask(route, spoken) == list(SAID)
        assert silent.hung_up == 1
        assert (spoken.target, spoken.tries) == (route.targets[1], 2)
        assert [target.busy for target in route.targets] == [0, 1]
        spoken.over(None)
        assert route.targets[1].busy == 0
        assert not route.targets[0].breaker.last_fault

    async def test_a_stream_that_lost_is_closed_and_the_other_goes_on(self):
        slow, quick = ScriptedProvider((0.3, *SAID)), ScriptedProvider((0.05, *SAID))
        route = Route("m", targets(slow, quick), hedge=Hedge(0.02, 1.0))
        first, events = await ask(route, how=begun)
        assert first == Text("Hi")
        assert [event async for event in events] == [Done()]
        assert slow.hung_up == 1

    async def test_a_first_that_speaks_in_time_is_not_doubled(self):
        quick, other = ScriptedProvider(SAID), ScriptedProvider(SAID)
        route = Route("m", targets(quick, other), hedge=Hedge(0.5, 1.0))
        for _ in range(3):
            await ask(route)
        assert not other.calls
        assert route.hedge.asked == 0

    async def test_no_more_than_their_share_of_the_calls_are_doubled(self):
        slow, other = ScriptedProvider((0.02, *SAID)), ScriptedProvider((0.5, *SAID))
        route = Route("m", targets(slow, other), hedge=Hedge(0.005, 0.1))
        for _ in range(40):
            await ask(route)
        assert 1 <= len(other.calls) <= 1 + 0.1 * 40
        assert route.hedge.asked == len(other.calls) == other.hung_up

    async def test_a_first_that_fails_goes_to_the_next_without_a_hedge(self):
        failing, other = ScriptedProvider((UpstreamTimeout("slow"),)), ScriptedProvider(SAID)
        route = Route("m", targets(failing, other), hedge=Hedge(0.5, 1.0))
        await ask(route)
        assert (len(other.calls), route.hedge.asked) == (1, 0)

    async def test_where_both_fail_the_first_ones_fault_is_told_and_nobody_is_asked_twice(self):
        one = ScriptedProvider((0.05, UpstreamRejected("first")))
        two = ScriptedProvider((0.01, UpstreamTimeout("second")))
        route = Route("m", targets(one, two), hedge=Hedge(0.01, 1.0))
        spoken = Spoken()
        with pytest.raises(UpstreamRejected, match="first"):
            await ask(route, spoken)
        assert (len(one.calls), len(two.calls), spoken.tries) == (1, 1, 2)
        spoken.over(UpstreamRejected("first"))
        assert [target.busy for target in route.targets] == [0, 0]

    async def test_a_caller_who_leaves_cancels_both(self):
        both = ScriptedProvider((5.0,)), ScriptedProvider((5.0,))
        route = Route("m", targets(*both), hedge=Hedge(0.01, 1.0))
        task = asyncio.create_task(ask(route))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [provider.hung_up for provider in both] == [1, 1]
        assert [target.busy for target in route.targets] == [0, 0]

    async def test_an_only_target_is_waited_for(self):
        slow = ScriptedProvider((0.05, *SAID))
        route = Route("m", targets(slow), hedge=Hedge(0.01, 1.0))
        assert await ask(route) == list(SAID)
        assert (len(slow.calls), route.hedge.asked) == (1, 0)

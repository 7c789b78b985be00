"""Faults of upstreams' statuses, and every form in which they say when to come back."""

import json
import os
from email.utils import formatdate
from pathlib import Path

import pytest

from headgate.core.faults import ContextTooLong, UpstreamAuth, UpstreamBusy, UpstreamMissing, UpstreamRejected
from headgate.core.seams import Answered
from headgate.providers._faults import fault_of, retry_after

CASES = Path(os.environ.get("HEADGATE_CONFORMANCE", Path(__file__).parents[3] / "shared" / "conformance")) / "cases"
NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": formatdate(NOW + 30, usegmt=True)}, 30),
        ({"retry-after": formatdate(NOW - 30, usegmt=True)}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "Mon, 99 Foo 99999 99:99:99 GMT"}, None),
        ({"retry-after-ms": "1500", "retry-after": "7"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "7"}, 7),
        ({"x-ms-retry-after-ms": "20"}, 0.02),
    ],
)
def test_the_headers_say_when_to_come_back(headers, wait):
    assert retry_after(headers, NOW) == wait


def answered(status=429, headers=None, **error):
    return fault_of(Answered(status, headers or {}, json.dumps({"error": error}).encode()))


def test_a_header_is_believed_before_words():
    assert answered(headers={"retry-after": "7"}, message="Please try again in 20ms.").retry_after == 7
    assert answered(message="Please try again in 20ms.").retry_after == 0.02


def test_only_limits_that_are_used_up_count():
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m30.5s",
        "x-ratelimit-remaining-tokens": "12",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert answered(headers=headers).retry_after == 90.5
    assert answered(headers=headers | {"x-ratelimit-remaining-tokens": "0"}).retry_after == 360
    assert answered(headers=headers | {"x-ratelimit-remaining-requests": "1"}).retry_after is None


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, b"404 page not found", UpstreamMissing, "404 page not found"),
        (404, b"<html><h1>Not Found</h1></html>", UpstreamMissing, "the upstream does not know the model"),
        (400, b'{"error": {"message": "cut', UpstreamRejected, "the upstream refused the request (status 400)"),
        (400, b"\xff\xfe", UpstreamRejected, "\ufffd\ufffd"),
        (400, b"", UpstreamRejected, "the upstream refused the request (status 400)"),
        (400, b"[" * 100_000, UpstreamRejected, "the upstream refused the request (status 400)"),
        (
            400,
            b'{"detail":' * 400 + b"1" + b"}" * 400,
            UpstreamRejected,
            "the upstream refused the request (status 400)",
        ),
        (503, b"<html>busy</html>", UpstreamBusy, "the upstream is busy and asks to come back later"),
    ],
)
def test_bodies_of_every_kind_are_read(status, body, kind, message):
    fault = fault_of(Answered(status, {}, body))
    assert (type(fault), fault.message) == (kind, message)


def recorded():
    """Recorded answers of providers that are errors."""
    cases = [json.loads(path.read_text()) for path in sorted(CASES.glob("*.json"))]
    return [case for case in cases if case["response"]["status"] >= 400 and case["response"].get("body")]


@pytest.mark.skipif(not CASES.is_dir(), reason="no recorded exchanges: set HEADGATE_CONFORMANCE to their folder")
def test_recorded_errors_keep_their_words_unless_they_are_about_our_credential():
    cases = recorded()
    assert cases
    for case in cases:
        response = case["response"]
        fault = fault_of(Answered(response["status"], response["headers"], response["body"].encode()))
        said = case["expected"]["error"]["message"]
        if isinstance(fault, UpstreamAuth):
            assert said not in fault.message
        else:
            assert isinstance(fault, (UpstreamRejected, UpstreamMissing, ContextTooLong)), case["id"]
            assert fault.message == said, case["id"]

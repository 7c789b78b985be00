"""The table of faults and HTTP."""

import json

import pytest

from headgate.core.faults import NotFound, UpstreamBusy
from headgate.surfaces.faults import body_of, headers_of, status_of


def busy(status, retry_after=None):
    fault = UpstreamBusy("the upstream is busy", retry_after=retry_after)
    fault.status = status
    return fault


@pytest.mark.parametrize(("surface", "told"), [("simple", 503), ("openai", 429), ("anthropic", 429)])
def test_an_upstreams_rate_limit_is_one_to_the_sdks(surface, told):
    assert status_of(busy(429), surface) == told
    error = json.loads(body_of(busy(429), surface, "req_1"))["error"]
    assert surface == "simple" or error["type"] == "rate_limit_error"
    assert b"retry-after: 7\r\n" in headers_of(busy(429, 6.2))
    assert b"retry-after: 1\r\n" in headers_of(busy(429))


@pytest.mark.parametrize("surface", ["simple", "openai", "anthropic"])
@pytest.mark.parametrize("status", [503, 529, None])
def test_an_overloaded_upstream_is_no_rate_limit(surface, status):
    assert status_of(busy(status), surface) == 503
    error = json.loads(body_of(busy(status), surface, "req_1"))["error"]
    assert surface == "simple" or error["type"] == "overloaded_error"


@pytest.mark.parametrize(("field", "code"), [("model", "model_not_found"), ("tools", "not_found"), (None, "not_found")])
def test_only_a_model_that_is_not_there_is_told_as_one(field, code):
    error = json.loads(body_of(NotFound("there is none", field=field), "openai", "req_1"))["error"]
    assert (error["code"], error["type"]) == (code, "not_found_error")

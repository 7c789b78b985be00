"""Traces arrive at a collector: a real one's protocol, on a socket."""

import asyncio
import gzip
import json
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headgate.testing import whole
from journeys._asking import PATHS, ask
from journeys._service import command, serving
from journeys._upstreams import said

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}

CONFIG = """
[access]
anonymous = true
[telemetry]
otlp_endpoint = "http://127.0.0.1:{port}"
otlp_headers = "authorization=Bearer of-the-collector, x-tenant=one"
{more}
[tiers.anonymous]
requests = "1000/minute"
requests_per_address = "unlimited"
models = ["*"]
"""


class Collector:
    """An OTLP/HTTP receiver, as far as an exporter can tell."""

    def __init__(self):
        self.requests = []
        self.spans = []

    async def answer(self, reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *fields = head.decode().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
                body = await reader.readexactly(int(headers["content-length"]))
                if headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                self.requests.append((line, headers))
                told = ExportTraceServiceRequest.FromString(body)
                for resource in told.resource_spans:
                    for scope in resource.scope_spans:
                        self.spans += scope.spans
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def of(self, number):
        async with asyncio.timeout(20):
            while len(self.spans) < number:  # noqa: ASYNC110 - the exporter takes its time
                await asyncio.sleep(0.05)
        return self.spans


@asynccontextmanager
async def collecting():
    collector = Collector()
    server = await asyncio.start_server(collector.answer, "127.0.0.1", 0)
    try:
        yield collector, server.sockets[0].getsockname()[1]
    finally:
        server.close()


def attributes(span):
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@pytest.mark.anyio
async def test_a_call_arrives_at_the_collector_with_its_tries_below_it(upstreams, tmp_path):
    model = upstreams.model([b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n"], said("openai", streamed=False))
    async with collecting() as (collector, port):
        config = CONFIG.format(port=port, more="trace_upstream = true") + upstreams.config
        async with serving(tmp_path, config) as service:
            answer = await service.post(
                PATHS["openai"], ask("openai", f"openai/{model}"), headers={**TRACEPARENT, "X-Request-Id": "mine"}
            )
            assert answer.status == 200, answer
            spans = await collector.of(3)
        call, first, second = sorted(
            spans, key=lambda span: (bool(attributes(span).get("headgate.try")), span.start_time_unix_nano)
        )
        assert call.trace_id.hex() == TRACE
        assert call.parent_span_id.hex() == PARENT
        assert (first.parent_span_id, second.parent_span_id) == (call.span_id, call.span_id)
        assert attributes(call)["headgate.request_id"] == "mine"
        assert attributes(call)["gen_ai.response.model"] == model
        assert attributes(call)["gen_ai.usage.output_tokens"] > 0
        assert attributes(first)["error.type"] == "upstream_error"
        assert "error.type" not in attributes(second)
        assert first.end_time_unix_nano <= second.start_time_unix_nano <= call.end_time_unix_nano
        (line, headers), *_ = collector.requests
        assert line.startswith("POST /v1/traces ")
        assert (headers["authorization"], headers["x-tenant"]) == ("Bearer of-the-collector", "one")
        heard = [request.headers["traceparent"] for request in upstreams.requests(model)]
        assert heard == [f"00-{TRACE}-{call.span_id.hex()}-01"] * 2


@pytest.mark.anyio
async def test_who_makes_vectors_hears_of_the_trace_too(upstreams, tmp_path):
    vectors = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}]}
    model = upstreams.model([whole(json.dumps(vectors).encode())])
    async with collecting() as (_, port):
        config = CONFIG.format(port=port, more="trace_upstream = true") + upstreams.config
        async with serving(tmp_path, config) as service:
            wanted = {"model": f"openai/{model}", "input": "a"}
            answer = await service.post("/v1/embeddings", wanted, headers=TRACEPARENT)
            assert answer.status == 200, answer
    assert upstreams.requests(model)[0].headers["traceparent"].startswith(f"00-{TRACE}-")


@pytest.mark.anyio
async def test_nothing_said_is_in_a_span_and_upstreams_hear_of_it_only_if_they_shall(upstreams, tmp_path):
    model = upstreams.model(said("openai", streamed=True))
    async with collecting() as (collector, port):
        async with serving(tmp_path, CONFIG.format(port=port, more="") + upstreams.config) as service:
            body = ask("openai", f"openai/{model}", stream=True)
            body["messages"] = [{"role": "user", "content": "a-secret-of-mine"}]
            assert (await service.post(PATHS["openai"], body, headers=TRACEPARENT)).status == 200
            assert (await service.post("/chat", {"nonsense": 1})).status == 422
            spans = await collector.of(3)
        assert "a-secret-of-mine" not in str(spans)
        assert {attributes(span).get("error.type") for span in spans} == {None, "validation_error"}
        assert "traceparent" not in upstreams.requests(model)[0].headers


@pytest.mark.anyio
async def test_what_is_not_sampled_is_not_sent_and_what_waits_is_sent_at_the_end(tmp_path):
    async with collecting() as (collector, port):
        async with serving(tmp_path, CONFIG.format(port=port, more="trace_share = 0")) as service:
            for headers in ({}, TRACEPARENT, {"traceparent": f"00-{'b' * 32}-{PARENT}-00"}):
                assert (await service.post("/chat", ask("simple", "echo/x"), headers=headers)).status == 200
        assert {span.trace_id.hex() for span in await collector.of(2)} == {TRACE}


@pytest.mark.anyio
async def test_a_collector_that_is_not_there_costs_callers_nothing(tmp_path):
    async with collecting() as (_, port):
        pass
    async with serving(tmp_path, CONFIG.format(port=port, more="")) as service:
        for _ in range(5):
            assert (await service.post("/chat", ask("simple", "echo/x"))).status == 200
        assert len(await service.entries()) == 5


@pytest.mark.anyio
async def test_headers_for_the_collector_that_are_none_are_told_without_their_text(tmp_path):
    config = CONFIG.format(port=1, more="").replace("authorization=", "")
    (tmp_path / "headgate.toml").write_text(config)
    code, told = await command(tmp_path, "serve", "--port", "0", code=True)
    assert code == 1
    assert "otlp_headers" in told
    assert "of-the-collector" not in told

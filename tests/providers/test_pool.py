"""Lending connections: bounds, waiting in line, expiry, TLS."""

import asyncio
import datetime as dt
import ipaddress
import socket
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headgate.core.call import Clocks
from headgate.core.faults import UpstreamBusy, UpstreamDown, UpstreamTimeout
from headgate.core.seams import Ask
from headgate.providers._bounds import Bounds
from headgate.providers._wire import HttpWire
from headgate.testing import LAST_CHUNK, ScriptedUpstream, Upset, chunk, stream_head, whole

pytestmark = pytest.mark.anyio

ASK = Ask(path="/", body=b"{}")


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request):
    return "asyncio", {"use_uvloop": request.param}


async def test_callers_beyond_the_bound_wait_in_line(asker):
    def served_in_order(request):
        order.append(request.body)
        return [0.02, whole(b"{}")]

    order = []
    async with ScriptedUpstream([served_in_order]) as upstream:
        wire = asker.wire(upstream, bounds=Bounds(connections=2))

        async def ask(n):
            return [c async for c in wire.chunks(Ask(path="/", body=b"%d" % n), Clocks(), float("inf"))]

        assert await asyncio.gather(*map(ask, range(9))) == [[b"{}"]] * 9
        assert len(upstream.connections) == 2
    assert sorted(order[:2]) == [b"0", b"1"]
    assert [int(body) // 2 for body in order] == [0, 0, 1, 1, 2, 2, 3, 3, 4]


async def test_a_place_that_a_cut_connection_leaves_goes_to_the_next_in_line(asker):
    async with ScriptedUpstream([0.05, Upset.RESET], [whole(b"{}")]) as upstream:
        asker.wire(upstream, bounds=Bounds(connections=1))
        first, second = await asyncio.gather(asker.whole(upstream), asker.whole(upstream), return_exceptions=True)
    assert isinstance(first, UpstreamDown)
    assert second == b"{}"


async def test_nobody_waits_in_line_beyond_the_deadline(asker):
    async with ScriptedUpstream([stream_head(), chunk(b"x"), Upset.HANG], [whole(b"{}")]) as upstream:
        asker.wire(upstream, bounds=Bounds(connections=1))
        async with asker.asking(upstream, stream=True) as chunks:
            await anext(chunks)
            with pytest.raises(UpstreamBusy):
                await asker.whole(upstream, clocks=Clocks(total=0.1))
        assert await asker.whole(upstream) == b"{}"


async def test_a_caller_who_leaves_the_line_or_is_handed_a_place_as_he_leaves_loses_none(asker):
    async with ScriptedUpstream([0.1, whole(b"{}")]) as upstream:
        asker.wire(upstream, bounds=Bounds(connections=1))
        first = asyncio.create_task(asker.whole(upstream))
        await asyncio.sleep(0.02)
        rest = [asyncio.create_task(asker.whole(upstream)) for _ in range(3)]
        await asyncio.sleep(0.02)
        rest[1].cancel()
        first.add_done_callback(lambda _: rest[0].cancel())
        assert await first == b"{}"
        assert await rest[2] == b"{}"
        assert await asker.whole(upstream) == b"{}"


async def test_a_place_is_not_lost_when_connecting_fails_or_is_cancelled():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        wire = HttpWire(f"http://127.0.0.1:{taken.getsockname()[1]}", bounds=Bounds(connections=1))
        for _ in range(3):
            with pytest.raises(UpstreamDown):
                await anext(wire.chunks(ASK, Clocks(), float("inf")))


@pytest.mark.parametrize("upset", [Upset.CLOSE, Upset.RESET])
async def test_a_place_is_not_lost_when_the_upstream_hangs_up_at_once(asker, upset):
    async with ScriptedUpstream(greeting=[upset]) as upstream:
        asker.wire(upstream, bounds=Bounds(connections=1))
        for _ in range(5):
            with pytest.raises(UpstreamDown):
                await asker.whole(upstream, clocks=Clocks(total=5))
        assert len(upstream.connections) == 5


async def test_cancelling_at_any_moment_loses_no_place_and_exceeds_no_bound(asker):
    async with ScriptedUpstream([whole(b"{}")]) as upstream:
        pool = asker.wire(upstream, bounds=Bounds(connections=2))._pool
        for moments in range(25):
            tasks = [asyncio.create_task(asker.whole(upstream)) for _ in range(4)]
            for _ in range(moments):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.001)
            assert 0 <= pool._places <= 2
            assert len(pool._open) == pool._places
        results = await asyncio.gather(*(asker.whole(upstream) for _ in range(6)))
    assert results == [b"{}"] * 6


async def test_a_connection_at_rest_expires(asker):
    async with ScriptedUpstream([whole(b"{}")]) as upstream, asyncio.timeout(10):
        asker.wire(upstream, bounds=Bounds(rest=0.2))
        await asker.whole(upstream)
        await asyncio.sleep(0.05)
        await asker.whole(upstream)
        await upstream.connections[0].closed.wait()
        await asker.whole(upstream)
        assert len(upstream.connections) == 2


async def test_a_full_pool_of_dead_connections_does_not_stop_the_retry(asker):
    async with ScriptedUpstream([whole(b"{}")], [Upset.CLOSE], [whole(b"[1]")]) as upstream:
        asker.wire(upstream, bounds=Bounds(connections=1, doubt=0))
        await asker.whole(upstream)
        assert await asker.whole(upstream) == b"[1]"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for localhost that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    hour = dt.timedelta(hours=1)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - hour, now + hour)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(
        certificate.public_bytes(pem)
        + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def served(certificate):
    """The server's TLS settings."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def test_https_works_with_an_authority_that_is_trusted(asker, served, certificate):
    steps = [stream_head(), chunk(b"1"), 0.05, chunk(b"2"), LAST_CHUNK]
    async with ScriptedUpstream(steps, steps, [whole(b"{}")], tls=served) as upstream:
        asker.wire(upstream, tls=ssl.create_default_context(cafile=certificate))
        for _ in range(2):
            assert await asker.pieces(upstream, stream=True) == [b"1", b"2"]
        assert await asker.whole(upstream) == b"{}"
        assert len(upstream.connections) == 1


async def test_https_hangs_up_at_once(asker, served, certificate):
    async with ScriptedUpstream([stream_head(), chunk(b"1"), Upset.HANG], tls=served) as upstream:
        asker.wire(upstream, tls=ssl.create_default_context(cafile=certificate))
        async with asker.asking(upstream, stream=True) as chunks:
            await anext(chunks)
        async with asyncio.timeout(1):
            await upstream.connections[0].closed.wait()


async def test_a_certificate_that_nobody_signed_is_down(asker, served):
    async with ScriptedUpstream(tls=served) as upstream:
        with pytest.raises(UpstreamDown, match="certificate"):
            await asker.whole(upstream)
    assert upstream.requests == []


async def test_the_connect_clock_covers_tcp():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        wire = HttpWire(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        async with asyncio.timeout(10):
            with pytest.raises(UpstreamTimeout) as caught:
                await anext(wire.chunks(ASK, Clocks(connect=0.2), float("inf")))
        assert caught.value.details == {"clock": "connect"}
        for filler in fillers:
            filler.close()


async def test_the_connect_clock_covers_tls_and_leaves_no_socket_behind():
    async with ScriptedUpstream(greeting=[Upset.HANG]) as upstream:
        wire = HttpWire(f"https://127.0.0.1:{upstream.port}")
        async with asyncio.timeout(10):
            with pytest.raises(UpstreamTimeout) as caught:
                await anext(wire.chunks(ASK, Clocks(connect=0.2), float("inf")))
        assert caught.value.details == {"clock": "connect"}
        async with asyncio.timeout(1):
            await upstream.connections[0].closed.wait()

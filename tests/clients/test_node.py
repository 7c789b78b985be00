"""Clients for JavaScript, through Headgate, to models of every dialect. Their tests are in `node/`."""

import pytest

from clients._models import RED
from clients._node import check, needs_node
from journeys._upstreams import KINDS

pytestmark = [pytest.mark.anyio, needs_node]


@pytest.mark.parametrize("provider", KINDS)
@pytest.mark.parametrize("sdk", ["openai", "anthropic", "ai"])
async def test_the_sdk_is_served(gateway, sdk, provider):
    await check(
        f"node/{sdk}.test.mjs",
        HEADGATE_URL=gateway.url,
        HEADGATE_KEY=gateway.key,
        HEADGATE_PACED=gateway.paced,
        PROVIDER=provider,
        RED=RED,
    )

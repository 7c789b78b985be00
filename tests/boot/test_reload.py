"""Taking over a changed configuration: what it opens is closed again, and a faulty one opens nothing."""

import pytest

from headgate.boot.opening import open_runtime
from headgate.boot.reload import _retire
from headgate.config import ConfigError, load

pytestmark = pytest.mark.anyio
ISSUER = '[[access.jwt]]\njwks_url = "https://login.example/keys"\n'


def config(folder, more=""):
    path = folder / "headgate.toml"
    path.write_text(f'[store]\nurl = "sqlite:///{folder}/headgate.db"\n{ISSUER}{more}', "utf-8")
    return path


def client_of(identify):
    return identify._tokens._client


async def test_the_connections_to_issuers_are_closed_with_the_service(tmp_path):
    async with open_runtime(load(config(tmp_path))) as runtime:
        first = runtime.identify
        config(tmp_path, '[tiers.free]\nrequests = "1/minute"\n')
        await runtime.reload()
        second = runtime.identify
        assert second is not first
        assert not client_of(first).is_closed  # who is being verified may end
        _retire({}, first)
    assert client_of(second).is_closed
    assert client_of(first).is_closed


async def test_a_faulty_configuration_leaves_who_verifies(tmp_path):
    async with open_runtime(load(config(tmp_path))) as runtime:
        first = runtime.identify
        config(tmp_path, '[models.m]\ntargets = ["nowhere/m"]\n')
        with pytest.raises(ConfigError, match="nowhere"):
            await runtime.reload()
        assert runtime.identify is first
        assert not client_of(first).is_closed


async def test_targets_keep_their_health_while_their_provider_is_the_same(tmp_path):
    model = '[models.m]\ntargets = ["echo/m", "local/m"]\n[providers.echo]\n[providers.local]\nkind = "openai"\n'
    async with open_runtime(load(config(tmp_path, model + 'base_url = "http://127.0.0.1:1/v1"\n'))) as runtime:
        echo, local = runtime.admission.routes.find("m").targets
        config(tmp_path, model + 'base_url = "http://127.0.0.1:2/v1"\n')
        await runtime.reload()
        kept, other = runtime.admission.routes.find("m").targets
        assert kept is echo
        assert other is not local

"""The package with its hot path compiled is the same service; `python3 dev.py test-compiled` tries all of it."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from journeys._asking import PATHS, ask, check_good
from journeys._service import serving
from journeys._upstreams import said

ROOT = Path(__file__).parents[2]
HEADERS = Path(sysconfig.get_path("include"), "Python.h")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    if not shutil.which("gcc") or not HEADERS.exists():
        pytest.skip("no C compiler or no Python headers: apt-get install gcc python3-dev")
    folder = tmp_path_factory.mktemp("compiled")
    command = [sys.executable, str(ROOT / "tools" / "compiling.py"), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


@pytest.mark.anyio
async def test_it_answers_whole_and_in_a_stream_and_writes_both_down(compiled, upstreams, tmp_path):
    config = '[access]\napi_keys = "key-of-ann:ann:capped"\n[tiers.capped]\nrequests = "2/hour"\n[tiers.open]\n'
    async with serving(tmp_path, config + upstreams.config, PYTHONPATH=str(compiled)) as service:
        assert "hot path       compiled" in service.log
        whole = ask("openai", f"openai/{upstreams.model(said('openai', streamed=False))}")
        answer = await service.post(PATHS["openai"], whole, key="key-of-ann")
        check_good("openai", answer)
        streamed = ask("openai", f"openai/{upstreams.model(said('openai', streamed=True))}", stream=True)
        stream = await service.post(PATHS["openai"], streamed, key="key-of-ann")
        check_good("openai", stream)
        refused = await service.post(PATHS["openai"], whole, key="key-of-ann")
        assert refused.status == 429
        assert [(await service.entry(each))["status"] for each in (answer, stream, refused)] == ["ok", "ok", "refused"]

"""Four workers are killed while documents come in, again and again: what was acknowledged is there, and whole.

The long form, a hundred rounds:
`HEADGATE_KILL_ROUNDS=100 HEADGATE_HUNG=900 python3 dev.py test tests/journeys/test_killed_while_ingesting.py`
"""

import asyncio
import os
import random
import signal
import sqlite3
from pathlib import Path

import pytest

from headgate.rag.chunk import pieces
from journeys._service import serving

ROUNDS = int(os.environ.get("HEADGATE_KILL_ROUNDS", "2"))
CONFIG = """
[access]
api_keys = "key-of-ann:ann:open,key-of-bob:bob:open"
[server]
workers = 4
[shared]
per_process = true
[tiers.open]
"""
OWNERS = {"key-of-ann": "annsword", "key-of-bob": "bobsword"}
SENDERS = 2
FORMATS = ("markdown", "markdown", "html")
JSON = {"Content-Type": "application/json"}


def words_of(owner, name, version):
    """A document of three passages, each of which says whose it is and which version it is of."""
    sentence = f"{owner} {name} version{version}. "
    return "\n\n".join(f"# Part {part}\n\n" + sentence * (700 // len(sentence)) for part in range(3))


class Callers:
    """Send documents in all the time; by document, the latest version that was sent, and that was acknowledged.

    A document has one sender, who waits for each answer: of two versions sent at once either may come last.
    """

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.sent = {}
        self.kept = {}
        self.answers = self.goal = 0
        self.enough = asyncio.Event()

    async def send(self, service, key, sender):
        while True:
            names = self.random.sample([f"d{n}" for n in range(sender, 12, SENDERS)], 3)
            versions = {}
            for name in names:
                self.sent[key, name] = versions[name] = self.sent.get((key, name), 0) + 1
            format_ = self.random.choice(FORMATS)
            texts = {name: words_of(OWNERS[key], name, versions[name]) for name in names}
            if format_ == "html":
                texts = {
                    name: text.replace("# Part", "<h1>Part").replace("\n\n", "</h1><p>") for name, text in texts.items()
                }
            documents = [{"id": name, "text": text, "format": format_} for name, text in texts.items()]
            answer = await service.post(
                "/documents", {"collection": "c", "documents": documents}, key=key, headers=JSON
            )
            assert answer.status in {201, 202}, answer
            self.answers += 1
            if self.answers >= self.goal:
                self.enough.set()
            for name in names:
                self.kept[key, name] = versions[name]


def tree(pid):
    """The process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


async def killed(service, callers):
    """Let callers send for a while, and kill every process of the service."""
    callers.goal = callers.answers + callers.random.randint(2, 20)
    callers.enough.clear()
    sending = [asyncio.create_task(callers.send(service, key, n)) for key in OWNERS for n in range(SENDERS)]
    async with asyncio.timeout(60):
        await callers.enough.wait()
        await asyncio.sleep(callers.random.uniform(0, 0.05))
    for pid in tree(service.process.pid):
        os.kill(pid, signal.SIGKILL)
    await service.process.wait()
    done = await asyncio.gather(*sending, return_exceptions=True)
    assert not [each for each in done if isinstance(each, AssertionError)], done


async def settled(service):
    """Wait until nothing is queued."""
    async with asyncio.timeout(120):
        for key in OWNERS:
            while True:
                about = await service.get("/collections/c", key=key)
                if about.status == 404 or not about.json["unfinished"]:
                    break
                await asyncio.sleep(0.2)


def sound(folder):
    """Every collection's file is whole, and its full text fits its passages."""
    for path in (folder / ".headgate" / "knowledge").glob("*.db"):
        base = sqlite3.connect(path)
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if path.stem != "catalogue":
            base.execute("INSERT INTO lexicon (lexicon, rank) VALUES ('integrity-check', 1)")
            told = base.execute("SELECT documents, passages, size FROM about").fetchone()
            counted = "SELECT (SELECT COUNT(*) FROM documents), (SELECT COUNT(*) FROM passages), "
            assert base.execute(counted + "(SELECT SUM(size) FROM documents)").fetchone() == told
        base.close()


@pytest.mark.anyio
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers in /proc")
async def test_nothing_acknowledged_is_lost_and_nothing_is_there_in_part(tmp_path):
    callers = Callers(7)
    for _ in range(ROUNDS):
        async with serving(tmp_path, CONFIG) as service:
            await killed(service, callers)
        (tmp_path / "log.txt").write_text("")
    async with serving(tmp_path, CONFIG) as service:
        await settled(service)
        assert callers.kept
        for (key, name), version in callers.kept.items():
            shown = (await service.get(f"/documents/{name}?collection=c&text=true", key=key)).json
            assert shown["status"] == "ready", shown
            found = [each for each in range(version, callers.sent[key, name] + 1) if f"version{each}." in shown["text"]]
            assert len(found) == 1, (version, shown["text"][:80])
            wanted = {each.text for each in pieces(name, "", shown["text"])}
            query = {"query": f"{name} version{found[0]}", "collections": ["c"], "top_k": 100}
            answer = await service.post("/search", query, key=key, headers=JSON)
            passages = [each for each in answer.json["results"] if each["document_id"] == name]
            assert {each["content"] for each in passages} == wanted
            assert len(passages) == shown["chunks"] == len(wanted)
        for key, word in OWNERS.items():
            others = next(each for each in OWNERS.values() if each != word)
            query = {"query": f"{others} part", "top_k": 100}
            answer = await service.post("/search", query, key=key, headers=JSON)
            assert answer.json["results"]
            assert not [each for each in answer.json["results"] if others in each["content"]]
    sound(tmp_path)

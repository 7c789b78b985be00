"""What the documents say is so: links, commands, configurations, names in the code, and what is not there yet."""

import ast
import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from headgate.boot import create_app
from headgate.boot.opening import open_runtime
from headgate.cli.main import main
from headgate.config import load

from .documents import Block, anchors, blocks, broken_links, documents, prose
from .source import ROOT, SOURCE, files, relative

README = ROOT / "README.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
NAMED = re.compile(r"`((?:[\w.-]+/)+[\w.-]+\.(?:py|toml|txt|json|md)|[\w/]+\.py)(?::([\w.]+))?`")
INVENTED = ("fireside", "prompts/", "my.toml")
PROMPT = re.compile(r"(?:\w+=\S+ )*(?:export \w+=\$\()?(headgate|python3 dev\.py) ([^)]*)")


def tool(name: str):
    """A module of tools/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def all_blocks(*languages: str) -> list[Block]:
    found = [block for path in documents() for block in blocks(path, *languages)]
    assert found
    return found


def wrong(words: list[str]) -> str:
    """What is wrong with a command line of headgate; empty where it could be run."""
    command: click.Command = main
    options = set()
    for word in words:
        options |= {name for option in command.params for name in option.opts} | {"--help"}
        if isinstance(command, click.Group) and not word.startswith("-"):
            if word not in command.commands:
                return f"there is no command {word}"
            command = command.commands[word]
        elif word.startswith("--") and word.partition("=")[0] not in options:
            return f"{command.name} has no {word}"
    return ""


def test_links_between_documents_lead_somewhere():
    assert not [link for path in documents() for link in broken_links(path)]


def test_a_broken_link_would_be_found(tmp_path: Path):
    path = tmp_path / "a.md"
    path.write_text(
        "# One `two.THREE`\n[gone](b.md) [here](#one-twothree) [not here](#two) [far](https://example.com)\n"
    )
    assert broken_links(path) == ["a.md: b.md", "a.md: #two"]


@pytest.mark.parametrize("page", sorted(tool("reference").PAGES))
def test_the_reference_pages_are_up_to_date(page: str):
    reference = tool("reference")
    assert (reference.FOLDER / page).read_text("utf-8") == reference.PAGES[page](), "run: python tools/reference.py"


def test_every_command_that_is_named_can_be_given():
    said = [(block.where, line) for block in all_blocks("sh") for line in block.text.splitlines()]
    commands = [(where, found) for where, line in said if (found := PROMPT.match(line))]
    own = {found[2].split()[0] for _, found in commands if found[1] == "python3 dev.py"}
    assert own <= {"serve", "test", "test-clients", "bench", "lock"}
    faults = {
        f"{where} {found[0]}": wrong(shlex.split(found[2])) for where, found in commands if found[1] == "headgate"
    }
    inline = {
        f"{relative(path)} {words}": wrong(words.split())
        for path in documents()
        for words in re.findall(r"`headgate ([a-z][^`]*)`", prose(path))
        if f"`headgate {words}`" not in missing()
    }
    assert len(faults) > 20
    assert not {where: fault for where, fault in (faults | inline).items() if fault}


@pytest.mark.parametrize("line", ["frobnicate", "keys crate", "usage --bye user", "keys list --prefix hg_ --frob"])
def test_a_wrong_command_would_be_found(line: str):
    assert wrong(line.split())


@pytest.mark.anyio
@pytest.mark.parametrize("block", all_blocks("toml"), ids=lambda block: block.where)
async def test_every_configuration_shown_can_be_run(block: Block, tmp_path: Path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "system.md").write_text("Be brief.")
    (tmp_path / "prompts" / "answer.md").write_text("Be brief. {sources} {question}")
    secrets = {"GEMINI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", *re.findall(r"env:(\w+)", block.text)}
    env = {name: f"{name:x<40}" for name in secrets}
    text = re.sub(r'file:/run/[^"]*', "file:prompts/system.md", block.text)
    (tmp_path / "headgate.toml").write_text(text)
    config = load(tmp_path / "headgate.toml", env, {"store.url": "sqlite:///here.db"})
    async with open_runtime(config) as runtime:
        assert runtime.admission.routes.default
    assert tomllib.loads(text)


def test_python_examples_compile_and_import_what_is_there():
    sources = [(block.where, block.text) for block in all_blocks("python")]
    sources += [(relative(path), path.read_text("utf-8")) for path in (ROOT / "examples").glob("*.py")]
    for where, source in sources:
        for node in ast.walk(ast.parse(source, where)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("headgate"):
                module = importlib.import_module(node.module)
                assert not [name.name for name in node.names if not hasattr(module, name.name)], where


def names_of(path: Path) -> set[str]:
    """The names that a file defines: its own, and those of its classes."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
            if isinstance(node, ast.ClassDef):
                names |= {f"{node.name}.{inner.name}" for inner in node.body if hasattr(inner, "name")}
    return names


def test_every_file_and_function_that_is_named_is_there():
    lost = []
    for path in documents():
        for place, name in NAMED.findall(prose(path)):
            if any(invented in place for invented in INVENTED) or ("/" not in place and not name):
                continue
            found = next((base / place for base in (ROOT, SOURCE) if (base / place).exists()), None)
            if found is None or (name and name not in names_of(found)):
                lost.append(f"{relative(path)}: {place} {name}")
    assert not lost


def status(begin: str, end: str) -> str:
    """A part of the README's status."""
    return README.read_text("utf-8").partition(begin)[2].partition(end)[0]


def missing() -> str:
    """What the README says is not there yet."""
    return status("**Not there yet:**", "\nWhat a request costs")


def test_what_works_is_there_and_what_does_not_is_not():
    paths = set(create_app().openapi()["paths"]) | {"/docs", "/redoc"}
    path = re.compile(r"`(/[a-z/_0-9*]+)`")
    works, lacks = path.findall(status("**Works**", "**Untested")), path.findall(missing())
    assert works
    assert lacks
    assert not [name for name in works if not any(there.startswith(name.rstrip("*")) for there in paths)]
    assert not [name for name in lacks if name in paths], "it is there now: README.md says it is not"
    assert not [name for name in re.findall(r"`headgate ([a-z]+)`", missing()) if name in main.commands]


def test_keys_without_effect_have_none():
    listed = CONFIGURATION.read_text("utf-8").partition("## Keys without effect yet")[2]
    keys = re.findall(r"`((?:\w+\.)+\w+)`", listed)
    code = "\n".join(path.read_text("utf-8") for path in files() if path.parent.name not in {"cli", "config"})
    read = [
        key for key in keys if re.search(rf"\b{key.replace('models.NAME', 'model').replace('.', '[.]')}\b(?!\")", code)
    ]
    assert not read, "it is read now: docs/configuration.md says it has no effect"


def test_every_decision_is_listed():
    folder = ROOT / "docs" / "adr"
    listed = (folder / "README.md").read_text("utf-8")
    pages = sorted(path for path in folder.glob("[0-9]*.md"))
    assert pages
    assert [path.name for path in pages] == re.findall(r"\((\d{4}-[\w-]+\.md)\)", listed)
    wanted = {"context", "decision", "consequences", "refused"}
    assert not [path.name for path in pages if not wanted <= anchors(path)]


def test_what_the_container_copies_is_there():
    copied = re.findall(r"^COPY (?!--from)(\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert copied
    assert not [name for name in copied if not (ROOT / name).exists()]
    allowed = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert {f"!{name}" for name in copied} <= set(allowed)

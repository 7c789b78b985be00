"""`headgate init` writes what `headgate check` accepts, and never over what is there."""

import re
import tomllib


def test_what_init_writes_is_accepted(run, here):
    result = run("init", "mine")
    assert result.exit_code == 0
    assert {path.name for path in (here / "mine").rglob("*") if path.is_file()} == {
        "headgate.toml",
        "system.md",
        ".env.example",
    }
    assert "cd mine" in result.output
    assert run("check", "--config", "mine/headgate.toml").exit_code == 0


def test_init_never_overwrites(run, here):
    (here / "headgate.toml").write_text("[server]\nport = 1234\n")
    result = run("init")
    assert "kept     headgate.toml" in result.output
    assert "written  .env.example" in result.output
    assert (here / "headgate.toml").read_text() == "[server]\nport = 1234\n"


def test_every_example_in_the_written_file_is_a_configuration(run, here, monkeypatch):
    run("init")
    for name in ("GEMINI_API_KEY", "OPENAI_API_KEY", "API_KEYS", "HEADGATE_ADMIN_KEY"):
        monkeypatch.setenv(name, f"a-secret-for-{name}")
    monkeypatch.setenv("JWT_SECRET", "a-secret" * 4)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1/0")
    text = (here / "headgate.toml").read_text()
    live = re.sub(r"^# ((?:\[|[a-z_]+ = ).*)$", r"\1", text, flags=re.MULTILINE)
    assert len(tomllib.loads(live)) > len(tomllib.loads(text))
    (here / "headgate.toml").write_text(live)
    assert run("check").stderr == ""

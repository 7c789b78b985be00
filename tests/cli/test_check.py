"""`headgate check` shows what is in force and never a secret."""

import tomllib


def test_the_resolved_configuration_is_printed_as_toml_without_secrets(run, here, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "do-not-show")
    (here / "headgate.toml").write_text(
        '[providers.openai]\napi_key = "env:SECRET_KEY"\n[models."my model"]\ntargets = ["openai/gpt-4o"]\n'
        '[prices."openai/gpt-4o"]\ninput = 1\noutput = 2.5\n[access]\napi_keys = "env:SECRET_KEY"\n'
    )
    result = run("check")
    assert result.exit_code == 0
    assert "do-not-show" not in result.output
    shown = tomllib.loads(result.stdout)
    assert shown["providers"]["openai"] == {"kind": "openai", "api_key": "********"}
    assert shown["models"]["my model"]["targets"] == ["openai/gpt-4o"]
    assert shown["prices"]["openai/gpt-4o"] == {"input": 1.0, "output": 2.5}
    assert shown["tiers"]["free"]["requests"] == ["10/minute"]


def test_an_unknown_kind_of_provider_is_told_with_its_line(run, here):
    (here / "headgate.toml").write_text('[providers.mine]\nkind = "opnai"')
    result = run("check")
    assert result.exit_code == 1
    assert result.stderr == (
        'Error: headgate.toml:2: providers.mine.kind is wrong: there is no provider of the kind "opnai"; '
        "did you mean openai?\n"
    )


def test_an_unknown_setting_of_a_provider_is_told_with_the_nearest(run, here):
    (here / "headgate.toml").write_text('[providers.openai]\napi_key = "k"\nbase_ulr = "http://x"')
    expected = "providers.openai.base_ulr is not a known key; did you mean providers.openai.base_url?"
    assert run("check").stderr == f"Error: headgate.toml:3: {expected}\n"


def test_a_target_without_its_provider_is_told_with_its_line(run, here):
    (here / "headgate.toml").write_text('[providers.echo]\n[models.a]\ntargets = ["echo/echo", "nope/x"]\n')
    result = run("check")
    assert result.exit_code == 1
    assert "headgate.toml:3: models.a.targets names no provider 'nope'" in result.stderr

"""Commands that open a Headgate of their own."""

import json

import pytest

CONFIG = """
[server]
port = 9
[models.assistant]
targets = ["echo/one", "echo/two"]
[models.dear]
targets = ["echo/three"]
[tiers.free]
requests = "7/minute"
spend_usd = "0.50/day"
[routing]
default = "assistant"
[access]
anonymous = true
"""


@pytest.fixture(autouse=True)
def configured(here):
    (here / "headgate.toml").write_text(CONFIG)


def explained(run, *args):
    result = run("explain", "--json", *args)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_without_a_service_chat_answers_from_its_own_process(run):
    result = run("chat", "Hello there")
    assert (result.exit_code, result.stdout) == (0, "You said: Hello there\n")


def test_chat_takes_its_message_from_standard_input(run):
    assert run("chat", "--model", "echo/x", stdin="Hello").stdout == "You said: Hello\n"


def test_a_model_that_is_not_there_is_a_sentence(run):
    result = run("chat", "--model", "nope", "Hello")
    assert result.exit_code == 1
    assert "'nope' does not exist here" in result.stderr


def test_explain_names_the_targets_in_order_and_the_limits_with_what_is_left(run):
    key = json.loads(run("keys", "create", "--tier", "free", "--user", "ada", "--json").stdout)["key"]
    told = explained(run, "--model", "assistant", "--key", key)
    assert (told["caller"], told["tier"], told["allowed"]) == ("user:ada", "free", True)
    assert [target["target"] for target in told["targets"]] == ["echo/one", "echo/two"]
    assert ("7 requests a minute", 7) in [(limit["rule"], limit["left"]) for limit in told["limits"]]
    assert ("$0.50 a day", 0.5) in [(limit["rule"], limit["left"]) for limit in told["limits"]]
    assert not any(limit["refuses"] for limit in told["limits"])


def test_explain_says_who_may_not(run):
    told = explained(run, "--model", "dear")
    assert (told["tier"], told["allowed"]) == ("anonymous", False)
    assert "REFUSED: " in run("explain", "--model", "dear").output


def test_explain_counts_nothing(run):
    assert explained(run) == explained(run)


def test_a_wrong_key_is_a_sentence(run):
    result = run("explain", "--key", "hg_wrong")
    assert (result.exit_code, result.stderr) == (1, "Error: The credential is not valid.\n")


def test_the_openapi_document_is_printed(run):
    document = json.loads(run("openapi").stdout)
    assert document["openapi"].startswith("3.")
    assert "/v1/chat/completions" in document["paths"]

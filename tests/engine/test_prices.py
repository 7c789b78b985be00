"""What calls cost, to the nano-dollar; what is not known is not guessed."""

from __future__ import annotations

from datetime import date

import pytest
from msgspec import structs

from headgate.core.money import Price
from headgate.engine.prices import MAX_FOUND, Prices


@pytest.fixture(scope="module")
def prices():
    return Prices.load()


@pytest.mark.parametrize(
    ("provider", "model", "tokens", "nano"),
    [
        # (in, out, of them cached, of them written to the cache): published USD per million tokens beside each
        ("openai", "gpt-4o", (1000, 500, 200, 0), 800 * 2500 + 200 * 1250 + 500 * 10_000),  # 2.50, 1.25, 10
        ("openai", "gpt-4o-2024-05-13", (1000, 500, 0, 0), 1000 * 5000 + 500 * 15_000),  # 5, 15
        ("openai", "gpt-4o-mini", (1, 1, 0, 0), 150 + 600),  # 0.15, 0.60
        ("openai", "gpt-4o-mini", (1, 0, 1, 0), 75),  # 0.075
        ("openai", "gpt-4.1", (10, 10, 0, 0), 10 * 2000 + 10 * 8000),  # 2, 8
        ("openai", "text-embedding-3-small", (3, 0, 0, 0), 60),  # 0.02
        (
            "anthropic",
            "claude-sonnet-4-20250514",
            (1000, 100, 300, 200),
            500 * 3000 + 300 * 300 + 200 * 3750 + 1_500_000,
        ),
        ("anthropic", "claude-opus-4-1", (7, 3, 0, 0), 7 * 15_000 + 3 * 75_000),  # 15, 75
        ("anthropic", "claude-3-5-haiku-latest", (1, 1, 0, 0), 800 + 4000),  # 0.80, 4
        ("gemini", "gemini-2.5-flash", (100, 10, 0, 0), 100 * 300 + 10 * 2500),  # 0.30, 2.50
        ("gemini", "models/gemini-2.5-flash", (100, 10, 0, 0), 100 * 300 + 10 * 2500),
        ("gemini", "gemini-2.5-pro", (200_000, 10, 0, 0), 200_000 * 1250 + 10 * 10_000),  # 1.25, 10 up to 200k
        ("gemini", "gemini-2.5-pro", (200_001, 10, 1, 0), 200_000 * 2500 + 250 + 10 * 15_000),  # 2.50, 0.25, 15 above
        ("cohere", "command-r-plus", (4, 4, 0, 0), 4 * 2500 + 4 * 10_000),  # 2.50, 10
        ("groq", "llama-3.3-70b-versatile", (100, 100, 0, 0), 100 * 590 + 100 * 790),  # 0.59, 0.79
        ("perplexity", "sonar", (1, 1, 0, 0), 1000 + 1000 + 12_000_000),  # 1, 1, and 12 per thousand requests
        ("openrouter", "openai/gpt-4o", (1, 1, 0, 0), 2500 + 10_000),
        ("azure", "gpt-4o", (1, 1, 0, 0), 2500 + 10_000),
        ("echo", "echo", (1000, 1000, 0, 0), 0),
    ],
)
def test_published_prices(prices, provider, model, tokens, nano):
    assert prices.find(provider, model).cost(*tokens) == nano


def test_half_a_nano_dollar_is_rounded_up():
    assert Price(500, 0).cost(1, 0) == 1
    assert Price(499, 0).cost(1, 0) == 0


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-9-that-does-not-exist"),
        ("openai", "ft:gpt-4o-mini:acme::id"),
        ("openai", "gpt-4o-audio-preview"),
        ("openai", "gpt-4o-realtime-preview-2024-12-17"),
        ("openai", "whisper-1"),
        ("openrouter", "openai/gpt-4o-audio-preview"),
        ("gemini", "gemini-2.5-flash-image"),
        ("gemini", "gemini-2.5-pro-preview-tts"),
        ("deepseek", "deepseek-chat"),
        ("mistral", "mistral-large-latest"),
        ("perplexity", "sonar-deep-research"),
        ("ollama", "llama3.2"),
        ("llama.cpp", "gpt-4o"),
        ("vllm", "meta-llama/Llama-3.3-70B-Instruct"),
        ("", ""),
    ],
)
def test_what_is_not_known_for_sure_has_no_price(prices, provider, model):
    assert prices.find(provider, model) is None


def test_a_price_says_where_it_is_from(prices):
    assert date.fromisoformat(prices.snapshot.generated)
    source = prices.find("gemini", "gemini-2.5-flash").source
    assert source == f"{prices.snapshot.source} {prices.snapshot.generated} google"
    assert prices.find("azure", "gpt-4o").source.endswith(" openai")
    assert "MIT" in prices.snapshot.licence


def test_names_are_found_in_any_case_and_with_compact_dates(prices):
    assert prices.find("openai", "GPT-4o") == prices.find("openai", "gpt-4o")
    assert prices.find("openai", "gpt-4.1-20250414") == prices.find("openai", "gpt-4.1-2025-04-14") is not None


def test_a_base_url_says_who_the_vendor_is():
    prices = Prices.load(
        providers={
            "fast": ("openai", "https://api.groq.com/openai/v1"),
            "proxy": ("openai", "http://127.0.0.1:4000/v1"),
            "mine": ("gemini", ""),
            "openai": ("ollama", "http://127.0.0.1:11434"),
        }
    )
    assert prices.find("fast", "llama-3.3-70b-versatile").source.endswith(" groq")
    assert prices.find("fast", "gpt-4o") is None
    assert prices.find("proxy", "gpt-4o").source.endswith(" openai")
    assert prices.find("proxy", "llama-3.3-70b-versatile") is None
    assert prices.find("mine", "gemini-2.5-flash").source.endswith(" google")
    assert prices.find("openai", "gpt-4o") is None, "the name of a provider is only a name"


def test_the_operator_has_the_last_word():
    own = {
        "gpt-4o": {"input": 1.5, "output": 2},
        "openai/gpt-4o-mini": {"input": 0.1, "output": 0.2, "cached": 0.05, "cache_write": 0.3, "request": 0.0001},
        "local/*": {"input": 0, "output": 0},
        "qwen*": {"input": 0.7, "output": 0.7},
    }
    prices = Prices.load(own)
    assert prices.find("azure", "gpt-4o") == Price(1_500_000, 2_000_000, source="configuration")
    mini = prices.find("openai", "gpt-4o-mini")
    assert mini.cost(4, 1, 1, 1) == 2 * 100 + 50 + 300 + 200 + 100_000
    assert prices.find("azure", "gpt-4o-mini").source != "configuration"
    assert prices.find("local", "qwen3:8b").cost(1000, 1000) == 0
    assert prices.find("vllm", "qwen3:8b").cost(1, 1) == 1400
    assert prices.find("vllm", "llama") is None


@pytest.mark.parametrize(
    "values",
    [{"input": 1}, {"output": 1}, {}, {"input": -1, "output": 1}, {"input": float("nan"), "output": 1}],
)
def test_half_a_price_is_refused(values):
    with pytest.raises(ValueError, match=r"prices\.m"):
        Prices.load({"m": values})


def test_names_that_callers_invent_do_not_pile_up(prices):
    for n in range(2 * MAX_FOUND):
        prices.find("nobody", str(n))
    assert len(prices._found) <= MAX_FOUND


def test_every_price_in_the_snapshot_is_a_price(prices):
    for vendor in prices.snapshot.providers.values():
        for other in vendor.fallback:
            assert other in prices.snapshot.providers
        for model in vendor.models:
            assert model.names or model.pattern
            for price in [model.price, *(step for _, step in model.price.above)] if model.price else []:
                numbers = [n for n in structs.astuple(price) if isinstance(n, int)]
                assert min(numbers) >= 0
                assert max(numbers) < 10**9 * 1000, "less than a thousand dollars a token or request"
            longest = [start for start, _ in model.price.above] if model.price else []
            assert longest == sorted(longest, reverse=True)

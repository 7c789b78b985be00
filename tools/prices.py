"""Write `src/headgate/data/prices.json`, the dated snapshot of what models cost.

    python tools/prices.py            # needs genai-prices, from the development dependencies

Prices come from genai-prices (MIT). What cannot be said in tokens of text, and what we know to be wrong, becomes
unknown here: a missing price shows as unknown in the ledger, a wrong one would show as the truth.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import metadata
from pathlib import Path

from genai_prices import types
from genai_prices.data import providers

DATA = Path(__file__).parent.parent / "src" / "headgate" / "data"

# Sound and pictures have their own price a token, which counts of tokens alone do not tell apart.
NOT_TEXT = r"audio|realtime|\blive\b|voice|speech|tts|whisper|transcribe|voxtral|image|video"

# Reviewed 2026-11: what the data set is known to be wrong about, by provider.
CORRECTIONS = {
    "deepseek": r"^deepseek-(chat|reasoner)",  # aliases that moved to newer, cheaper models
    "mistral": r"^mistral-large(-latest)?$",  # the alias moved to another model with another price
}

# Prices of something else than tokens, without which the sum would be too low. Searches are the caller's own extras.
UNSAYABLE = re.compile(r"hours|chars|pages|messages|reasoning|citation|output_(audio|image|video)")


def main() -> None:
    """Write the snapshot and its licence; say what was left out."""
    version = metadata.version("genai-prices")
    today = datetime.now(UTC).date()
    listed = {provider.id: _provider(provider, today) for provider in providers}
    header = {
        "generated": today.isoformat(),
        "source": f"genai-prices {version}",
        "licence": "MIT, Copyright (c) Pydantic Services Inc. 2025 to present; the text is in prices.LICENSE",
    }
    (DATA / "prices.json").write_text(_pretty(header, listed))
    licence = next(file for file in metadata.files("genai-prices") or () if file.name == "LICENSE")
    (DATA / "prices.LICENSE").write_text(licence.read_text())
    print(f"{sum(len(p['models']) for p in listed.values())} models of {len(listed)} providers")


def _provider(provider: types.Provider, today: date) -> dict:
    models = [_model(model, today) for model in provider.models]
    unknown = "|".join(filter(None, [NOT_TEXT, CORRECTIONS.get(provider.id)]))
    fallback = provider.fallback_model_providers or []
    return {"url": provider.api_pattern, "unknown": unknown, "fallback": fallback, "models": models}


def _model(model: types.ModelInfo, today: date) -> dict:
    """A row of the snapshot; one without a price is known to be unknown, and shields the name from wider patterns."""
    prices = {name: price for name, price in vars(_current(model, today)).items() if price is not None}
    if "input_mtok" not in prices or any(map(UNSAYABLE.search, prices)):
        print("unknown:", model.id, *prices)
        prices = {}
    names, patterns = [], []
    for clause in getattr(model.match, "or_", None) or [model.match]:
        if isinstance(clause, types.ClauseEquals):
            names.append(clause.equals.lower())
        else:
            patterns.append(_pattern(clause).replace("\\-", "-"))
    listed = {"names": names, "pattern": "|".join(patterns), "price": prices and _price(prices)}
    return {key: value for key, value in listed.items() if value}


def _current(model: types.ModelInfo, today: date) -> types.ModelPrice:
    """The price in force. One that depends on the hour counts with its peak, so that a budget is not overrun."""
    if isinstance(model.prices, types.ModelPrice):
        return model.prices
    current = model.prices[0].prices
    for conditional in model.prices:
        start = getattr(conditional.constraint, "start_date", today)
        if start <= today:
            current = conditional.prices
        else:
            print("will change:", model.id, start)
    return current


def _pattern(clause: types.MatchLogic) -> str:
    """A regular expression, to be searched for in a lower-case name."""
    match clause:
        case types.ClauseEquals():
            return f"^{re.escape(clause.equals.lower())}$"
        case types.ClauseStartsWith():
            return f"^{re.escape(clause.starts_with.lower())}"
        case types.ClauseEndsWith():
            return f"{re.escape(clause.ends_with.lower())}$"
        case types.ClauseContains():
            return re.escape(clause.contains.lower())
        case types.ClauseRegex():
            return f"(?:{clause.regex})"
        case types.ClauseOr():
            return f"(?:{'|'.join(map(_pattern, clause.or_))})"
        case types.ClauseAnd():
            return "^" + "".join(
                f"(?={'' if pattern[0] == '^' else '.*'}{pattern})" for pattern in map(_pattern, clause.and_)
            )
    raise TypeError(clause)


def _price(prices: dict[str, Decimal | types.TieredPrices]) -> dict:
    """Pico-USD a token, as `headgate.core.money.Price` has them; steps of length with the longest first."""
    starts = sorted({tier.start for p in prices.values() if isinstance(p, types.TieredPrices) for tier in p.tiers})
    price = _step(prices, None)
    if starts:
        price["above"] = [[start, _step(prices, start)] for start in reversed(starts)]
    return price


def _step(prices: dict[str, Decimal | types.TieredPrices], start: int | None) -> dict:
    names = {
        "input": "input_mtok",
        "output": "output_mtok",
        "cached": "cache_read_mtok",
        "cache_write": "cache_write_mtok",
        "request": "requests_kcount",
    }
    step = {"input": 0, "output": 0}
    for ours, theirs in names.items():
        price = prices.get(theirs)
        if isinstance(price, types.TieredPrices):
            reached = [tier.price for tier in price.tiers if start is not None and tier.start <= start]
            price = reached[-1] if reached else price.base
        if price is not None:
            pico = price * 1_000_000 * (1000 if ours == "request" else 1)  # a thousand requests, a million tokens
            step[ours] = int(pico.to_integral_value())
    return step


def _pretty(header: dict, listed: dict) -> str:
    """JSON with a model a line, so that a new snapshot can be reviewed as a diff."""
    lines = [json.dumps(header)[:-1] + ', "providers": {']
    for name, provider in listed.items():
        head = {key: value for key, value in provider.items() if key != "models"}
        lines.append(f'{json.dumps(name)}: {json.dumps(head)[:-1]}, "models": [')
        lines.append(",\n".join(json.dumps(model, separators=(",", ":")) for model in provider["models"]))
        lines.append("]},")
    lines[-1] = "]}}}"
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

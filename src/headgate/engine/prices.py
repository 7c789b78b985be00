"""What models cost: a dated snapshot of published prices, with the operator's own on top. Unknown is None, never 0.

`tools/prices.py` writes the snapshot. A vendor there lists models by exact names and by patterns; a model without a
price is known to be unknown (it is billed by more than tokens of text).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cached_property
from importlib import resources

from msgspec import Struct, json, structs

from headgate.core.money import Price, nano, per_million

MAX_FOUND = 4096
FREE = Price(0, 0, source="free")
OPERATOR = "configuration"

# What people and other tools call a vendor that the snapshot lists under another name.
ALIASES = {
    "gemini": "google",
    "vertex": "google",
    "vertexai": "google",
    "xai": "x-ai",
    "grok": "x-ai",
    "bedrock": "aws",
    "moonshot": "moonshotai",
    "kimi": "moonshotai",
    "zhipu": "zhipuai",
    "voyage": "voyageai",
    "togetherai": "together",
}

_COMPACT_DATE = re.compile(r"-(20\d\d)(\d\d)(\d\d)$")


class Listed(Struct, frozen=True):
    """A model in a vendor's list: its names in lower case, a pattern for more of them, its price if that is known."""

    names: tuple[str, ...] = ()
    pattern: str = ""
    price: Price | None = None


class Vendor(Struct, dict=True):
    """A vendor's list. `url` is a pattern for its base URLs, `unknown` one for models whose price we refuse to name.

    `fallback` are vendors whose models it sells for the same price.
    """

    url: str
    models: tuple[Listed, ...]
    unknown: str = "$^"
    fallback: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Listed]:
        """The models by their exact names; of two with the same name the first holds."""
        return {name: model for model in reversed(self.models) for name in model.names}

    def find(self, model: str) -> Listed | None:
        """The model of that name."""
        if re.search(self.unknown, model):
            return Listed()
        if listed := self.by_name.get(model):
            return listed
        return next((m for m in self.models if m.pattern and re.search(m.pattern, model)), None)


class Snapshot(Struct, frozen=True):
    """The data set: when it was `generated` (ISO date), from which `source` and version, under which `licence`."""

    generated: str
    source: str
    licence: str
    providers: dict[str, Vendor]


class Prices:
    """Finds prices. `providers` says what the configured names stand for: kind and base URL (which may be empty)."""

    def __init__(
        self,
        snapshot: Snapshot,
        overrides: Mapping[str, Mapping[str, float]],
        providers: Mapping[str, tuple[str, str]],
    ) -> None:
        self.snapshot = snapshot
        self._overrides = {name: _price(name, values) for name, values in overrides.items()}
        self._vendors = {name: self._vendor(kind, url) for name, (kind, url) in providers.items()}
        self._found: dict[tuple[str, str], Price | None] = {}

    @classmethod
    def load(
        cls,
        overrides: Mapping[str, Mapping[str, float]] | None = None,
        providers: Mapping[str, tuple[str, str]] | None = None,
    ) -> Prices:
        """The shipped snapshot under the operator's own prices.

        An override is named by a model, by "provider/model" or by a pattern of either with shell wildcards. Its values
        are `input` and `output`, if wanted `cached` and `cache_write`, in USD per million tokens, and `request` in USD
        a request. Raises ValueError.
        """
        data = resources.files("headgate").joinpath("data", "prices.json").read_bytes()
        return cls(json.decode(data, type=Snapshot), overrides or {}, providers or {})

    def find(self, provider: str, model: str) -> Price | None:
        """What a provider (the configured name) takes for a model (the upstream's own name); None where unknown."""
        try:
            return self._found[provider, model]
        except KeyError:
            if len(self._found) >= MAX_FOUND:  # callers may name models
                self._found.clear()
            price = self._found[provider, model] = self._overridden(provider, model) or self._listed(provider, model)
            return price

    def _overridden(self, provider: str, model: str) -> Price | None:
        """The operator's price; an exact name goes before a pattern, and among patterns the first."""
        full = f"{provider}/{model}"
        for name in (full, model):
            if name in self._overrides:
                return self._overrides[name]
        fits = (
            p for pattern, p in self._overrides.items() if fnmatchcase(full, pattern) or fnmatchcase(model, pattern)
        )
        return next(fits, None)

    def _listed(self, provider: str, model: str) -> Price | None:
        name = self._vendors.get(provider, ALIASES.get(provider, provider))
        if name == "echo":
            return FREE
        vendor = self.snapshot.providers.get(name)
        if vendor is None:
            return None
        model = model.lower().removeprefix("models/")
        lists = {name: vendor} | {other: self.snapshot.providers[other] for other in vendor.fallback}
        for spelling in dict.fromkeys((model, _COMPACT_DATE.sub(r"-\1-\2-\3", model))):
            for other, models in lists.items():
                if listed := models.find(spelling):
                    source = f"{self.snapshot.source} {self.snapshot.generated} {other}"
                    return listed.price and structs.replace(listed.price, source=source)
        return None

    def _vendor(self, kind: str, url: str) -> str:
        """The vendor behind a base URL, or else the one that the kind is named for.

        A server elsewhere that speaks a vendor's dialect and serves a model by that vendor's own name is a proxy to it.
        """
        by_url = (name for name, vendor in self.snapshot.providers.items() if url and re.match(vendor.url, url))
        return next(by_url, ALIASES.get(kind, kind))


def _price(name: str, values: Mapping[str, float]) -> Price:
    """An override as a Price. Raises ValueError for a price left out, which is not a price of 0, and an absurd one."""
    if missing := {"input", "output"} - values.keys():
        raise ValueError(f"prices.{name}: {' and '.join(sorted(missing))} must be given, as USD per million tokens")
    if not all(0 <= usd < math.inf for usd in values.values()):
        raise ValueError(f"prices.{name}: a price is a number that is not negative")
    tokens = {field: per_million(usd) for field, usd in values.items() if field != "request"}
    request = nano(values.get("request", 0)) * 1000
    return structs.replace(Price(0, 0, source=OPERATOR), **tokens, request=request)

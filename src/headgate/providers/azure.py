"""Azure OpenAI: OpenAI's dialect at a resource of one's own, where a model's name is that of its deployment.

https://learn.microsoft.com/azure/ai-foundry/openai/reference and …/openai/api-version-lifecycle (the v1 endpoint).
Built from that documentation, and tested against recorded-style answers and local servers, not the live cloud.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import msgspec
from pydantic import Field, field_validator

from headgate.core.faults import Fault
from headgate.core.seams import Answered, Ask, Provider, Reader, Wire
from headgate.dialects.azure_answer import AnswerReader, StreamReader, Watcher
from headgate.providers import _http, openai

_UNDATED = ("v1", "preview", "latest")
_VERSION = rf"^({'|'.join(_UNDATED)}|\d{{4}}-\d\d-\d\d(-preview)?)$"


class Options(openai.Options):
    """`base_url` is the resource's endpoint, `https://NAME.openai.azure.com`, in any of the forms that Azure shows it.

    `api_version` is `v1` for the endpoint without dated versions, or a date such as `2024-10-21`. `token` is an access
    token of Microsoft Entra, in the place of a key; it is not renewed (a `file:` is read again when it changes).
    `completions` is for resources with a model of the older completions.
    """

    env: ClassVar[Mapping[str, str]] = {
        "AZURE_OPENAI_ENDPOINT": "base_url",
        "AZURE_OPENAI_API_KEY": "api_key",
        "AZURE_OPENAI_AD_TOKEN": "token",
        "AZURE_OPENAI_API_VERSION": "api_version",
        "OPENAI_API_VERSION": "api_version",
    }
    default_model: ClassVar[str] = ""

    base_url: str
    token: str = Field("", repr=False)
    api_version: str = Field("v1", pattern=_VERSION)
    completions: bool | None = False
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] | None = "max_completion_tokens"

    @field_validator("base_url")
    @classmethod
    def _resource(cls, value: str) -> str:
        return re.sub(r"/openai(/v1)?$", "", value.rstrip("/"))

    @classmethod
    def found(cls, environ: Mapping[str, str]) -> dict[str, str]:
        """The settings that the well-known variables make; without an endpoint there is nowhere to ask."""
        settings = super().found(environ)
        return settings if "base_url" in settings else {}


class Azure(openai.OpenAI):
    """Chat completions and embeddings of the resource's deployments."""

    watched: ClassVar[type[Reader]] = Watcher
    streamed: ClassVar[type[Reader]] = StreamReader
    whole: ClassVar[type[Reader]] = AnswerReader

    def __init__(self, options: Options, wire: Wire) -> None:
        super().__init__(options, wire)
        self._version = options.api_version
        credential = _http.bearer(options.token)
        if options.api_key and not credential:
            credential = (("api-key", options.api_key),)
        self._headers = (*credential, *(each for each in self._headers if each[0] != "authorization"))

    def _ask(self, path: str, body: bytes, model: str, *, stream: bool = False) -> Ask:
        """A request. The v1 endpoint and the Responses API find the deployment's name in the body."""
        version = "" if self._version == "v1" else f"?api-version={self._version}"
        if self._version in _UNDATED:
            place = "/openai/v1"
        elif path == "/responses":
            place = "/openai"
        else:
            place = f"/openai/deployments/{quote(model, safe='')}"
        return super()._ask(f"{place}{path}{version}", body, model, stream=stream)

    def fault(self, answered: Answered) -> Fault:
        """A filtered prompt is refused; the fault's details say what the filters found in it."""
        fault = super().fault(answered)
        if findings := _findings(answered.body):
            fault.details = findings
        return fault


def _findings(body: bytes) -> Any:
    """What the filters found, in an error's body: `{category: {"filtered", "severity"}}`."""
    try:
        error = msgspec.json.decode(body)["error"]
        return error["innererror"]["content_filter_result"]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, LookupError, TypeError):
        return None


def connect(options: Options, wire: Wire) -> Provider:
    """The provider that these settings describe."""
    return Azure(options, wire)

"""How callers prove who they are, as FastAPI documents it: the Authorize button's two ways.

These only describe: `Runtime.identify` reads the headers, and it alone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Security
from fastapi.params import Security as SecurityParameter
from fastapi.security import APIKeyHeader, HTTPBearer

BEARER = HTTPBearer(
    scheme_name="Bearer",
    bearerFormat="API key or JWT",
    description="An API key (`hg_…`), your app's own login token, or the operator's admin key.",
    auto_error=False,
)
API_KEY = APIKeyHeader(
    name="X-API-Key",
    scheme_name="ApiKey",
    description="An API key (`hg_…`) or the operator's admin key. One of the two ways is enough.",
    auto_error=False,
)

CREDENTIALS: Sequence[SecurityParameter] = (Security(BEARER), Security(API_KEY))
"""For the documentation of a route that reads the headers itself."""

ByBearer = Annotated[Any, Security(BEARER)]
ByKey = Annotated[Any, Security(API_KEY)]

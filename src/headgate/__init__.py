"""Headgate: the LLM backend that every product otherwise writes again.

The names a library user or plug-in author needs; each is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headgate.boot.app import create_app
    from headgate.config import Config, ConfigError
    from headgate.core.call import Call, Prompt
    from headgate.core.events import Reply
    from headgate.core.faults import Fault
    from headgate.core.principal import Principal
    from headgate.surfaces.depends import Admin, Caller, Gate

__version__ = "0.1.0"

_HOMES = {
    "Admin": "headgate.surfaces.depends",
    "Call": "headgate.core.call",
    "Caller": "headgate.surfaces.depends",
    "Config": "headgate.config",
    "ConfigError": "headgate.config",
    "Fault": "headgate.core.faults",
    "Gate": "headgate.surfaces.depends",
    "Principal": "headgate.core.principal",
    "Prompt": "headgate.core.call",
    "Reply": "headgate.core.events",
    "create_app": "headgate.boot.app",
}
__all__ = [
    "Admin",
    "Call",
    "Caller",
    "Config",
    "ConfigError",
    "Fault",
    "Gate",
    "Principal",
    "Prompt",
    "Reply",
    "__version__",
    "create_app",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'headgate' has no attribute {name!r}")

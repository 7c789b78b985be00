"""Config in, a running Headgate out: the only room that knows the concrete classes."""

from headgate.boot.app import create_app
from headgate.boot.serve import serve

__all__ = ["create_app", "serve"]

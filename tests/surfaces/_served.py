"""A whole Headgate on a real socket, answered by echo."""

import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

ADMIN = "the-admin-key-0123456789abcdef0123456789"
KEY = "alices-key-0123456789abcdef0123456789ab"
CONFIG = f"""
[providers.echo]
kind = "echo"
[models.assistant]
targets = ["echo/echo"]
[access]
anonymous = true
admin_key = "{ADMIN}"
api_keys = "{KEY}:alice:pro"
"""


def configured(folder: Path, more: str = "") -> Path:
    """A configuration file in the folder."""
    path = folder / "headgate.toml"
    path.write_text(CONFIG + more)
    return path


@contextmanager
def served(app: ASGIApp):
    """Serve an app from a thread; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()

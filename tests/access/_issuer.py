"""A real issuer of tokens: keys of every kind, and an HTTP server that publishes them."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

SECRET = "a test secret of more than thirty-two bytes"


def rsa_key(bits=2048):
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


# Making an RSA key takes long enough to share two of them among all tests.
RSA = rsa_key()
OTHER_RSA = rsa_key()
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()

_KINDS = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(key, kid, algorithm="RS256", **fields):
    return {**_KINDS[algorithm].to_jwk(key.public_key(), as_dict=True), "kid": kid, **fields}


def claims(**changes):
    """Claims of a good token; a claim set to None is left out."""
    now = int(time.time())
    said = {"sub": "ada", "exp": now + 600, "iat": now, **changes}
    return {name: value for name, value in said.items() if value is not None}


def token(key=SECRET, algorithm="HS256", headers=None, **changes):
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


class Published:
    """Serves a JWK set at `url`; counts the requests. `body`, `status`, `headers` and `hold` may be changed."""

    def __init__(self, *keys):
        self.hits = 0
        self.status = 200
        self.headers = {}
        self.hold = None
        self.publish(*keys)

    def publish(self, *keys):
        self.body = json.dumps({"keys": keys}).encode()

    def __enter__(self):
        published = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                published.hits += 1
                if published.hold is not None:
                    published.hold.wait(10)
                self.send_response(published.status)
                for name, value in {"Content-Length": str(len(published.body)), **published.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(published.body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks.json"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *_):
        if self.hold is not None:
            self.hold.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

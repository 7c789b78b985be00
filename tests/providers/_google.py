"""A service account of our own, and what Google's token endpoint would check of it."""

import json
from urllib.parse import parse_qs

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from headgate.testing import whole

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def account(token_uri, **fields):
    """The text of a key file."""
    said = {
        "type": "service_account",
        "project_id": "mine",
        "private_key_id": "key-1",
        "private_key": PEM,
        "client_email": "gate@mine.iam.gserviceaccount.com",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }
    return json.dumps(said | fields)


def token(text="ya29.first", seconds=3600):
    """The answer of the token endpoint."""
    said = {"access_token": text, "expires_in": seconds, "token_type": "Bearer"}
    return whole(json.dumps(said).encode())


def claims_of(request):
    """What the account stated, its signature checked; and the header of the statement."""
    form = parse_qs(request.body.decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    (assertion,) = form["assertion"]
    claims = jwt.decode(
        assertion, KEY.public_key(), ["RS256"], options={"verify_aud": False, "verify_exp": False, "verify_iat": False}
    )
    return claims, jwt.get_unverified_header(assertion)

"""The signed, expiring token that passes a closed gate in a cookie, as nginx's secure_link checks it. Pure."""

from __future__ import annotations

import base64
import hashlib

BYPASS_PATH = "/.graasp/bypass"


def bypass_token(secret: str, expiry: int) -> str:
    """`signature.expiry`; `expiry` in seconds since 1970. The expression is the one in nginx/templates."""
    # MD5 is what secure_link offers; the secret comes last, so that a known hash cannot be extended.
    digest = hashlib.md5(f"{expiry} graasp_bypass {secret}".encode()).digest()  # noqa: S324
    return f"{base64.urlsafe_b64encode(digest).decode().rstrip('=')}.{expiry}"


def bypass_link(public_url: str, secret: str, expiry: int) -> str:
    """The address that sets the cookie."""
    return f"{public_url.rstrip('/')}{BYPASS_PATH}?token={bypass_token(secret, expiry)}"

"""Which version of the engine's API is spoken: the one chosen, else the one that the engine says it has.

An engine turns a version away that is older than its oldest (Engine 29.0 to 29.2: 1.44; any with
DOCKER_MIN_API_VERSION) or newer than its newest, and names its newest in every answer. So the first question is asked
by the chosen version, and only one that was turned away is asked again. Imports nothing heavy: `status` waits for it.
"""

from __future__ import annotations

import socket

from graasp_local.engine import plain_http
from graasp_local.engine.addresses import API_VERSION

_WORDS = ("client version", "api version")
_LONGEST_PING_BYTES = 65536

_found: dict[str, str] = {}
"""By address, where it is not the chosen one; an engine does not change under a command."""


def ask(address: str, path: str, timeout: float, longest: int) -> plain_http.Answer:
    """What the engine at a `unix://` address answers to a GET. Raises OSError or NotHttpError."""
    answer = _get(address, _found.get(address, API_VERSION), path, timeout, longest)
    other = answer.headers.get("api-version", "")
    if answer.status == 400 and other and _is_about_the_version(answer.body) and other != _found.get(address):
        _found[address] = other
        answer = _get(address, other, path, timeout, longest)
    return answer


def wanted_version(address: str, timeout: float) -> str:
    """The version to speak at a `unix://` address; the chosen one where nobody answers, which is told when asked."""
    try:
        ask(address, "/_ping", timeout, _LONGEST_PING_BYTES)
    except (OSError, plain_http.NotHttpError):
        return API_VERSION
    return _found.get(address, API_VERSION)


def _get(address: str, version: str, path: str, timeout: float, longest: int) -> plain_http.Answer:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(address.removeprefix("unix://"))
        return plain_http.get(connection, "docker", f"/v{version}{path}", {}, longest)


def _is_about_the_version(body: str) -> bool:
    return any(words in body.lower() for words in _WORDS)

"""Which version of the engine's API to speak: the preferred one, or else the one that the engine reports.

An engine rejects a version that is older than its oldest (Engine 29.0 to 29.2: 1.44; any with DOCKER_MIN_API_VERSION)
or newer than its newest, and names its newest in every answer. So the first request uses the preferred version, and is
repeated only if it was rejected. Imports nothing heavy, because `status` waits for it.
"""

from __future__ import annotations

import socket

from graasp_local.engine.reach import plain_http
from graasp_local.engine.reach.addresses import API_VERSION

_WORDS = ("client version", "api version")
_LONGEST_PING_BYTES = 65536

_found: dict[str, str] = {}
"""By address, where it is not the preferred version; an engine does not change while a command runs."""


def ask(address: str, path: str, timeout: float, longest: int) -> plain_http.Answer:
    """The answer to a GET of the engine at a `unix://` address. Raises OSError or NotHttpError."""
    answer = _get(address, _found.get(address, API_VERSION), path, timeout, longest)
    other = answer.headers.get("api-version", "")
    if answer.status == 400 and other and _is_about_the_version(answer.body) and other != _found.get(address):
        _found[address] = other
        answer = _get(address, other, path, timeout, longest)
    return answer


def wanted_version(address: str, timeout: float) -> str:
    """The version to speak at a `unix://` address; the preferred one if the engine does not answer.

    The next request then raises the error.
    """
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

"""A connection to the Docker engine that this user's docker command would use.

DOCKER_HOST wins, then DOCKER_CONTEXT, then the current context, then the default socket: as with the docker command.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graasp_local.errors import EngineUnreachable

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT_SECONDS = 120


def connect() -> DockerClient:
    """A client that has not been used yet. Raises EngineUnreachable for an address that makes no sense."""
    import docker
    from docker.errors import DockerException

    with engine_errors():
        try:
            host = os.environ.get("DOCKER_HOST") or _context_host()
            if host and not os.environ.get("DOCKER_HOST"):
                return docker.DockerClient(base_url=host, version="1.43", timeout=_TIMEOUT_SECONDS)
            return docker.from_env(version="1.43", timeout=_TIMEOUT_SECONDS)
        except (DockerException, ValueError) as error:
            raise unreachable(str(error)) from error


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn a lost or refused connection to the engine into EngineUnreachable; other errors pass."""
    import requests

    try:
        yield
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout, ConnectionError) as error:
        raise unreachable(str(error)) from error


def unreachable(reason: str) -> EngineUnreachable:
    """The error for an engine that does not answer."""
    context = os.environ.get("DOCKER_CONTEXT")
    where = os.environ.get("DOCKER_HOST") or (f"the docker context {context}" if context else "the default socket")
    detail = next((text for text in ("No such file", "Permission denied", "Connection refused") if text in reason), "")
    return EngineUnreachable(
        f"No Docker engine answers at {where}{f' ({detail.lower()})' if detail else ''}.",
        "Nothing is known about the site just now, and nothing was changed.",
        "Start the engine (systemctl start docker, or scripts/ensure-engine in a checkout), or set DOCKER_HOST.",
    )


def engine_host() -> str:
    """The host on which published ports are reached from here."""
    from urllib.parse import urlsplit

    parts = urlsplit(os.environ.get("DOCKER_HOST", ""))
    return parts.hostname if parts.scheme in ("tcp", "ssh", "http", "https") and parts.hostname else "127.0.0.1"


def is_on_this_machine() -> bool:
    """Whether the engine's disk and ports are this machine's."""
    return engine_host() in ("127.0.0.1", "localhost")


def _context_host() -> str | None:
    name = os.environ.get("DOCKER_CONTEXT")
    from docker.context import ContextAPI

    context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    if context is None:
        raise ValueError(f"there is no docker context {name}")
    return context.Host or None

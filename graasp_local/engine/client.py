"""A connection to the Docker engine by the docker SDK, for everything but the listing of containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graasp_local.engine.addresses import API_VERSION, engine_address, unreachable
from graasp_local.errors import NeedsYou

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT_SECONDS = 120


def connect() -> DockerClient:
    """A client that has not been used yet. Raises EngineUnreachable for an address that makes no sense."""
    import docker
    from docker.errors import DockerException

    with engine_errors():
        try:
            if os.environ.get("DOCKER_HOST"):
                # It comes with DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.
                return docker.from_env(version=API_VERSION, timeout=_TIMEOUT_SECONDS)
            return docker.DockerClient(base_url=engine_address(), version=API_VERSION, timeout=_TIMEOUT_SECONDS)
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


@contextmanager
def engine_refusals() -> Iterator[None]:
    """The same, and NeedsYou for what the engine would not do."""
    from docker.errors import APIError

    with engine_errors():
        try:
            yield
        except APIError as error:
            raise NeedsYou(f"The engine refused: {error.explanation or error}.") from error

"""A connection to the Docker engine through the docker SDK, for everything but the list of containers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TypeVar

from graasp_local.engine.reach.addresses import engine_address, lacks_leader, refused, unreachable
from graasp_local.engine.reach.api_version import wanted_version
from graasp_local.engine.reach.login import refuse_odd_file, unusable_file
from graasp_local.errors import NeedsYou

if TYPE_CHECKING:
    from docker import DockerClient

_TIMEOUT_SECONDS = 120
Item = TypeVar("Item")


class Connected(Protocol):
    """What has a connection to the engine."""

    @property
    def client(self) -> DockerClient: ...


def connect(patience: int = _TIMEOUT_SECONDS) -> DockerClient:
    """A client that has not been used yet, and that waits `patience` seconds for an answer.

    Raises EngineUnreachable for an invalid address.
    """
    import docker
    from docker.errors import DockerException, InvalidConfigFile

    refuse_odd_file()
    with engine_errors():
        try:
            address = engine_address()
            # For TCP and ssh the SDK itself asks the engine for its version when the client is created.
            version = wanted_version(address, _TIMEOUT_SECONDS) if address.startswith("unix://") else "auto"
            if os.environ.get("DOCKER_HOST"):
                # from_env also reads DOCKER_TLS_VERIFY and DOCKER_CERT_PATH.
                client = docker.from_env(version=version, timeout=patience)
            else:
                client = docker.DockerClient(base_url=address, version=version, timeout=patience)
            if address.startswith("unix://"):
                # There is no proxy between us and a socket, and looking for one costs a third of a request.
                client.api.trust_env = False
            return client
        except InvalidConfigFile as error:
            raise unusable_file(str(error)) from error
        except (DockerException, ValueError) as error:
            raise unreachable(str(error)) from error


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn a lost or refused connection to the engine, and its refusals, into EngineUnreachable with its own words."""
    import requests
    from docker.errors import APIError

    try:
        yield
    except APIError as error:  # also an OSError, but not a lost connection
        raise refused(error.status_code or 0, str(error.explanation or error)) from error
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout, ConnectionError) as error:
        raise unreachable(str(error)) from error


def headers_of(client: DockerClient) -> dict[str, str]:
    """The headers that the engine sends with every answer, by lower-case name."""
    answer = client.api.get(f"{client.api.base_url}/_ping", timeout=_TIMEOUT_SECONDS)
    return {name.lower(): value for name, value in answer.headers.items()}


@contextmanager
def engine_refusals() -> Iterator[None]:
    """Like `engine_errors`, but raises NeedsYou for what the engine refuses to do."""
    from docker.errors import APIError

    with engine_errors():
        try:
            yield
        except APIError as error:
            said = str(error.explanation or error)
            if lacks_leader(said):  # it would refuse anything now
                raise
            raise NeedsYou(f"The engine refused: {said}.") from error


def together(call: Callable[[Item], object], items: Sequence[Item]) -> None:
    """One engine call for each item, all at the same time; raises the first exception, if any, once all have ended.

    If the interpreter is already shutting down, one after the other: it no longer starts threads.
    """
    if not items:
        return
    with ThreadPoolExecutor(len(items)) as pool:
        try:
            calls = [pool.submit(call, item) for item in items]
        except RuntimeError:  # raised for the first one: nothing was called
            calls = []
    if not calls:
        for item in items:
            call(item)
    for done in calls:
        done.result()

"""A container that is created to read something from an image or a volume, never started, and removed again.

What a killed process left behind is removed by the next process that needs a temporary container.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker import DockerClient

PURPOSE_LABEL = "org.graasp.purpose"
BORROWER_LABEL = "org.graasp.borrower"
"""Host and process id of the process that reads from it."""


@contextmanager
def temporary_container(client: DockerClient, image: str, purpose: str, **options: Any) -> Iterator[str]:
    """The id of a container of the image; `options` as for the docker SDK. Raises the SDK's exceptions."""
    reap_orphans(client)
    container = client.api.create_container(image, labels=labels_for(purpose), **options)
    try:
        yield container["Id"]
    finally:
        client.api.remove_container(container["Id"], force=True)


def labels_for(purpose: str) -> dict[str, str]:
    """Labels that name the owner of a container, so that `reap_orphans` knows when it is no longer needed."""
    return {PURPOSE_LABEL: purpose, BORROWER_LABEL: f"{socket.gethostname()}:{os.getpid()}"}


def reap_orphans(client: DockerClient) -> None:
    """Remove containers that were never started and whose process, on this machine, has ended."""
    from docker.errors import APIError

    for container in client.api.containers(all=True, filters={"label": BORROWER_LABEL, "status": "created"}):
        host, _, process = container["Labels"][BORROWER_LABEL].rpartition(":")
        # Processes of other machines cannot be checked here.
        if host == socket.gethostname() and process.isdigit() and not _is_alive(int(process)):
            with suppress(APIError):  # another process has removed it
                client.api.remove_container(container["Id"], force=True)


def _is_alive(process: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(process))

"""A container that is made to read something out of an image or a volume, never started, and taken away again.

What a process that was killed in that moment left behind is taken away by the next one that needs such a container.
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
"""Host and process id of whoever reads from it."""


@contextmanager
def temporary_container(client: DockerClient, image: str, purpose: str, **options: Any) -> Iterator[str]:
    """The id of a container of the image; `options` as for the docker SDK. Raises what the SDK raises."""
    reap_orphans(client)
    container = client.api.create_container(image, labels=labels_for(purpose), **options)
    try:
        yield container["Id"]
    finally:
        client.api.remove_container(container["Id"], force=True)


def labels_for(purpose: str) -> dict[str, str]:
    """What says of a container whose it is, so that `reap_orphans` knows when nobody needs it any more."""
    return {PURPOSE_LABEL: purpose, BORROWER_LABEL: f"{socket.gethostname()}:{os.getpid()}"}


def reap_orphans(client: DockerClient) -> None:
    """Remove containers that were made and never started by processes of this machine that are no more."""
    from docker.errors import APIError

    for container in client.api.containers(all=True, filters={"label": BORROWER_LABEL, "status": "created"}):
        host, _, process = container["Labels"][BORROWER_LABEL].rpartition(":")
        # Of another machine's processes nothing is known here.
        if host == socket.gethostname() and process.isdigit() and not _is_alive(int(process)):
            with suppress(APIError):  # somebody else has taken it away meanwhile
                client.api.remove_container(container["Id"], force=True)


def _is_alive(process: int) -> bool:
    import psutil

    return bool(psutil.pid_exists(process))

"""Which programs that a service calls are missing from its image, without starting it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graasp_local.engine.containers.temporary import temporary_container
from graasp_local.images.recipes import PROGRAMS

if TYPE_CHECKING:
    from docker import DockerClient

_DIRECTORIES = ("/usr/bin", "/usr/local/bin", "/bin")

_known: dict[tuple[str, str], tuple[str, ...]] = {}
"""By service and image id: the content of an image id never changes."""


def lacking_programs(client: DockerClient, service: str, image_id: str) -> tuple[str, ...]:
    """The programs that this service calls and the image lacks. Raises the docker SDK's exceptions."""
    if service not in PROGRAMS:
        return ()
    if (service, image_id) not in _known:
        with temporary_container(client, image_id, "look-for-programs") as container:
            lacking = tuple(name for name in PROGRAMS[service] if not _has(client, container, name))
        _known[service, image_id] = lacking
    return _known[service, image_id]


def _has(client: DockerClient, container: str, program: str) -> bool:
    from docker.errors import NotFound

    for directory in _DIRECTORIES:
        try:
            stream, _ = client.api.get_archive(container, f"{directory}/{program}")
        except NotFound:
            continue
        stream.close()  # only its existence matters
        return True
    return False

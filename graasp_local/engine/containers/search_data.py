"""The version of Meilisearch that wrote the data mounted in a container of it, running or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graasp_local.engine.containers.inside import text_of_file
from graasp_local.engine.reach.client import engine_errors

if TYPE_CHECKING:
    from docker import DockerClient

_DIRECTORY = "/meili_data"


def search_volume(container: Mapping[str, Any]) -> str:
    """The volume of its data; empty if there is none."""
    mounts = (mount for mount in container["Mounts"] if mount.get("Destination") == _DIRECTORY)
    return next((str(mount.get("Name", "")) for mount in mounts), "")


def written_by(client: DockerClient, container: str) -> str:
    """The version, such as `1.8.4`; empty if there is no data yet."""
    from docker.errors import NotFound

    with engine_errors():
        try:
            chunks, _ = client.api.get_archive(container, f"{_DIRECTORY}/data.ms/VERSION")
        except NotFound:
            return ""
        return text_of_file(chunks)

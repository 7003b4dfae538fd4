"""Uploaded files in a volume that every machine of a Swarm has: the proof that it is the same one everywhere.

The front machine writes a token into the volume, for a job on every machine to read there.
"""

from __future__ import annotations

import io
import secrets
import tarfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.engine.containers.temporary import temporary_container
from graasp_local.engine.reach.client import engine_refusals
from graasp_local.stack.on_swarm import FILES_VOLUME, shared_volume

if TYPE_CHECKING:
    from docker import DockerClient

_VOLUME_LABEL = "com.docker.compose.volume"
_MARK = ".graasp-local-shared"
_THERE = "/shared"
_LOOK = """
tries=0
while [ $tries -lt 10 ]; do
  [ "$(cat "$0" 2>/dev/null)" = "$1" ] && exit 0
  tries=$((tries + 1)); sleep 1
done
exit 1
"""
"""A network's file system may take a moment to show a new file."""


def job_that_looks(client: DockerClient, config: Mapping[str, Any], project: str, image: str) -> dict[str, Any]:
    """Write a new token into the volume, and return the container of a job that looks for it."""
    mount = shared_volume(config, _THERE)
    token, options = secrets.token_hex(16), mount["VolumeOptions"]["DriverConfig"]
    with engine_refusals():
        client.api.create_volume(
            mount["Source"],
            driver=options["Name"],
            driver_opts=options["Options"],
            labels={PROJECT_LABEL: project, _VOLUME_LABEL: FILES_VOLUME},
        )
        host = client.api.create_host_config(binds=[f"{mount['Source']}:{_THERE}"])
        with temporary_container(client, image, "shared-files", command=["true"], host_config=host) as container:
            client.api.put_archive(container, _THERE, _packed(token.encode()))
    return {"Image": image, "Command": ["sh", "-c", _LOOK, f"{_THERE}/{_MARK}", token], "Mounts": [mount]}


def _packed(token: bytes) -> bytes:
    buffer, member = io.BytesIO(), tarfile.TarInfo(_MARK)
    member.size, member.mode = len(token), 0o644
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(member, io.BytesIO(token))
    return buffer.getvalue()

"""What this machine's own files and ports would answer, asked through the engine of another machine.

A container sees that machine's disk and memory. Only the engine can tell whether a port is free, by publishing it for a
container whose program does not exist, so that nothing is run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from graasp_local.engine.containers.inside import run_inside
from graasp_local.engine.containers.temporary import temporary_container

if TYPE_CHECKING:
    from docker import DockerClient

_NO_PROGRAM = "/graasp-local-asks-for-a-port"
_TAKEN = ("already in use", "already allocated")
_NOT_ITS_ADDRESS = "cannot assign requested address"


def free_bytes(client: DockerClient, containers: Sequence[Mapping[str, Any]]) -> int | None:
    """How much the engine's disk has free, by `df` in one of the running containers; None if none can tell."""
    said = _in_any(client, containers, ["df", "-Pk", "/"])
    fields = said.splitlines()[-1].split() if said else []
    return int(fields[3]) * 1024 if len(fields) == 6 and fields[3].isdigit() else None


def memory_info(client: DockerClient, containers: Sequence[Mapping[str, Any]]) -> str:
    """The text of the machine's /proc/meminfo; empty if none of the containers can tell."""
    return _in_any(client, containers, ["cat", "/proc/meminfo"])


def port_problem(client: DockerClient, address: str, port: int) -> str | None:
    """Why the engine cannot publish a port, as a predicate; None if nothing prevents it, or it cannot be asked yet."""
    from docker.errors import APIError

    images = client.api.images(quiet=True)
    if not images:
        return None
    host = client.api.create_host_config(port_bindings={port: (address, port)})
    options = {"entrypoint": [_NO_PROGRAM], "command": [], "ports": [port], "host_config": host}
    with temporary_container(client, images[0], "port", **options) as container:
        try:
            client.api.start(container)
        except APIError as error:
            said = str(error.explanation or error)
            if any(words in said for words in _TAKEN):
                return "is in use by another program on the engine's machine"
            if _NOT_ITS_ADDRESS in said:
                return f"cannot be opened: {address} is not an address of the engine's machine"
    return None


def _in_any(client: DockerClient, containers: Sequence[Mapping[str, Any]], command: list[str]) -> str:
    from docker.errors import APIError

    for container in containers:
        if container["State"] == "running":
            with suppress(APIError):  # its image may lack the program, or it has ended since
                code, said = run_inside(client, container["Id"], command, stderr=False)
                if code == 0:
                    return said.decode(errors="replace")
    return ""

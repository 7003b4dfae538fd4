"""The command lines of a container's processes, from the engine or from a command inside the container.

An engine without control groups, as a rootless one often is, cannot tell which processes are a container's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graasp_local.engine.inside import run_inside

if TYPE_CHECKING:
    from docker import DockerClient

_COMMAND = ["sh", "-c", r"for file in /proc/[0-9]*/cmdline; do tr '\0' ' ' <$file; echo; done 2>/dev/null"]


def processes_of(client: DockerClient, container: str) -> tuple[str, ...]:
    """One line for each process. Raises docker's APIError if the container does not run."""
    from docker.errors import APIError

    try:
        lines = [row[-1] for row in client.api.top(container)["Processes"] or ()]
    except APIError:
        _, written = run_inside(client, container, _COMMAND)
        lines = written.decode(errors="replace").splitlines()
    return tuple(" ".join(line.split()) for line in lines)

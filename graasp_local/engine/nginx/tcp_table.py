"""A container's table of TCP connections: from this machine's /proc if possible, otherwise from a command inside it.

The command takes several times as long, and this runs behind the closed gate. A process with the same number that is
not the container's, as with a remote engine, is rejected: the kernel says to which container a process belongs. A table
without a listener is rejected too, as in a sandbox whose network is not the kernel's: nginx listens.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graasp_local.engine.containers.inside import run_inside
from graasp_local.engine.nginx.connections import is_of_nginx

if TYPE_CHECKING:
    from docker import DockerClient

PROC = Path("/proc")


def tcp_table(client: DockerClient, container: str) -> str:
    """The text of /proc/net/tcp inside a running container, which is given by its full id."""
    process = int(client.api.inspect_container(container)["State"]["Pid"])
    table = table_of_process(process, container)
    return table_by_command(client, container) if table is None else table


def table_by_command(client: DockerClient, container: str) -> str:
    """The same, read by a command inside; the container must have `cat`."""
    return run_inside(client, container, ["cat", "/proc/net/tcp"])[1].decode()


def table_of_process(process: int, container: str, proc: Path = PROC) -> str | None:
    """The table as a process sees it; None unless the process belongs to this container and is readable."""
    directory = proc / str(process)
    try:
        if container not in (directory / "cgroup").read_text():
            return None
        table = (directory / "net" / "tcp").read_text()
    except OSError:
        return None
    return table if is_of_nginx(table) else None

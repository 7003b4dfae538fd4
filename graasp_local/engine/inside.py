"""What is inside a container: commands run there, above all in nginx's, and small files."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from graasp_local.engine.client import engine_errors
from graasp_local.planning.states import ServiceGroup
from graasp_local.stack.services import GROUP_LABEL

if TYPE_CHECKING:
    from docker import DockerClient

    from graasp_local.engine.docker_engine import DockerEngine


def run_inside(client: DockerClient, container: str, command: Sequence[str] | str, **options: Any) -> tuple[int, bytes]:
    """The exit code and output of a command; -1 if the engine does not tell. `options` are those of `exec_create`.

    Raises docker's APIError if the container does not run or lacks the program.
    """
    made = client.api.exec_create(container, command if isinstance(command, str) else [*command], **options)
    said: bytes = client.api.exec_start(made["Id"])
    code = client.api.exec_inspect(made["Id"])["ExitCode"]
    return -1 if code is None else int(code), said


def running_edge(containers: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The container of nginx among these; None while it is not running."""
    for container in containers:
        if container["Labels"].get(GROUP_LABEL) == ServiceGroup.EDGE and container["State"] == "running":
            return container
    return None


def in_nginx(engine: DockerEngine, command: Sequence[str], **options: Any) -> tuple[int, str]:
    """As `run_inside`, in nginx's container; exit code 1 and no output while it is not running."""
    edge = running_edge(engine.containers())
    if edge is None:
        return 1, ""
    with engine_errors():
        code, said = run_inside(engine.client, edge["Id"], command, **options)
    return code, said.decode(errors="replace")


def text_of_file(chunks: Iterable[bytes]) -> str:
    """The beginning of a small file, from what the engine's `get_archive` sent; empty if it is not a file."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        for member in tar:
            stream = tar.extractfile(member)
            return stream.read(64).decode(errors="replace").strip() if stream else ""
    return ""

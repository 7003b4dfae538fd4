"""What is inside a container: commands run there, above all in nginx's, and small files."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from graasp_local.engine.reach.client import Connected, engine_errors
from graasp_local.planning.states import ServiceGroup
from graasp_local.stack.services import GROUP_LABEL

if TYPE_CHECKING:
    from docker import DockerClient


class SiteContainers(Connected, Protocol):
    """What knows the containers of a site."""

    def containers(self) -> list[dict[str, Any]]: ...


_HEADER_BYTES = 8


def run_inside(client: DockerClient, container: str, command: Sequence[str] | str, **options: Any) -> tuple[int, bytes]:
    """The exit code and output of a command; -1 if the engine does not tell. `options` are those of `exec_create`.

    Raises docker's APIError if the container does not run or lacks the program.
    """
    made = client.api.exec_create(container, command if isinstance(command, str) else [*command], **options)
    written = _written_by(client, made["Id"])
    code = client.api.exec_inspect(made["Id"])["ExitCode"]
    return -1 if code is None else int(code), written


def _written_by(client: DockerClient, command: str) -> bytes:
    """What a command that was created writes, stdout and stderr together. Raises docker's APIError.

    The SDK's exec_start asks the engine to switch protocols, and then reads from the socket itself. What arrives
    together with the head of the answer is in the HTTP client's buffer by then, and is lost (docker-py issue 3332):
    13 of 300 answers on a busy machine. The body of an ordinary answer is read through that buffer.
    """
    from docker.errors import create_api_error_from_http_exception
    from requests.exceptions import HTTPError

    api = client.api
    address = f"{api.base_url}/v{api.api_version}/exec/{command}/start"
    # A command may be silent for as long as it likes.
    answer = api.post(address, json={"Detach": False, "Tty": False}, timeout=(api.timeout, None))
    try:
        answer.raise_for_status()
    except HTTPError as error:
        create_api_error_from_http_exception(error)
    return b"".join(_frames(answer.content))


def _frames(stream: bytes) -> Iterator[bytes]:
    """The contents of a stream's frames: each is preceded by 8 bytes, of which the last 4 are its length."""
    start = 0
    while start + _HEADER_BYTES <= len(stream):
        begin = start + _HEADER_BYTES
        start = begin + int.from_bytes(stream[begin - 4 : begin], "big")
        yield stream[begin:start]


def running_edge(containers: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The container of nginx among these; None while it is not running."""
    for container in containers:
        if container["Labels"].get(GROUP_LABEL) == ServiceGroup.EDGE and container["State"] == "running":
            return container
    return None


def in_nginx(engine: SiteContainers, command: Sequence[str], **options: Any) -> tuple[int, str]:
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

"""What the doctor asks the engine: about itself, about what is left over, about the data directory of Postgres.

Looks only. A question that cannot be answered raises a GraaspLocalError whose first sentence says why.
"""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graasp_local.doctor_ports import EngineInfo, PostgresMajors, Registry
from graasp_local.engine.addresses import is_on_this_machine
from graasp_local.engine.client import connect, engine_errors
from graasp_local.engine.docker_engine import free_bytes
from graasp_local.engine.listing import PROJECT_LABEL, containers_of
from graasp_local.engine.observe import ONE_OFF_LABEL, SERVICE_LABEL
from graasp_local.engine.registry import split_repository
from graasp_local.errors import NeedsYou
from graasp_local.server import major_of_image
from graasp_local.stack import GROUP_LABEL

if TYPE_CHECKING:
    from docker import DockerClient

_VOLUME_LABEL = "com.docker.compose.volume"
_PURPOSE_LABEL = "org.graasp.purpose"
_YOUNG_SECONDS = 600.0


class DockerDiagnosis:
    """The engine as one site sees it, by its Compose project."""

    def __init__(self, project: str, data_directory: str = "/var/lib/postgresql/data") -> None:
        self._project = project
        self._version_file = f"{data_directory}/PG_VERSION"

    def info(self) -> EngineInfo:
        with engine_errors():
            client = connect()
            version = client.api.version(api_version=False)
            told: dict[str, Any] = client.api.info()
        free = free_bytes(Path(told["DockerRootDir"])) if is_on_this_machine() else None
        return EngineInfo(version["Version"], f"{version['Os']}/{version['Arch']}", int(told["MemTotal"]), free)

    def registry(self, image: str) -> Registry:
        """How the registry answers for an image, asked with the login of this user, as a pull would be."""
        from docker.errors import APIError

        host, _ = split_repository(image)
        try:
            with engine_errors():
                connect().api.inspect_distribution(image)  # type: ignore[no-untyped-call]
        except APIError as error:
            text = str(error.explanation or error).lower()
            if "403" in text or "forbidden" in text:
                return Registry(host, refuses=True)
            if not any(word in text for word in ("not found", "unknown", "denied", "unauthorized")):
                raise NeedsYou(f"{host} does not answer.") from error
        return Registry(host, refuses=False)

    def leftovers(self, services: Collection[str]) -> tuple[str, ...]:
        """Containers of the project that are of none of these services, and those that a walk should have removed."""
        names = []
        for container in containers_of(self._project):
            labels = container["Labels"]
            ended_one_off = labels.get(ONE_OFF_LABEL) == "True" and container["State"] == "exited"
            if ended_one_off or labels.get(SERVICE_LABEL) not in services:
                names.append(container["Names"][0].lstrip("/"))
        with engine_errors():
            made_to_read = connect().api.containers(all=True, filters={"label": _PURPOSE_LABEL, "status": "created"})
        # Without the label of a project, since they are never started: a young one may be another site's, at work.
        old = time.time() - _YOUNG_SECONDS
        names += [container["Names"][0].lstrip("/") for container in made_to_read if container["Created"] < old]
        return tuple(sorted(names))

    def volumes_but(self, defined: Collection[str]) -> tuple[str, ...]:
        """Volumes that Compose made for the project under other names than these."""
        with engine_errors():
            found = connect().api.volumes(filters={"label": f"{PROJECT_LABEL}={self._project}"})["Volumes"] or []
        return tuple(sorted(v["Name"] for v in found if (v["Labels"] or {}).get(_VOLUME_LABEL) not in defined))

    def postgres_majors(self, image: str) -> PostgresMajors:
        """What wrote the data directory, read from the container of the database, and what the image would start."""
        for container in containers_of(self._project):
            if container["Labels"].get(GROUP_LABEL) == "database":
                with engine_errors():
                    client = connect()
                    return PostgresMajors(self._major_of_data(client, container["Id"]), _major_of(client, image))
        raise NeedsYou("there is no container of the database yet")

    def _major_of_data(self, client: DockerClient, container: str) -> int:
        from docker.errors import APIError

        try:
            chunks, _ = client.api.get_archive(container, self._version_file)
        except APIError as error:
            raise NeedsYou("the database has no data directory yet") from error
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
            file = tar.extractfile("PG_VERSION")
            text = file.read().decode() if file else ""
        if not text.strip().isdigit():
            raise NeedsYou(f"the data directory says that it is of Postgres {text.strip() or '(nothing)'}")
        return int(text)


def _major_of(client: DockerClient, image: str) -> int:
    """By the variable that the official image has, else by the image's tag."""
    from docker.errors import APIError

    try:
        environment = client.api.inspect_image(image)["Config"]["Env"]  # type: ignore[no-untyped-call]
    except APIError:
        environment = []
    said = dict(variable.partition("=")[::2] for variable in environment).get("PG_MAJOR", "")
    major = int(said) if said.isdigit() else major_of_image(image)
    if major is None:
        raise NeedsYou(f"which Postgres is in {image} is not known")
    return major

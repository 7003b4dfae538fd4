"""What the doctor asks the engine: about itself, about its registry, about leftovers.

Read-only. A question that cannot be answered raises a GraaspLocalError whose first sentence says why.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from graasp_local.engine.containers.of_project import PROJECT_LABEL, containers_of
from graasp_local.engine.containers.services import ONE_OFF_LABEL, SERVICE_LABEL
from graasp_local.engine.containers.temporary import PURPOSE_LABEL
from graasp_local.engine.images.refusals import Refusal, refusal
from graasp_local.engine.images.registry import split_repository
from graasp_local.engine.reach.addresses import engine_address, is_on_this_machine, not_podman
from graasp_local.engine.reach.client import connect, engine_errors, headers_of
from graasp_local.engine.reach.clock import ahead_by
from graasp_local.engine.reach.login import login_for
from graasp_local.engine.reach.rootless import ends_with_session_of, limits_memory, lowest_port
from graasp_local.engine.site.docker_engine import disk_of
from graasp_local.errors import NeedsYou
from graasp_local.ports.doctor import EngineInfo, Registry

_VOLUME_LABEL = "com.docker.compose.volume"
_YOUNG_SECONDS = 600.0


class DockerDiagnosis:
    """The engine as one site sees it, through its Compose project."""

    def __init__(self, project: str) -> None:
        self._project = project

    def info(self) -> EngineInfo:
        with engine_errors():
            client = connect()
            not_podman(headers_of(client))
            version = client.api.version(api_version=False)
            told: dict[str, Any] = client.api.info()
            free = disk_of(client, containers_of(self._project), told)
        platform = f"{version['Os']}/{version['Arch']}"
        is_here = is_on_this_machine()
        return EngineInfo(
            version["Version"],
            platform,
            int(told["MemTotal"]),
            free,
            lowest_port(told) if is_here else 0,
            ends_with_session_of(told, engine_address()) if is_here else "",
            limits_memory(told),
        )

    def registry(self, image: str) -> Registry:
        """How the registry answers for an image when asked with this user's login, as a pull would be."""
        from docker.errors import APIError

        host, _ = split_repository(image)
        said = ""
        with engine_errors():
            try:
                with login_for(image):
                    connect().api.inspect_distribution(image)  # type: ignore[no-untyped-call]
            except APIError as error:
                said = str(error.explanation or error)
        if said:
            match refusal(said):
                case Refusal.FORBIDDEN:
                    return Registry(host, refuses=True)
                case Refusal.NO_ANSWER | Refusal.OTHER:
                    raise NeedsYou(f"{host} does not answer.")
                case Refusal.WANTS_LOGIN | Refusal.TOO_MANY | Refusal.MISSING:
                    pass  # it knows this user, or treats the user as anonymous; the image checks report what that means
        return Registry(host, refuses=False)

    def leftovers(self, services: Collection[str]) -> tuple[str, ...]:
        """Containers of the project that belong to none of these services, or that an operation should have removed."""
        names = []
        for container in containers_of(self._project):
            labels = container["Labels"]
            ended_one_off = labels.get(ONE_OFF_LABEL) == "True" and container["State"] == "exited"
            if ended_one_off or labels.get(SERVICE_LABEL) not in services:
                names.append(container["Names"][0].lstrip("/"))
        with engine_errors():
            made_to_read = connect().api.containers(all=True, filters={"label": PURPOSE_LABEL, "status": "created"})
        # They are never started and have no project label: a recent one may belong to another site's running operation.
        ahead = 0.0 if is_on_this_machine() else ahead_by(connect().api.info)
        old = time.time() + ahead - _YOUNG_SECONDS
        names += [container["Names"][0].lstrip("/") for container in made_to_read if container["Created"] < old]
        return tuple(sorted(names))

    def volumes_but(self, defined: Collection[str]) -> tuple[str, ...]:
        """Volumes that Compose created for the project under other names than these."""
        with engine_errors():
            found = connect().api.volumes(filters={"label": f"{PROJECT_LABEL}={self._project}"})["Volumes"] or []
        return tuple(sorted(v["Name"] for v in found if (v["Labels"] or {}).get(_VOLUME_LABEL) not in defined))

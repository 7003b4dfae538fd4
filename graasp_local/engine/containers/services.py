"""From the engine's list of containers to observed services: one API call, whatever the number of containers.

Pure, except that its input is the dictionaries of `GET /containers/json`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from graasp_local.planning.server import major_of_image
from graasp_local.planning.states import Health, ObservedService, Replica, ServiceGroup, Status
from graasp_local.ports.observation import ObservedServices
from graasp_local.site.site import Site
from graasp_local.stack.on_swarm import SWARM_SERVICES
from graasp_local.stack.services import (
    GROUP_LABEL,
    NETWORKS_LABEL,
    OPTIONAL_LABEL,
    SETTINGS_LABEL,
    VERSION_LABEL,
    ServiceDefinition,
)

SERVICE_LABEL = "com.docker.compose.service"
DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
ENV_FILES_LABEL = "com.docker.compose.project.environment_file"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
NUMBER_LABEL = "com.docker.compose.container-number"
NODE_LABEL = "org.graasp.node"
"""The machine of a Swarm that a task runs on; only in what is observed."""
HANDOVER_LABEL = "org.graasp.handover"
"""Marks a second container that stands in for a service while it is replaced."""

# Of several containers of one service, the worst determines the service's status.
_WORST_FIRST = (
    Status.DEAD,
    Status.RESTARTING,
    Status.REMOVING,
    Status.PAUSED,
    Status.EXITED,
    Status.CREATED,
    Status.RUNNING,
)


_WORST_HEALTH_FIRST = (Health.UNHEALTHY, Health.STARTING, Health.HEALTHY, Health.NONE)

_ON_EVERY_SITE = ("nginx", "redis")
"""Services that every site has, on the networks that differ between one machine and several."""

_NONE: Mapping[str, str] = MappingProxyType({})
_AS_DEFINED: Mapping[str, int] = MappingProxyType({})


def observed_on(site: Site, containers: Sequence[Mapping[str, Any]]) -> ObservedServices:
    """The services of a site, from the engine's list of its containers. Raises ConfigurationError."""
    version = str(site.selected_version or "")
    directory, replicas = str(site.directory), site.settings.replicas
    found = observed(containers, site.services, site.settings_digests, directory, site.built_images, version, replicas)
    services = [_with_database_image(site, service) for service in found.services]
    if not version:
        # What a first deployment that failed has left behind does not make the site one of that version.
        services = [replace(service, version="") if service.is_off else service for service in services]
    return replace(
        found,
        services=tuple(services),
        other_networks=has_other_networks(containers, on_swarm=site.settings.swarm is not None),
    )


def has_other_networks(containers: Iterable[Mapping[str, Any]], *, on_swarm: bool) -> bool:
    """Whether SWARM was switched since these were created: networks of one machine do not reach others."""
    for container in containers:
        service, labels = container["Labels"].get(SERVICE_LABEL), container["Labels"]
        if service in _ON_EVERY_SITE and labels.get(ONE_OFF_LABEL) != "True":
            if (labels.get(NETWORKS_LABEL) == "overlay") != on_swarm:
                return True
        elif service in SWARM_SERVICES and HANDOVER_LABEL not in labels and (NODE_LABEL in labels) != on_swarm:
            return True
    return False


def _with_database_image(site: Site, service: ObservedService) -> ObservedService:
    """Outdated if `.env` names another image than the database runs on, unless their tags say other major versions.

    Apart from that, only a change of what the override says about it makes the database outdated: its settings apply
    only to an empty data directory. `apply` does not start another major version, and an image reported by its id has
    lost its name to another image.
    """
    if service.group is not ServiceGroup.DATABASE or service.status is not Status.RUNNING:
        return service
    if site.settings.external_database is not None:
        return service  # left over from before
    wanted = site.database_server.image
    by_id = service.image.startswith("sha256:") or wanted.startswith("sha256:")
    majors = {major_of_image(service.image), major_of_image(wanted)} - {None}
    other = service.image != wanted and not by_id and len(majors) <= 1
    return replace(service, outdated=service.outdated or other)


def observed(
    containers: Iterable[Mapping[str, Any]],
    defined: Iterable[ServiceDefinition],
    settings_digests: Mapping[str, str],
    directory: str = "",
    built_images: Mapping[str, str] = _NONE,
    version: str = "",
    replicas: Mapping[str, int] = _AS_DEFINED,
) -> ObservedServices:
    """Services as defined and as found; a defined service without a container is absent.

    `settings_digests` are the digests of the current settings, by service; a container with another digest is outdated.
    So is one whose files are not in `directory`, if given, and one of the selected `version` that was created from
    another image than the one in `built_images`. `replicas` overrides the number of containers a service should have.
    """
    found: dict[str, list[tuple[int, ObservedService]]] = {}
    migrations = []
    handovers = []
    for container in containers:
        service = _observed_service(container, settings_digests, directory, built_images, version)
        if service is None:
            continue
        if service.group is ServiceGroup.MIGRATION:
            if service.status in (Status.RUNNING, Status.PAUSED):
                migrations.append(container["Names"][0].lstrip("/"))
        elif HANDOVER_LABEL in container["Labels"]:
            handovers.append(service)
        elif container["Labels"].get(ONE_OFF_LABEL) != "True":
            found.setdefault(service.name, []).append((number_of(container), service))
    services = []
    for definition in defined:
        if definition.group is ServiceGroup.MIGRATION:
            continue
        present = found.pop(definition.name, [])
        wanted = replicas.get(definition.name, definition.replicas) or len(present) or 1
        absent = ObservedService(definition.name, definition.group, Status.ABSENT, wanted=wanted)
        there = as_one(present, wanted, version) if present else absent
        # The definition decides, not a container that an older graasp-local may have created.
        services.append(replace(there, group=definition.group, writes=True) if definition.writes else there)
    # A service that runs under the project's name but is no longer defined still counts for its group. It cannot be
    # outdated, because nothing would recreate it.
    services += [
        replace(as_one(left, len(left), version), is_defined=False, outdated=False, made_elsewhere=False)
        for left in found.values()
    ]
    seconds = sorted(handovers, key=lambda second: second.name)
    return ObservedServices(tuple(services), tuple(sorted(migrations)), tuple(seconds))


def number_of(container: Mapping[str, Any]) -> int:
    """Compose's number of a container within its service; 0 if it has none."""
    number = container["Labels"].get(NUMBER_LABEL, "")
    return int(number) if number.isdigit() else 0


def _observed_service(
    container: Mapping[str, Any],
    settings_digests: Mapping[str, str],
    directory: str,
    built_images: Mapping[str, str],
    version: str,
) -> ObservedService | None:
    labels = container["Labels"]
    name = labels.get(SERVICE_LABEL, "")
    running = container["State"] == "running"
    elsewhere = bool(directory) and labels.get(DIRECTORY_LABEL, directory) != directory
    image = built_images.get(name) if labels.get(VERSION_LABEL) == version else None
    is_outdated = labels.get(SETTINGS_LABEL) not in (None, settings_digests.get(name)) or (
        image is not None and container.get("ImageID") not in (None, image)
    )
    try:
        group = ServiceGroup(labels.get(GROUP_LABEL, ""))
    except ValueError:
        return None
    return ObservedService(
        name=name,
        group=group,
        status=_status(container["State"]),
        health=_health(container.get("Status", "")),
        image=container.get("Image", ""),
        version=labels.get(VERSION_LABEL, ""),
        outdated=running and (elsewhere or is_outdated),
        made_elsewhere=running and elsewhere,
        optional=labels.get(OPTIONAL_LABEL) == "true",
        node=labels.get(NODE_LABEL, ""),
    )


def _status(state: str) -> Status:
    """A state that Docker does not have counts as dead."""
    try:
        return Status(state)
    except ValueError:
        return Status.DEAD


def _health(status_text: str) -> Health:
    """The container list reports health only inside its status text, such as `Up 3 minutes (healthy)`."""
    if "(healthy)" in status_text:
        return Health.HEALTHY
    if "(unhealthy)" in status_text:
        return Health.UNHEALTHY
    if "(health: starting)" in status_text:
        return Health.STARTING
    return Health.NONE


def as_one(found: list[tuple[int, ObservedService]], wanted: int, version: str) -> ObservedService:
    """All containers of a service, given with their numbers, as one service; the worst determines its status.

    Its version is that of a container that differs from `version`, the selected one, if there is one.
    """
    containers = [container for _, container in found]
    if len(found) == wanted == 1:
        return containers[0]
    others = (container.version for container in containers if container.version != version)
    return replace(
        min(containers, key=lambda one: (_WORST_FIRST.index(one.status), _WORST_HEALTH_FIRST.index(one.health))),
        version=next(others, version),
        outdated=any(container.outdated for container in containers),
        made_elsewhere=any(container.made_elsewhere for container in containers),
        wanted=wanted,
        replicas=tuple(
            Replica(number, one.status, one.health, one.version, one.node)
            for number, one in sorted(found, key=itemgetter(0))
        ),
    )

"""From the engine's list of containers to observed services: one listing call, whatever the number of containers.

Pure but for the type of its input: the dictionaries that `GET /containers/json` answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from msgspec.structs import replace

from graasp_local.planning.server import major_of_image
from graasp_local.planning.states import Health, ObservedService, Replica, ServiceGroup, Status
from graasp_local.ports.observation import ObservedServices
from graasp_local.site.site import Site
from graasp_local.stack.services import GROUP_LABEL, OPTIONAL_LABEL, SETTINGS_LABEL, VERSION_LABEL, ServiceDefinition

SERVICE_LABEL = "com.docker.compose.service"
DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
NUMBER_LABEL = "com.docker.compose.container-number"
HANDOVER_LABEL = "org.graasp.handover"
"""On a second container that stands in for a service while it is replaced."""

# With several containers of one service the one that is worst off speaks for it.
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

_NONE: Mapping[str, str] = MappingProxyType({})
_AS_DEFINED: Mapping[str, int] = MappingProxyType({})


def seen_on(site: Site, containers: Iterable[Mapping[str, Any]]) -> ObservedServices:
    """The services of a site, by the engine's list of its containers. Raises ConfigurationError."""
    version = str(site.selected_version or "")
    directory, replicas = str(site.directory), site.settings.replicas
    found = seen(containers, site.services, site.settings_digests, directory, site.built_images, version, replicas)
    return replace(found, services=tuple(_with_database_image(site, service) for service in found.services))


def _with_database_image(site: Site, service: ObservedService) -> ObservedService:
    """Outdated where `.env` names another image of the same major of Postgres than it was made from.

    Its settings count once, on an empty data directory, so that nothing else makes it outdated. Another major is not
    for `apply` to start, and an image that is named by its id has lost its name to another one.
    """
    if service.group is not ServiceGroup.DATABASE or service.status is not Status.RUNNING:
        return service
    wanted = site.database_server.image
    by_id = service.image.startswith("sha256:") or wanted.startswith("sha256:")
    other = service.image != wanted and not by_id and major_of_image(service.image) == major_of_image(wanted)
    return replace(service, outdated=service.outdated or other)


def seen(
    containers: Iterable[Mapping[str, Any]],
    defined: Iterable[ServiceDefinition],
    settings_digests: Mapping[str, str],
    directory: str = "",
    built_images: Mapping[str, str] = _NONE,
    version: str = "",
    replicas: Mapping[str, int] = _AS_DEFINED,
) -> ObservedServices:
    """Services as defined and as found; a defined one without a container is absent.

    `settings_digests` are those of the settings now, by service; a container that says another one is outdated. So is
    one whose files lie in another `directory` than the site's, if one is given, and one of the selected `version` that
    was made from another image than that of `built_images`. `replicas` says how many containers of a service are wanted
    where that is not as defined.
    """
    found: dict[str, list[tuple[int, ObservedService]]] = {}
    migrations = []
    handovers = []
    for container in containers:
        service = _observed(container, settings_digests, directory, built_images, version)
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
        # By what is started next, not by a container that an older graasp-local may have made.
        services.append(replace(there, group=definition.group, writes=True) if definition.writes else there)
    # What runs under the project's name without being defined any more still counts for its group.
    # Nothing would be made of it any more, so that it cannot be out of date.
    services += [
        replace(as_one(left, len(left), version), is_defined=False, outdated=False, made_elsewhere=False)
        for left in found.values()
    ]
    seconds = sorted(handovers, key=lambda second: second.name)
    return ObservedServices(tuple(services), tuple(sorted(migrations)), tuple(seconds))


def number_of(container: Mapping[str, Any]) -> int:
    """Compose's number of a container among those of its service; 0 where it has none."""
    number = container["Labels"].get(NUMBER_LABEL, "")
    return int(number) if number.isdigit() else 0


def _observed(
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
    )


def _status(state: str) -> Status:
    """An engine that calls it something else does not run it as Docker would."""
    try:
        return Status(state)
    except ValueError:
        return Status.DEAD


def _health(status_text: str) -> Health:
    """The listing has health only inside its text, such as `Up 3 minutes (healthy)`."""
    if "(healthy)" in status_text:
        return Health.HEALTHY
    if "(unhealthy)" in status_text:
        return Health.UNHEALTHY
    if "(health: starting)" in status_text:
        return Health.STARTING
    return Health.NONE


def as_one(found: list[tuple[int, ObservedService]], wanted: int, version: str) -> ObservedService:
    """One service of all its containers, by number: the worst speaks for it.

    Its version is that of one which has another than `version`, the selected one, if there is such a one.
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
            Replica(number, one.status, one.health, one.version) for number, one in sorted(found, key=itemgetter(0))
        ),
    )

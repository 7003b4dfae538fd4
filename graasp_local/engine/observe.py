"""From the engine's list of containers to observed services: one listing call, whatever the number of containers.

Pure but for the type of its input: the dictionaries that `GET /containers/json` answers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from graasp_local.observation import SeenServices
from graasp_local.planning.states import Health, ObservedService, ServiceGroup, Status
from graasp_local.stack import GROUP_LABEL, OPTIONAL_LABEL, SETTINGS_LABEL, VERSION_LABEL, ServiceDefinition

SERVICE_LABEL = "com.docker.compose.service"
DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
ONE_OFF_LABEL = "com.docker.compose.oneoff"
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


def seen(
    containers: Iterable[Mapping[str, Any]],
    defined: Iterable[ServiceDefinition],
    settings_digests: Collection[str],
    directory: str = "",
) -> SeenServices:
    """Services as defined and as found; a defined one without a container is absent.

    `settings_digests` are those of the settings now; a container that says another one is outdated. So is one whose
    files lie in another `directory` than the site's, if one is given.
    """
    found: dict[str, list[ObservedService]] = {}
    migrations = []
    handovers = []
    for container in containers:
        service = _observed(container, settings_digests, directory)
        if service is None:
            continue
        if service.group is ServiceGroup.MIGRATION:
            if service.status in (Status.RUNNING, Status.PAUSED):
                migrations.append(container["Names"][0].lstrip("/"))
        elif HANDOVER_LABEL in container["Labels"]:
            handovers.append(service)
        elif container["Labels"].get(ONE_OFF_LABEL) != "True":
            found.setdefault(service.name, []).append(service)
    services = []
    for definition in defined:
        if definition.group is ServiceGroup.MIGRATION:
            continue
        present = found.pop(definition.name, None)
        there = _worst(present) if present else ObservedService(definition.name, definition.group, Status.ABSENT)
        # By what is started next, not by a container that an older graasp-local may have made.
        services.append(replace(there, writes=True) if definition.writes else there)
    # What runs under the project's name without being defined any more still counts for its group.
    services += [_worst(left) for left in found.values()]
    seconds = sorted(handovers, key=lambda second: second.name)
    return SeenServices(tuple(services), tuple(sorted(migrations)), tuple(seconds))


def _observed(
    container: Mapping[str, Any], settings_digests: Collection[str], directory: str
) -> ObservedService | None:
    labels = container["Labels"]
    running = container["State"] == "running"
    elsewhere = bool(directory) and labels.get(DIRECTORY_LABEL, directory) != directory
    try:
        group = ServiceGroup(labels.get(GROUP_LABEL, ""))
    except ValueError:
        return None
    return ObservedService(
        name=labels.get(SERVICE_LABEL, ""),
        group=group,
        status=_status(container["State"]),
        health=_health(container.get("Status", "")),
        image=container.get("Image", ""),
        version=labels.get(VERSION_LABEL, ""),
        outdated=running and (elsewhere or labels.get(SETTINGS_LABEL) not in (None, *settings_digests)),
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


def _worst(services: list[ObservedService]) -> ObservedService:
    return min(
        services, key=lambda service: (_WORST_FIRST.index(service.status), service.health is not Health.UNHEALTHY)
    )

"""Sites to test decisions on: the stack's services in any state, and hypothesis strategies for unusual sites."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from graasp_local.engine.containers.services import as_one
from graasp_local.planning.states import (
    Gate,
    Health,
    InfraState,
    ObservedService,
    ObservedState,
    ServiceGroup,
    Status,
    row_of,
)

SERVICES = {
    "db": ServiceGroup.DATABASE,
    "umami": ServiceGroup.ADMINISTRATION,
    "redis": ServiceGroup.GRAASP,
    "core": ServiceGroup.GRAASP,
    "workers": ServiceGroup.GRAASP,
    "nginx": ServiceGroup.EDGE,
}
VERSIONED = ("core", "workers")
WRITING = ("workers",)
"""Services that write to Graasp's database on their own."""


def site_in(state: InfraState, version: str = "1.0.0", *, page_when_stopped: bool = False) -> ObservedState:
    """The stack exactly as the table of states says."""
    row = row_of(state, page_when_stopped=page_when_stopped)
    services = tuple(
        ObservedService(
            name,
            group,
            Status.RUNNING if group in row.groups_on else Status.EXITED,
            Health.HEALTHY if group in row.groups_on else Health.NONE,
            version=version if name in VERSIONED else "",
            writes=name in WRITING,
        )
        for name, group in SERVICES.items()
    )
    gate = row.gate if ServiceGroup.EDGE in row.groups_on else Gate.UNKNOWN
    return ObservedState(services, gate, page_when_stopped=page_when_stopped)


def new_site() -> ObservedState:
    """A site without containers."""
    services = tuple(
        ObservedService(name, group, Status.ABSENT, writes=name in WRITING) for name, group in SERVICES.items()
    )
    return ObservedState(services, Gate.UNKNOWN)


@st.composite
def observed_sites(draw: st.DrawFn) -> ObservedState:
    """Any possible site: every service in any status and health, and any answer of nginx about the gate."""
    services = []
    for name, group in SERVICES.items():
        status = draw(st.sampled_from(Status))
        healths = list(Health) if status is Status.RUNNING else [Health.NONE]
        version = draw(st.sampled_from(["1.0.0", "1.1.0"])) if name in VERSIONED else ""
        outdated = status is Status.RUNNING and draw(st.booleans())
        health = draw(st.sampled_from(healths))
        optional = name == "umami" and draw(st.booleans())
        service = ObservedService(
            name,
            group,
            status,
            health,
            version=version,
            outdated=outdated,
            optional=optional,
            writes=name in WRITING,
        )
        if name in VERSIONED and status is not Status.ABSENT:
            service = draw(replicated(service))
        services.append(service)
    edge_is_on = next(service for service in services if service.group is ServiceGroup.EDGE).is_on
    gate = draw(st.sampled_from(Gate)) if edge_is_on else Gate.UNKNOWN
    handovers = draw(st.sampled_from([(), (), second_cores()[0:1], second_cores()[1:2]]))
    return ObservedState(tuple(services), gate, handovers=handovers, page_when_stopped=draw(st.booleans()))


@st.composite
def replicated(draw: st.DrawFn, service: ObservedService) -> ObservedService:
    """The same service in up to three containers, with one to three replicas configured."""
    others = draw(st.lists(st.sampled_from([s for s in Status if s is not Status.ABSENT]), max_size=2))
    found = [(1, service)]
    for number, status in enumerate(others, start=2):
        health = draw(st.sampled_from(list(Health))) if status is Status.RUNNING else Health.NONE
        found.append((number, replace(service, status=status, health=health)))
    return as_one(found, draw(st.integers(1, 3)), "1.1.0")


def second_cores() -> tuple[ObservedService, ...]:
    """Second cores that a rolling deployment may leave behind: one that serves, one that never will."""
    healths = (Health.HEALTHY, Health.UNHEALTHY)
    return tuple(
        ObservedService("core", ServiceGroup.GRAASP, Status.RUNNING, health, version="1.2.0") for health in healths
    )


S3 = {
    "FILE_STORAGE_TYPE": "s3",
    "S3_FILE_ITEM_REGION": "here",
    "S3_FILE_ITEM_BUCKET": "files",
    "S3_FILE_ITEM_ACCESS_KEY_ID": "key",
    "S3_FILE_ITEM_SECRET_ACCESS_KEY": "secret-of-files",
    "H5P_FILE_STORAGE_TYPE": "s3",
    "H5P_CONTENT_REGION": "here",
    "H5P_CONTENT_BUCKET": "h5p",
    "H5P_CONTENT_ACCESS_KEY_ID": "key",
    "H5P_CONTENT_SECRET_ACCESS_KEY_ID": "secret-of-h5p",
}
"""Settings of a site that keeps its files in S3."""

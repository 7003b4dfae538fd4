"""The machines of a site's Swarm, and which of the site's containers run on each. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from graasp_local.engine.containers.inside import SiteContainers
from graasp_local.engine.containers.services import NODE_LABEL, ONE_OFF_LABEL, SERVICE_LABEL, number_of
from graasp_local.engine.reach.client import engine_errors
from graasp_local.engine.swarm import tasks as swarm_tasks
from graasp_local.engine.swarm.tasks import node_name
from graasp_local.errors import Refused
from graasp_local.stack.on_swarm import SWARM_SERVICES


class SwarmSite(SiteContainers, Protocol):
    """The site whose Swarm it is."""

    def swarm_problem(self) -> str | None: ...


class SwarmNode(Struct, frozen=True):
    """A machine. `front`: the site's database and nginx are on it. `runs` names what runs on it, with its state if
    something is wrong.
    """

    name: str
    id: str
    front: bool
    role: str
    state: str
    availability: str
    labels: Mapping[str, str]
    cpus: float
    memory_bytes: int
    runs: tuple[str, ...]


def swarm_nodes(engine: SwarmSite) -> tuple[SwarmNode, ...]:
    """By name, the front one first. Raises Refused if the Swarm cannot be used, EngineUnreachable."""
    problem = engine.swarm_problem()
    if problem:
        raise Refused(problem)
    with engine_errors():
        front = str(engine.client.api.info()["Swarm"]["NodeID"])
    found = [_node(each, front, engine.containers()) for each in swarm_tasks.listed("/nodes", "")]
    return tuple(sorted(found, key=lambda node: (not node.front, node.name)))


def _node(node: Mapping[str, Any], front: str, containers: Sequence[Mapping[str, Any]]) -> SwarmNode:
    """Pure."""
    name, is_front = node_name(node), node["ID"] == front
    resources = node["Description"].get("Resources") or {}
    return SwarmNode(
        name,
        str(node["ID"]),
        is_front,
        str(node["Spec"].get("Role", "")),
        str(node["Status"]["State"]),
        str(node["Spec"].get("Availability", "")),
        dict(node["Spec"].get("Labels") or {}),
        int(resources.get("NanoCPUs") or 0) / 10**9,
        int(resources.get("MemoryBytes") or 0),
        tuple(sorted(_run_by(containers, name, is_front=is_front))),
    )


def _run_by(containers: Sequence[Mapping[str, Any]], node: str, *, is_front: bool) -> list[str]:
    runs = []
    for container in containers:
        labels, state = container["Labels"], container["State"]
        service = labels.get(SERVICE_LABEL, "")
        if labels.get(ONE_OFF_LABEL) == "True" or state == "exited":
            continue
        if NODE_LABEL in labels and labels[NODE_LABEL] == node and service in SWARM_SERVICES:
            well = state == "running" and "starting" not in container["Status"]
            shown = "lost" if state == "dead" else "starting" if state == "running" else state
            runs.append(f"{service}-{number_of(container)}" + ("" if well else f" ({shown})"))
        elif NODE_LABEL not in labels and is_front and state == "running":
            runs.append(service)
    return runs

"""The tasks of a site's Swarm services, as if they were containers in this engine's list. Takes three calls, however
many there are.

A task runs only once its container is healthy, and ends as soon as it is not. One on a machine that the manager does
not reach counts as dead. An engine that manages no Swarm has none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from graasp_local.engine.containers.services import NODE_LABEL, NUMBER_LABEL, SERVICE_LABEL
from graasp_local.engine.reach import plain_http
from graasp_local.engine.reach.addresses import engine_address, refused, unreachable
from graasp_local.engine.reach.api_version import ask
from graasp_local.stack import on_swarm

NAME_LABEL = "graasp-local.name"
"""A label of a node: the name that a person gave to the machine."""

_TIMEOUT_SECONDS = 60
_LONGEST_BYTES = 64 * 1024 * 1024
_NO_MANAGER = 503

RUNS = ("starting", "running")
ENDED = ("complete", "shutdown", "failed", "rejected", "orphaned", "remove")
FAILED = ("failed", "rejected")
WANTED = ("running", "ready")


def tasks_as_containers(project: str) -> list[dict[str, Any]]:
    """A dictionary like the engine's own for each task that runs or should; for a service without any, one that ended.

    Raises EngineUnreachable.
    """
    services = listed("/services", project)
    if not services:
        return []
    tasks, nodes = listed("/tasks", project), {node["ID"]: node for node in listed("/nodes", "")}
    found = []
    for service in services:
        own = [task for task in tasks if task["ServiceID"] == service["ID"]]
        found += [*containers_of_service(service, own, nodes)]
    return found


def containers_of_service(
    service: Mapping[str, Any], tasks: Iterable[Mapping[str, Any]], nodes: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Pure."""
    ordered = sorted(tasks, key=lambda task: str(task["CreatedAt"]))
    has_failed = {task.get("Slot") for task in ordered if task["Status"]["State"] in FAILED}
    some = False
    for task in ordered:
        state, wanted = task["Status"]["State"], task["DesiredState"] in WANTED
        reachable = is_reachable(nodes.get(task.get("NodeID", "")))
        if state in ENDED or not (wanted or (reachable and state in RUNS)):
            continue  # what ended was replaced, and what a lost machine may still run is not known
        if not reachable:
            shown = ("dead", "")
        elif not wanted:
            shown = ("removing", "")
        elif state in RUNS:
            shown = ("running", "(healthy)" if state == "running" else "(health: starting)")
        else:
            shown = ("restarting" if task.get("Slot") in has_failed else "created", "")
        some = True
        yield _as_container(service, task, nodes, *shown)
    if not some:
        # For a moment after more are wanted, the Swarm has none yet.
        yield _as_container(service, None, nodes, "created" if replicas_wanted(service) else "exited", "")


def _as_container(
    service: Mapping[str, Any],
    task: Mapping[str, Any] | None,
    nodes: Mapping[str, Mapping[str, Any]],
    state: str,
    status: str,
) -> dict[str, Any]:
    spec = task["Spec"] if task else service["Spec"]["TaskTemplate"]
    image, labels = spec["ContainerSpec"]["Image"], spec["ContainerSpec"].get("Labels") or {}
    name, number = service["Spec"]["Name"], (task or {}).get("Slot", 1)
    node = nodes.get((task or {}).get("NodeID", ""))
    made = (task or service)["CreatedAt"]
    return {
        "Id": ((task or {}).get("Status", {}).get("ContainerStatus") or {}).get("ContainerID")
        or (task or service)["ID"],
        "Names": [f"/{name}.{number}"],
        "Image": image,
        "ImageID": image if image.startswith("sha256:") else None,
        "State": state,
        "Status": status,
        "Created": int(datetime.fromisoformat(made[:19] + "+00:00").timestamp()),
        "Ports": [],
        "Mounts": [],
        "Labels": {
            **labels,
            SERVICE_LABEL: labels.get(on_swarm.SERVICE_LABEL, ""),
            NUMBER_LABEL: str(number),
            NODE_LABEL: node_name(node) if node else "",
        },
        "NetworkSettings": {
            "Networks": {
                attached["Network"]["Spec"]["Name"]: {
                    "IPAddress": attached["Addresses"][0].partition("/")[0] if attached.get("Addresses") else "",
                    "EndpointID": (task or {}).get("ID", ""),
                }
                for attached in (task or {}).get("NetworksAttachments") or ()
            }
        },
    }


def replicas_wanted(service: Mapping[str, Any] | None) -> int:
    """How many tasks a service should have; none if there is no such service."""
    return int(service["Spec"]["Mode"]["Replicated"].get("Replicas") or 0) if service else 0


def to_be_replaced(service: Mapping[str, Any], tasks: Iterable[Mapping[str, Any]]) -> int:
    """How many tasks of a service do not match its definition yet; 1 while the Swarm watches the last one. Pure."""
    template = service["Spec"]["TaskTemplate"]["ContainerSpec"]
    new = [
        task
        for task in tasks
        if task["DesiredState"] in WANTED
        and task["Status"]["State"] == "running"
        and task["Spec"]["ContainerSpec"] == template
    ]
    left = max(0, replicas_wanted(service) - len(new))
    return left or int(_update_state(service) in ("updating", "rollback_started"))


def was_put_back(service: Mapping[str, Any]) -> bool:
    """Whether the Swarm has undone the last change of a service, because a task failed. Pure."""
    return _update_state(service) in ("rollback_completed", "rollback_paused", "paused")


def _update_state(service: Mapping[str, Any]) -> str:
    return str((service.get("UpdateStatus") or {}).get("State", ""))


def is_reachable(node: Mapping[str, Any] | None) -> bool:
    """Whether the manager hears from the machine; a task without one is waiting for one."""
    return node is None or node["Status"]["State"] != "down"


def node_name(node: Mapping[str, Any]) -> str:
    """What a person calls the machine, otherwise its host name."""
    given = (node["Spec"].get("Labels") or {}).get(NAME_LABEL)
    return str(given or node["Description"]["Hostname"])


def listed(path: str, project: str) -> list[dict[str, Any]]:
    """What the engine lists at this path, with the project's label if one is given; nothing if it manages no Swarm."""
    address = engine_address()
    filters = json.dumps({"label": [f"{on_swarm.PROJECT_LABEL}={project}"]}) if project else "{}"
    asked = f"{path}?filters={quote(filters)}"
    if not address.startswith("unix://"):
        return _asked_of_sdk(asked)
    try:
        answer = ask(address, asked, _TIMEOUT_SECONDS, _LONGEST_BYTES)
    except (OSError, plain_http.NotHttpError) as error:
        raise unreachable(str(error)) from error
    if answer.status == _NO_MANAGER:
        return []
    if answer.status != 200:
        raise refused(answer.status, answer.body)
    found: list[dict[str, Any]] = json.loads(answer.content) or []
    return found


def _asked_of_sdk(asked: str) -> list[dict[str, Any]]:
    from graasp_local.engine.reach.client import connect, engine_errors

    with engine_errors():
        api = connect().api
        answer = api.get(f"{api.base_url}/v{api.api_version}{asked}", timeout=_TIMEOUT_SECONDS)
    if answer.status_code == _NO_MANAGER:
        return []
    if answer.status_code != 200:
        raise refused(answer.status_code, answer.text)
    found: list[dict[str, Any]] = answer.json() or []
    return found

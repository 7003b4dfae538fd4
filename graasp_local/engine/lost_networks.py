"""Stopped containers whose network was removed meanwhile: the engine can start them no more, so they are made again.

Compose makes the network anew and then starts the old container, which names the one that is gone. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

_STARTABLE = ("created", "exited", "dead")


def without_their_network(
    containers: Iterable[Mapping[str, Any]], networks: Collection[str]
) -> tuple[Mapping[str, Any], ...]:
    """Those that do not run and are attached to a network whose id is not among these."""
    return tuple(
        container
        for container in containers
        if container["State"] in _STARTABLE and any(id_ and id_ not in networks for id_ in _network_ids(container))
    )


def _network_ids(container: Mapping[str, Any]) -> tuple[str, ...]:
    attached = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return tuple(str(network.get("NetworkID") or "") for network in attached.values())

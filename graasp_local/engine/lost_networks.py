"""Stopped containers whose network was removed: the engine can no longer start them, so they are recreated.

Compose would recreate the network and then start the old container, which refers to the removed one. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

_STARTABLE = ("created", "exited", "dead")


def without_their_network(
    containers: Iterable[Mapping[str, Any]], networks: Collection[str]
) -> tuple[Mapping[str, Any], ...]:
    """The containers that are not running and are attached to a network whose id is not among these."""
    return tuple(
        container
        for container in containers
        if container["State"] in _STARTABLE and any(id_ and id_ not in networks for id_ in _network_ids(container))
    )


def _network_ids(container: Mapping[str, Any]) -> tuple[str, ...]:
    attached = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return tuple(str(network.get("NetworkID") or "") for network in attached.values())

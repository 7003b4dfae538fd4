"""The networks of a site, recreated when it moves from one machine to several or back: they need another driver.

A network can be removed only when no container is left in it, so the site's containers, which must be stopped, are
removed first. Volumes stay. Compose creates what is missing.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from graasp_local.engine.client import engine_refusals
from graasp_local.engine.listing import PROJECT_LABEL
from graasp_local.engine.networks import NETWORK_LABEL
from graasp_local.errors import NeedsYou
from graasp_local.site.site import Site
from graasp_local.stack.on_swarm import FRONT_NETWORK

if TYPE_CHECKING:
    from docker import DockerClient

_ON_ALL_MACHINES = ("front", "back", "inside")
"""As in compose/swarm.yaml."""

_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.2


def remake_networks(client: DockerClient, site: Site, narrate: Callable[[str], None]) -> None:
    """Remove the site's stopped containers and the networks that need another driver. Raises NeedsYou."""
    filters = {"label": f"{PROJECT_LABEL}={site.settings.project}"}
    with engine_refusals():
        for container in client.api.containers(all=True, filters=filters):
            narrate(shlex.join(["docker", "rm", container["Names"][0].lstrip("/")]))
            client.api.remove_container(container["Id"])
    remove_odd_networks(client, site, narrate)


def remove_odd_networks(client: DockerClient, site: Site, narrate: Callable[[str], None]) -> None:
    """Remove the networks that need another driver; they must be empty."""
    from docker.errors import APIError, NotFound

    deadline = time.monotonic() + _PATIENCE_SECONDS
    filters = {"label": f"{PROJECT_LABEL}={site.settings.project}"}
    with engine_refusals():
        is_swarm = site.settings.swarm is not None
        odd = [network for network in client.api.networks(filters=filters) if _is_odd(network, is_swarm=is_swarm)]
        for network in odd:
            narrate(shlex.join(["docker", "network", "rm", network["Name"]]))
            while True:
                try:
                    client.api.remove_network(network["Id"])
                    break
                except NotFound:
                    break
                except APIError as error:
                    # A task that has just ended may still be in it.
                    if time.monotonic() > deadline:
                        raise NeedsYou(
                            f"The engine did not remove the network {network['Name']}: {error.explanation or error}."
                        ) from error
                    time.sleep(_POLL_SECONDS)
        # A network of the Swarm disappears a moment after the engine accepts its removal.
        while {n["Id"] for n in client.api.networks(filters=filters)} & {n["Id"] for n in odd}:
            if time.monotonic() > deadline:
                raise NeedsYou(f"The engine did not remove the network {odd[0]['Name']}.")
            time.sleep(_POLL_SECONDS)


def _is_odd(network: Mapping[str, Any], *, is_swarm: bool) -> bool:
    key = (network.get("Labels") or {}).get(NETWORK_LABEL)
    return (key in _ON_ALL_MACHINES and (network["Driver"] == "overlay") != is_swarm) or (
        key == FRONT_NETWORK and not is_swarm
    )

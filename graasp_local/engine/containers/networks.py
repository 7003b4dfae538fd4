"""The networks of a site: whether the engine has room for those that are missing, and when others must be recreated.

Whether it has room is found by creating them and removing them again: nothing else detects address pools that are used
up or overlap; Compose would detect it behind the closed gate. A site that moves from one machine to several or back
needs networks of another driver. One can be removed only when no container is left in it, so the site's containers,
which must be stopped, are removed first. Volumes stay. Compose creates what is missing.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING, Any

from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.engine.reach.client import engine_errors, engine_refusals
from graasp_local.errors import NeedsYou
from graasp_local.site.site import Site
from graasp_local.stack.on_swarm import FRONT_NETWORK

if TYPE_CHECKING:
    from docker import DockerClient

NETWORK_LABEL = "com.docker.compose.network"
_TRIAL_LABEL = "org.graasp.trial-network"
_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
_SMALLEST_PREFIX = 29
_ON_ALL_MACHINES = ("front", "back", "inside")
"""As in compose/swarm.yaml."""

_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.2
_STARTABLE = ("created", "exited", "dead")


def missing_networks(client: DockerClient, project: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The networks of the rendered compose files that the engine does not have yet, without `external` ones."""
    with engine_errors():
        found = client.api.networks(filters={"label": f"{PROJECT_LABEL}={project}"})
    there = {(network.get("Labels") or {}).get(NETWORK_LABEL) for network in found}
    return {
        name: definition or {}
        for name, definition in wanted.items()
        if name not in there and not (definition or {}).get("external")
    }


def network_refusal(client: DockerClient, project: str, missing: Mapping[str, Any]) -> str | None:
    """Why the engine would not create these, in its own words; None if it would. Leaves nothing behind."""
    from docker.errors import APIError

    api = client.api
    with engine_errors():
        missing = _without_certain(api.networks(), missing)
        label = f"{_TRIAL_LABEL}={project}"
        for left in api.networks(filters={"label": label}):
            with suppress(APIError):
                api.remove_network(left["Id"])
        made: list[str] = []
        try:
            for name, definition in missing.items():
                try:
                    made.append(_make(client, f"{project}-trial-{name}", project, definition))
                except APIError as error:
                    said = str(error.explanation or error).rstrip(".")
                    if definition.get("driver") == "overlay":
                        return f"The Swarm cannot create the network {name}: {said}."
                    return f"The engine cannot create the network {name}: {said}."
        finally:
            for network in made:
                with suppress(APIError):
                    api.remove_network(network)
    return None


def _without_certain(networks: Sequence[Mapping[str, Any]], missing: Mapping[str, Any]) -> Mapping[str, Any]:
    """The networks to try: a bridge with a fixed subnet is refused only if another network overlaps it."""
    taken = [
        ip_network(pool["Subnet"], strict=False)
        for network in networks
        for pool in (network.get("IPAM") or {}).get("Config") or ()
        if pool.get("Subnet")
    ]
    left = {}
    for name, definition in missing.items():
        wanted = _only_subnet(definition)
        if wanted is None or any(wanted.overlaps(other) for other in taken if other.version == wanted.version):
            left[name] = definition
        else:
            taken.append(wanted)
    return left


def _only_subnet(definition: Mapping[str, Any]) -> IPv4Network | None:
    """The subnet of a bridge whose definition has nothing else that an engine could refuse."""
    pools: Sequence[Mapping[str, Any]] = (definition.get("ipam") or {}).get("config") or ()
    said = {key for key, value in definition.items() if value} - {"name", "labels", "internal", "ipam", "driver_opts"}
    if said or {*(definition.get("driver_opts") or ())} - {_MASQUERADE} or [{*pool} for pool in pools] != [{"subnet"}]:
        return None
    with suppress(ValueError):
        subnet = IPv4Network(str(pools[0]["subnet"]))
        if subnet.prefixlen <= _SMALLEST_PREFIX and any(subnet.subnet_of(IPv4Network(each)) for each in _PRIVATE):
            return subnet
    return None


def _make(client: DockerClient, name: str, project: str, definition: Mapping[str, Any]) -> str:
    from docker.types import IPAMConfig, IPAMPool

    ipam = definition.get("ipam") or {}
    pools = [
        IPAMPool(subnet=pool.get("subnet"), iprange=pool.get("ip_range"), gateway=pool.get("gateway"))
        for pool in ipam.get("config") or ()
    ]
    made = client.api.create_network(
        name,
        driver=definition.get("driver"),
        options=definition.get("driver_opts"),
        ipam=IPAMConfig(driver=ipam.get("driver") or "default", pool_configs=pools) if pools else None,
        internal=bool(definition.get("internal")),
        attachable=bool(definition.get("attachable")),
        labels={_TRIAL_LABEL: project},
    )
    return str(made["Id"])


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


def without_their_network(
    containers: Iterable[Mapping[str, Any]], networks: Collection[str]
) -> tuple[Mapping[str, Any], ...]:
    """The containers that are not running and are attached to a network whose id is not among these. Pure.

    The engine can no longer start them. Compose would recreate the network and then start the old container, which
    refers to the removed one.
    """
    return tuple(
        container
        for container in containers
        if container["State"] in _STARTABLE and any(id_ and id_ not in networks for id_ in _network_ids(container))
    )


def _network_ids(container: Mapping[str, Any]) -> tuple[str, ...]:
    attached = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return tuple(str(network.get("NetworkID") or "") for network in attached.values())

"""Whether the engine has room for networks that a site still lacks: creates them, then removes them again.

Nothing else detects address pools that are used up or overlap; Compose would detect it behind the closed gate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING, Any

from graasp_local.engine.client import engine_errors
from graasp_local.engine.listing import PROJECT_LABEL

if TYPE_CHECKING:
    from docker import DockerClient

NETWORK_LABEL = "com.docker.compose.network"
_TRIAL_LABEL = "org.graasp.trial-network"
_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
_SMALLEST_PREFIX = 29


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

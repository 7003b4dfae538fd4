"""Whether the engine has room for networks that a site has not made yet: by making them, and taking them away again.

Address pools that are used up or overlap are found by nothing else; Compose would find it behind the closed gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from graasp_local.engine.client import engine_errors
from graasp_local.engine.listing import PROJECT_LABEL

if TYPE_CHECKING:
    from docker import DockerClient

NETWORK_LABEL = "com.docker.compose.network"
_TRIAL_LABEL = "org.graasp.trial-network"


def missing_networks(client: DockerClient, project: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the rendered compose files that the engine does not have yet; whoever's are `external` are not ours."""
    with engine_errors():
        found = client.api.networks(filters={"label": f"{PROJECT_LABEL}={project}"})
    there = {(network.get("Labels") or {}).get(NETWORK_LABEL) for network in found}
    return {
        name: definition or {}
        for name, definition in wanted.items()
        if name not in there and not (definition or {}).get("external")
    }


def network_refusal(client: DockerClient, project: str, missing: Mapping[str, Any]) -> str | None:
    """Why the engine would not make these, in its own words; None if it would. Leaves nothing behind."""
    from docker.errors import APIError

    api = client.api
    with engine_errors():
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
                    return f"The engine has no address range left for the network {name}: {error.explanation or error}."
        finally:
            for network in made:
                with suppress(APIError):
                    api.remove_network(network)
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
        labels={_TRIAL_LABEL: project},
    )
    return str(made["Id"])

"""Services tried on this engine with graasp_local.stack.trial's project: started once, and removed.

What a killed trial left behind is removed by the next one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graasp_local.engine.compose.site_files import local_mount
from graasp_local.engine.compose.verbs import Compose
from graasp_local.engine.containers.networks import NETWORK_LABEL
from graasp_local.engine.containers.of_project import PROJECT_LABEL, containers_of
from graasp_local.engine.containers.ports_in_use import port_problem
from graasp_local.engine.containers.temporary import PURPOSE_LABEL, labels_for
from graasp_local.engine.reach.addresses import is_on_this_machine
from graasp_local.engine.reach.client import engine_errors
from graasp_local.site.proven import files_that_were
from graasp_local.site.site import Site
from graasp_local.stack.trial import (
    addresses_out_of_range,
    is_named_like_a_file,
    mounted_from,
    published,
    trial_project,
)
from graasp_local.version import Version

if TYPE_CHECKING:
    from docker import DockerClient

_USABLE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_NAMES = "use two or more letters, digits, `_`, `.` or `-`, and begin with a letter or digit"
"""What the engine accepts; it checks the name only when it creates the container."""


def stack_refusal(
    client: DockerClient, compose: Compose, site: Site, services: Sequence[str], version: Version | None
) -> str | None:
    """Why these services could not be started as configured, as a sentence; None if they could."""
    config = compose.config(version)
    tried = [name for name in services if name in config["services"]]
    with engine_errors():
        return (
            local_mount(site, config)
            or _file_refusal(site, config, tried)
            or _network_refusal(client, site, config, tried)
            or _port_refusal(client, site, config, tried)
            or _number_refusal(config, tried)
            or _name_refusal(client, site, config, tried)
            or _container_refusal(client, compose, site, config, tried)
        )


def _file_refusal(site: Site, config: Mapping[str, Any], tried: Sequence[str]) -> str | None:
    """A file that is missing: the engine would make an empty directory in its place and mount that."""
    if not is_on_this_machine():
        return None
    were_files = files_that_were(site)
    for name, path in mounted_from(config, tried):
        if not path.exists() and (path in were_files or is_named_like_a_file(path)):
            return f"{name} is set to mount {path}, which does not exist."
        if path in were_files and path.is_dir():
            return f"{name} is set to mount {path}, which was a file and is a directory now."
    return None


def _network_refusal(client: DockerClient, site: Site, config: Mapping[str, Any], tried: Sequence[str]) -> str | None:
    networks = config.get("networks") or {}
    there = {network["Name"]: network for network in client.api.networks()}
    for name in tried:
        for key in config["services"][name].get("networks") or ():
            wanted = networks.get(key) or {}
            if wanted.get("external") and wanted.get("name", key) not in there:
                return f"{name} is set to join the network {wanted.get('name', key)}, which this engine does not have."
    ours = {
        str((network.get("Labels") or {}).get(NETWORK_LABEL)): network
        for network in there.values()
        if (network.get("Labels") or {}).get(PROJECT_LABEL) == site.settings.project
    }
    subnets = {
        key: [pool["Subnet"] for pool in (network.get("IPAM") or {}).get("Config") or () if pool.get("Subnet")]
        for key, network in ours.items()
    }
    return next(addresses_out_of_range(config, tried, subnets), None)


def _port_refusal(client: DockerClient, site: Site, config: Mapping[str, Any], tried: Sequence[str]) -> str | None:
    ours = {port.get("PublicPort") for container in containers_of(site.settings.project) for port in container["Ports"]}
    for wanted in published(config, tried):
        other = next((each for each in published(config, config["services"]) if wanted.clashes_with(each)), None)
        if other:
            return f"{wanted.service} is set to publish port {wanted.port}, which {other.service} publishes too."
        problem = None if wanted.port in ours else port_problem(client, wanted.address, wanted.port)
        if problem:
            return f"{wanted.service} is set to publish port {wanted.port}, which {problem}."
    return None


def _number_refusal(config: Mapping[str, Any], tried: Sequence[str]) -> str | None:
    """Why no container of a service would start: a number that comes from a variable is known only now."""
    for name in tried:
        definition = config["services"][name]
        if 0 in (definition.get("scale"), (definition.get("deploy") or {}).get("replicas")):
            return f"The number of containers of {name} is set to 0, so the site would wait for it forever."
    return None


def _name_refusal(client: DockerClient, site: Site, config: Mapping[str, Any], tried: Sequence[str]) -> str | None:
    for name in tried:
        wanted = config["services"][name].get("container_name")
        if wanted and not _USABLE_NAME.fullmatch(wanted):
            return f"{name} is set to be named {wanted}, which is not a container name: {_NAMES}."
        for container in client.api.containers(all=True, filters={"name": f"^/{wanted}$"}) if wanted else ():
            if container["Labels"].get(PROJECT_LABEL) != site.settings.project:
                return f"{name} is set to be named {wanted}, but another container has that name."
    return None


def _container_refusal(
    client: DockerClient, compose: Compose, site: Site, config: Mapping[str, Any], tried: Sequence[str]
) -> str | None:
    name = f"{site.settings.project}-graasp-local-trial"
    mounted = [path for _, path in mounted_from(config, tried)]
    missing = [path for each in mounted for path in (each, *each.parents) if not path.exists()]
    try:
        return _refusal_of_each(client, compose, site, config, tried, name)
    finally:
        for path in missing:
            _remove_made_by_engine(path)


def _refusal_of_each(
    client: DockerClient, compose: Compose, site: Site, config: Mapping[str, Any], tried: Sequence[str], name: str
) -> str | None:
    # All at once first, which takes no longer than one; then one by one, to find the one that is refused.
    for services in (tried, *((each,) for each in tried)) if tried else ():
        _remove(client, name)
        try:
            said = compose.refusal_of(trial_project(config, services, name, labels_for("trial")))
        finally:
            _remove(client, name)
        if said is None and services == tried:
            return None
        if said is not None and len(services) == 1:
            return f"The engine refuses {services[0]} as defined in {site.override_file.name}: {said}"
    return None


def _remove_made_by_engine(path: Path) -> None:
    """Remove a directory that did not exist before the trial, unless something is in it."""
    with suppress(OSError):
        if is_on_this_machine():
            path.rmdir()


def _remove(client: DockerClient, project: str) -> None:
    from docker.errors import APIError

    filters = {"label": [f"{PROJECT_LABEL}={project}", PURPOSE_LABEL]}
    for container in client.api.containers(all=True, filters=filters):
        with suppress(APIError):
            client.api.remove_container(container["Id"], force=True, v=True)
    for volume in client.api.volumes(filters=filters)["Volumes"] or ():
        with suppress(APIError):
            client.api.remove_volume(volume["Name"])

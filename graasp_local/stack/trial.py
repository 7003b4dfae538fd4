"""A trial of services on the real engine before anything is changed: which need one, and what exactly is tried.

Limits, mounts, devices, users, log drivers and much else are checked by the engine only when it creates or starts a
container. Every engine accepts what the stack itself asks for, so the only services tried are those for which the
site's override sets something that could be refused. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from msgspec import Struct

from graasp_local.settings import ALL
from graasp_local.settings.table import Option

_NEVER_REFUSED = frozenset(
    {"command", "depends_on", "environment", "healthcheck", "image", "labels", "profiles", "stop_grace_period"}
)
"""What Compose checks itself, or what only the program in the container checks."""

_LEFT_OUT = frozenset(
    {"networks", "network_mode", "ports", "expose", "links", "external_links", "mac_address"}
    | {"entrypoint", "command", "healthcheck", "post_start", "pre_stop", "restart", "pull_policy", "build"}
    | {"depends_on", "profiles", "container_name", "scale", "volumes_from", "labels", "provider", "develop"}
)
"""A trial joins no network, publishes nothing and runs none of the service's own programs."""

_POLICY = re.compile(r"no|always|unless-stopped|on-failure(:\d+)?")
"""The restart policies that no engine refuses; with any of them but `no`, a trial would keep restarting."""


NGINX_SETTINGS = frozenset(
    {"MAINTENANCE_HEADER_NAME", "MAINTENANCE_RETRY_AFTER", "UMAMI_HOST", "ADMIN_HOST", "FRAME_ANCESTORS", "TLS"}
    | {"TLS_DOMAINS", "HSTS_SECONDS", "TRUSTED_PROXIES", "H5P_FILE_STORAGE_HOST", "H5P_PATH_PREFIX"}
)
"""The settings in nginx's configuration, besides PUBLIC_URL and what graasp-local generates."""


class Published(Struct, frozen=True):
    """A port of this machine that a service wants."""

    service: str
    address: str
    port: int

    def clashes_with(self, other: Published) -> bool:
        """Whether the machine could give it to only one of the two."""
        addresses = {self.address, other.address}
        anywhere = not addresses.isdisjoint({"0.0.0.0", "::"})  # noqa: S104
        return self.service != other.service and self.port == other.port and (len(addresses) == 1 or anywhere)


def services_to_try(override: Mapping[str, Any], own: Mapping[str, Any]) -> tuple[str, ...]:
    """Services for which this override, but not the stack's `own`, sets something that an engine could refuse."""
    return tuple(
        str(name)
        for name in override.get("services") or {}
        if any(_could_be_refused(key, value) for key, value in _added(str(name), override, own).items())
    )


def nginx_is_as_shipped(
    override: Mapping[str, Any], own: Mapping[str, Any], values: Mapping[str, str], image: str
) -> bool:
    """Whether everything that nginx's configuration is made from is as shipped, which no nginx refuses.

    `values` are the site's settings; `image` is a demo site's nginx, which is shipped in addition to the stack's own,
    but together with what `own`, the override of a demo site, sets for it.
    """
    if {*_added("nginx", override, own)} - {"labels", "networks"}:
        return False
    host = values.get("PUBLIC_URL", "").removeprefix("http://").partition(":")[0]
    shipped = {item.key: item.default if isinstance(item, Option) else item.default() for item in ALL}
    images = [None, "", shipped["NGINX_IMAGE"], *([] if _added("nginx", own, override) else [image])]
    return (
        host in ("localhost", "127.0.0.1")
        and values.get("NGINX_IMAGE") in images
        and all(values.get(key) in (None, "", shipped[key]) for key in NGINX_SETTINGS)
    )


def _added(service: str, override: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """What an override sets for a service that `own` does not."""
    known = (own.get("services") or {}).get(service) or {}
    definition = (override.get("services") or {}).get(service)
    if not isinstance(definition, Mapping):
        return {}
    return {key: value for key, value in definition.items() if known.get(key) != value}


def _could_be_refused(key: str, value: Any) -> bool:
    if key == "ports" and isinstance(value, list):
        return not all(str(port).startswith("127.0.0.1::") for port in value)  # the engine picks a free one
    if key == "restart":
        return _POLICY.fullmatch(_as_policy(value)) is None
    return key not in _NEVER_REFUSED


def _as_policy(value: Any) -> str:
    """An unquoted `no` is a boolean in YAML."""
    return "no" if value in (None, False) else str(value)


def trial_project(
    config: Mapping[str, Any], services: Sequence[str], name: str, labels: Mapping[str, str]
) -> dict[str, Any]:
    """A Compose project of this name: the services as in `config`, which is rendered, but without their programs.

    It has new volumes of its own, so that nothing of the site is mounted; only external volumes are the same.
    """
    volumes = {
        key: definition
        if definition.get("external")
        else {
            **{part: definition[part] for part in ("driver", "driver_opts") if part in definition},
            "name": f"{name}_{key}",
            "labels": {**labels},
        }
        for key, given in (config.get("volumes") or {}).items()
        for definition in (given or {},)
    }
    tried = {service: _tried(config["services"][service], labels) for service in services}
    used = {mount.get("source") for definition in tried.values() for mount in definition.get("volumes") or ()}
    return {
        "name": name,
        "services": tried,
        "volumes": {key: definition for key, definition in volumes.items() if key in used},
        **{part: config[part] for part in ("configs", "secrets") if config.get(part)},
    }


def _tried(definition: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    kept = {key: value for key, value in definition.items() if key not in _LEFT_OUT}
    for key in ("pid", "ipc"):
        if str(kept.get(key, "")).startswith("service:"):
            del kept[key]
    if "volumes" in kept:
        # A subdirectory of a volume does not exist in a new one.
        kept["volumes"] = [{key: mount[key] for key in mount if key != "volume"} for mount in kept["volumes"]]
    if "deploy" in kept:
        kept["deploy"] = {key: value for key, value in kept["deploy"].items() if key == "resources"}
    policy = _as_policy(definition.get("restart"))
    # Docker's init works in every image, and exits by itself if it has no program, which is not what is tried.
    return {
        **kept,
        "init": True,
        "entrypoint": ["true"],
        "command": [],
        "network_mode": "none",
        "restart": "no" if _POLICY.fullmatch(policy) else policy,
        "labels": {**labels},
        "stop_grace_period": "1s",
    }


def mounted_from(config: Mapping[str, Any], services: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Each service with the files and directories of the machine that it mounts, as `config` renders them."""
    for service in services:
        for mount in config["services"][service].get("volumes") or ():
            if mount.get("type") == "bind" and str(mount.get("source", "")).startswith("/"):
                yield service, Path(mount["source"])


def is_named_like_a_file(path: Path) -> bool:
    """Whether a name has an ending that only files have: an engine makes a missing directory, but never a file."""
    ending = path.suffix.removeprefix(".")
    return ending.isalnum() and not ending.isdigit() and ending != "d"


def published(config: Mapping[str, Any], services: Sequence[str]) -> Iterator[Published]:
    """Ports of this machine that the services want, without those that the engine chooses."""
    for service in services:
        for port in config["services"][service].get("ports") or ():
            told = str(port.get("published") or "")
            if told.isdigit() and port.get("protocol", "tcp") == "tcp":
                yield Published(service, port.get("host_ip") or "0.0.0.0", int(told))  # noqa: S104


def addresses_out_of_range(
    config: Mapping[str, Any], services: Sequence[str], subnets: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """A sentence for each fixed address outside its network's subnets, which are given by the network's key."""
    for service in services:
        for network, given in (config["services"][service].get("networks") or {}).items():
            for key in ("ipv4_address", "ipv6_address"):
                address = (given or {}).get(key)
                ranges = [ip_network(subnet, strict=False) for subnet in subnets.get(network, ())]
                if address and ranges and not any(ip_address(address) in each for each in ranges):
                    has = " and ".join(map(str, ranges))
                    yield f"{service} is set to use the address {address}, but the network {network} has {has}."

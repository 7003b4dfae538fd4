"""What differs while core and workers run on the machines of a Docker Swarm: variables, and services in its terms.

Translates a service of Compose's rendering into a task template. Refuses what another machine could not have, such as
a directory of this one. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from graasp_local.errors import ConfigurationError
from graasp_local.settings.parse import Settings
from graasp_local.stack.external import migration_password
from graasp_local.stack.memory import in_bytes

SWARM_SERVICES = ("core", "workers")
"""What runs in the Swarm: it has no data of its own."""

FILES_VOLUME = "files"
"""Uploaded files; empty where they are in S3."""

PROJECT_LABEL = "org.graasp.project"
"""On everything created in a Swarm for a site. With Compose's own label, Compose would count tasks as its own."""

SERVICE_LABEL = "org.graasp.service"

FRONT_NETWORK = "front-machine"
"""A bridge of the front machine, which services in the Swarm do not join (compose/swarm.yaml says what it is for)."""

RESTART_SECONDS = 2

_TRANSLATED = frozenset(
    {"image", "labels", "environment", "command", "entrypoint", "init", "stop_grace_period", "stop_signal", "logging"}
    | {"security_opt", "cap_drop", "cap_add", "pids_limit", "mem_limit", "cpus", "networks", "volumes", "secrets"}
    | {"healthcheck", "user", "working_dir", "read_only", "tmpfs", "extra_hosts", "dns", "dns_search", "ulimits"}
    | {"hostname", "tty", "sysctls"}
)
_OF_COMPOSE_ALONE = frozenset({"depends_on", "profiles", "restart", "scale", "pull_policy", "expose", "deploy"})
_NO_NEW_PRIVILEGES = ("no-new-privileges:true", "no-new-privileges=true", "no-new-privileges")


class SwarmFile(Struct, frozen=True):
    """A file that machines get from the Swarm: a `secret`, or a `config`; `target` is its path in the container."""

    kind: str
    name: str
    content: bytes
    target: str


class Translated(Struct, frozen=True):
    """A task template, without its files and networks, which the engine knows by id."""

    template: Mapping[str, Any]
    files: tuple[SwarmFile, ...]
    networks: Mapping[str, tuple[str, ...]]
    """The names of its networks, as the engine knows them, and the service's names in each."""


def swarm_variables(settings: Settings) -> Mapping[str, str]:
    """The variables that Compose is given in addition to `.env`; none for a site on one machine."""
    if settings.swarm is None:
        return {}
    return {"GRAASP_MIGRATION_PASSWORD": migration_password(settings.values["GRAASP_DB_PASSWORD"])}


def translated(
    config: Mapping[str, Any],
    service: str,
    read: Callable[[str], bytes | None],
    placement: Sequence[str],
    *,
    shares_files: bool = False,
) -> Translated:
    """The service of Compose's rendering as a task template. `shares_files`: the volume of uploaded files is shared.

    `read` returns the content of a file of the stack or a secret, None for any other path. Raises ConfigurationError.
    """
    definition = {
        key: value for key, value in _unescaped(config["services"][service]).items() if value not in (None, [], {})
    }
    unknown = sorted({*definition} - _TRANSLATED - _OF_COMPOSE_ALONE)
    if unknown:
        raise _impossible(service, f"a Swarm service cannot have {', '.join(unknown)}")
    container: dict[str, Any] = {
        "Image": definition["image"],
        "Labels": {**_without_secrets(definition.get("labels") or {}), SERVICE_LABEL: service},
        "Env": sorted(
            f"{key}={value}" for key, value in (definition.get("environment") or {}).items() if value is not None
        ),
        "Init": bool(definition.get("init")),
        "StopGracePeriod": nanoseconds(definition.get("stop_grace_period", "10s")),
        "CapabilityDrop": definition.get("cap_drop") or [],
        "CapabilityAdd": definition.get("cap_add") or [],
        "Mounts": [*_mounts(config, service, definition, shares_files=shares_files)],
        "Privileges": _privileges(service, definition.get("security_opt") or ()),
    }
    for key, theirs in (
        ("entrypoint", "Command"),
        ("command", "Args"),
        ("user", "User"),
        ("working_dir", "Dir"),
        ("hostname", "Hostname"),
        ("stop_signal", "StopSignal"),
        ("read_only", "ReadOnly"),
        ("tty", "TTY"),
        ("sysctls", "Sysctls"),
    ):
        if key in definition:
            container[theirs] = definition[key]
    if "healthcheck" in definition:
        container["Healthcheck"] = _health_check(definition["healthcheck"])
    if "extra_hosts" in definition:
        container["Hosts"] = [*_hosts(definition["extra_hosts"])]
    if "dns" in definition or "dns_search" in definition:
        container["DNSConfig"] = {
            "Nameservers": definition.get("dns") or [],
            "Search": definition.get("dns_search") or [],
        }
    if "ulimits" in definition:
        container["Ulimits"] = [_ulimit(name, limit) for name, limit in sorted(definition["ulimits"].items())]
    template: dict[str, Any] = {
        "ContainerSpec": container,
        "Resources": {"Limits": _limits(definition)},
        "RestartPolicy": {"Condition": "any", "Delay": RESTART_SECONDS * 10**9},
        "Placement": {"Constraints": [each.replace("==", " == ").replace("!=", " != ") for each in placement]},
    }
    if "logging" in definition:
        logging = definition["logging"]
        template["LogDriver"] = {"Name": logging.get("driver", ""), "Options": logging.get("options") or {}}
    names = {key: (given or {}).get("name", key) for key, given in config.get("networks", {}).items()}
    networks = {
        names[key]: (service, *((given or {}).get("aliases") or ()))
        for key, given in (definition.get("networks") or {}).items()
        if key != FRONT_NETWORK
    }
    return Translated(template, tuple(_files(config, service, definition, read)), networks)


def nanoseconds(duration: Any) -> int:
    """`1m30s`, `200ms`, as Compose writes them."""
    units = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1}
    return sum(
        int(float(number) * units[unit]) for number, unit in re.findall(r"([\d.]+)(h|ms|m|us|µs|ns|s)", str(duration))
    )


def _unescaped(value: Any) -> Any:
    """Compose writes a `$` twice, so that what it has rendered can be read again."""
    if isinstance(value, str):
        return value.replace("$$", "$")
    if isinstance(value, Mapping):
        return {key: _unescaped(each) for key, each in value.items()}
    return [_unescaped(each) for each in value] if isinstance(value, list) else value


def _without_secrets(labels: Mapping[str, Any]) -> dict[str, str]:
    """Without Compose's own labels: with them, it would take the container for one of its own."""
    return {key: str(value) for key, value in labels.items() if not key.startswith("com.docker.compose.")}


def shared_volume(config: Mapping[str, Any], target: str) -> dict[str, Any]:
    """How a task mounts the volume of uploaded files, as the site's files define it.

    Raises ConfigurationError if they give nothing but its name.
    """
    defined = _unescaped((config.get("volumes") or {}).get(FILES_VOLUME) or {})
    driver, options = defined.get("driver") or "local", defined.get("driver_opts") or {}
    if driver == "local" and not options:
        raise ConfigurationError(
            f"SWARM_FILES is shared, but compose.override.yaml does not say where the volume {FILES_VOLUME} is stored.",
            "Nothing was changed.",
            "Give it a driver or driver_opts, such as those of an NFS share: see docs/scale.md.",
        )
    configured = {"Name": driver, "Options": {key: str(value) for key, value in options.items()}}
    return {
        "Type": "volume",
        "Source": defined["name"],
        "Target": target,
        "VolumeOptions": {"DriverConfig": configured},
    }


def _mounts(
    config: Mapping[str, Any], service: str, definition: Mapping[str, Any], *, shares_files: bool
) -> Iterator[dict[str, Any]]:
    for path in definition.get("tmpfs") or ():
        yield {"Type": "tmpfs", "Target": str(path).partition(":")[0]}
    for mount in definition.get("volumes") or ():
        kind, source = mount.get("type"), str(mount.get("source", ""))
        if kind == "tmpfs":
            yield {"Type": "tmpfs", "Target": mount["target"]}
        elif kind == "volume" and source == FILES_VOLUME:
            if shares_files:
                yield shared_volume(config, mount["target"])
        elif kind == "volume":
            raise _impossible(
                service, f"the volume {source or mount['target']} would be a different one on each machine"
            )


def _files(
    config: Mapping[str, Any], service: str, definition: Mapping[str, Any], read: Callable[[str], bytes | None]
) -> Iterator[SwarmFile]:
    for mount in definition.get("volumes") or ():
        if mount.get("type") == "bind":
            source = str(mount["source"])
            content = read(source)
            if content is None:
                raise _impossible(service, f"{source} is on this machine only")
            yield SwarmFile("config", source.rpartition("/")[2], content, mount["target"])
    for given in definition.get("secrets") or ():
        source = str(given["source"])
        content = read(str((config.get("secrets") or {}).get(source, {}).get("file", "")))
        if content is None:
            raise _impossible(service, f"the secret {source} does not come from a file of the stack")
        if content:  # a Swarm refuses empty secrets, and an empty one is not used
            yield SwarmFile("secret", source, content, str(given.get("target") or source))


def _privileges(service: str, options: Sequence[str]) -> dict[str, Any]:
    other = [option for option in options if option not in _NO_NEW_PRIVILEGES]
    if other:
        raise _impossible(service, f"a Swarm service cannot have security_opt {other[0]}")
    return {"NoNewPrivileges": True} if options else {}


def _limits(definition: Mapping[str, Any]) -> dict[str, int]:
    deployed = ((definition.get("deploy") or {}).get("resources") or {}).get("limits") or {}
    memory = in_bytes(str(definition.get("mem_limit") or deployed.get("memory") or ""))
    pids = definition.get("pids_limit") or deployed.get("pids")
    cpus = definition.get("cpus") or deployed.get("cpus")
    found = {"MemoryBytes": memory, "Pids": int(pids) if pids else None}
    found["NanoCPUs"] = int(float(cpus) * 10**9) if cpus else None
    return {key: value for key, value in found.items() if value}


def _health_check(given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("disable"):
        return {"Test": ["NONE"]}
    test = given.get("test") or []
    check: dict[str, Any] = {"Test": ["CMD-SHELL", test] if isinstance(test, str) else [*test]}
    times = ("interval", "timeout", "start_period", "start_interval")
    check |= {key.title().replace("_", ""): nanoseconds(given[key]) for key in times if key in given}
    return check | ({"Retries": int(given["retries"])} if "retries" in given else {})


def _hosts(given: Any) -> Iterator[str]:
    """In Swarm's order: the address first."""
    pairs = given.items() if isinstance(given, Mapping) else (re.split("[=:]", str(each), maxsplit=1) for each in given)
    for name, addresses in pairs:
        for address in addresses if isinstance(addresses, list) else [addresses]:
            yield f"{address} {name}"


def _ulimit(name: str, limit: Any) -> dict[str, Any]:
    soft, hard = (limit.get("soft"), limit.get("hard")) if isinstance(limit, Mapping) else (limit, limit)
    return {"Name": name, "Soft": soft, "Hard": hard}


def _impossible(service: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{service} cannot run in a Swarm: {why}.",
        "Nothing was changed.",
        "Remove that from compose.override.yaml, or set SWARM=off in .env.",
    )

"""What a site's own compose file demands of the machine beyond what the stack does: everything that makes a service as
powerful as root, or open to the network, in words.

Reads the file and starts nothing. Files that Compose would include are named, not followed. Pure.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from graasp_local.settings.rules import ALL_ADDRESSES

_SOCKETS = re.compile(r"(docker|podman|containerd|crio|dockershim)[^/]*\.sock$")
_SYSTEM = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/home",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/lib/containerd",
    "/var/lib/containers",
    "/var/lib/docker",
    "/var/run",
    "/var/spool/cron",
)
"""Directories of the host, with everything in them."""
_HARMLESS = (
    "/dev/null",
    "/dev/zero",
    "/etc/hosts",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/ssl",
    "/etc/letsencrypt",
    "/etc/ca-certificates",
    "/etc/pki",
    "/usr/share",
    "/usr/local/share",
)
"""Exceptions that containers are often given to read."""
_BELOW_HOME = ("/home", "/root")
_NAMESPACES = {"network_mode": "network", "pid": "process", "ipc": "IPC", "userns_mode": "user", "uts": "UTS"}
_NAMESPACES |= {"cgroup": "cgroup"}


class Power(Struct, frozen=True):
    """What a service is given: the end of a sentence that begins with the file's name. `service` may be empty."""

    service: str
    said: str
    fix: str


def powers(content: Mapping[str, Any], values: Mapping[str, str], site: str) -> tuple[Power, ...]:
    """All such powers in a compose file's content; `values` fill in its variables, `site` is its directory."""
    looked = _Looked(content, values, site)
    found = [*looked.other_files()]
    for name, definition in _mapping(content.get("services")).items():
        said = dict.fromkeys(looked.of_service(_mapping(definition)))
        fix = f"Remove it, unless you trust {name} like root."
        found += [Power(str(name), f"gives {name} {what}", fix) for what in said]
        for port in looked.open_ports(_mapping(definition)):
            fix = (
                f"Write 127.0.0.1:{port.rpartition(':')[2]} for programs on the same machine "
                "only, and let nginx forward visitors to it."
            )
            found.append(Power(str(name), f"publishes a port of {name} to the network ({port})", fix))
    return tuple(found)


class _Looked(Struct, frozen=True):
    content: Mapping[str, Any]
    values: Mapping[str, str]
    site: str

    def of_service(self, definition: Mapping[str, Any]) -> Iterator[str]:
        if _is_true(definition.get("privileged")):
            yield "all rights of the host (privileged)"
        for key, name in _NAMESPACES.items():
            wanted = self._filled(definition.get(key, ""))
            if wanted == "host":
                yield f"the host's {name} namespace ({key}: host)"
            elif wanted.startswith("container:"):
                yield f"the {name} namespace of another container ({key}: {wanted})"
        added = [self._filled(item) for item in _sequence(definition.get("cap_add"))]
        if added:
            yield f"more capabilities ({', '.join(added)})"
        for key in ("devices", "device_cgroup_rules", "gpus"):
            if definition.get(key):
                yield f"devices of the host ({key})"
        if _mapping(_inside(definition, "deploy", "resources", "reservations")).get("devices"):
            yield "devices of the host (deploy.resources.reservations.devices)"
        yield from self._less_confined(definition)
        for source in self._sources(definition):
            what = self._of_the_host(source)
            if what:
                yield what
        if _is_true(definition.get("use_api_socket")):
            yield "the engine's socket (use_api_socket)"
        for other in _sequence(definition.get("volumes_from")):
            if str(other).startswith("container:"):
                yield f"the volumes of another container ({other})"
        if definition.get("provider"):
            yield "a program on this machine that Compose runs (provider)"
        for key in ("post_start", "pre_stop"):
            if any(_is_true(_mapping(hook).get("privileged")) for hook in _sequence(definition.get(key))):
                yield f"a command with all rights of the host ({key}: privileged)"

    def _less_confined(self, definition: Mapping[str, Any]) -> Iterator[str]:
        options = [self._filled(item).replace("=", ":", 1) for item in _sequence(definition.get("security_opt"))]
        for option in options:
            key, _, value = option.partition(":")
            if value in ("unconfined", "disable") or option.startswith("label:disable"):
                yield f"less confinement ({key}: {value})"
            elif key == "no-new-privileges" and value == "false":
                yield "less confinement (no-new-privileges: false)"
        for key in ("security_opt", "cap_drop"):
            # An empty list only makes sense with !reset or !override, which remove what the stack sets.
            if key in definition and not definition[key]:
                yield f"less confinement (an empty {key})"

    def _sources(self, definition: Mapping[str, Any]) -> Iterator[str]:
        """Paths of the host that are mounted, as written."""
        for volume in _sequence(definition.get("volumes")):
            if isinstance(volume, Mapping):
                source = self._filled(volume.get("source", ""))
            else:
                source = self._filled(volume).partition(":")[0]
            yield self._device(source) if re.fullmatch(r"[A-Za-z0-9][\w.-]*", source) else source
        for kind in ("secrets", "configs"):
            for used in _sequence(definition.get(kind)):
                name = _mapping(used).get("source", "") if isinstance(used, Mapping) else used
                file = _mapping(_mapping(self.content.get(kind)).get(str(name))).get("file", "")
                yield self._filled(file)

    def _device(self, volume: str) -> str:
        """The path to which a named volume's options bind it; empty if they do not."""
        options = _mapping(_inside(self.content, "volumes", volume, "driver_opts"))
        is_bound = "bind" in str(options.get("o", "")) or options.get("type") in ("none", "bind")
        return self._filled(options.get("device", "")) if is_bound else ""

    def _of_the_host(self, source: str) -> str:
        if source.startswith("~"):
            return f"a directory of your home ({source})"
        if not source.startswith(("/", ".")):
            return ""
        path = posixpath.normpath(posixpath.join(self.site, source)).replace("//", "/")
        if _SOCKETS.search(path):
            return f"the engine's socket ({path})"
        if path == "/":
            return "the host's root directory (/)"
        if self.site == path or self.site.startswith(f"{path}/"):
            return f"the site's own directory, with all its secrets ({path})"
        if path in (f"{self.site}/.env", f"{self.site}/.env.old") or f"{path}/".startswith(
            f"{self.site}/.graasp-local/"
        ):
            return f"the site's secrets ({path})"
        if any(_is_at_or_below(path, harmless) for harmless in _HARMLESS):
            return ""
        for system in _SYSTEM:
            # Directories below a home directory are often meant to be mounted; a whole home directory is not.
            depth = path.count("/") - system.count("/")
            if system in _BELOW_HOME and depth > 1:
                continue
            if _is_at_or_below(path, system) or system.startswith(f"{path}/"):
                sockets = ", with the engine's socket in it" if path in ("/run", "/var/run", "/var") else ""
                return f"the host's {path}{sockets}"
        return ""

    def open_ports(self, definition: Mapping[str, Any]) -> Iterator[str]:
        for port in _sequence(definition.get("ports")):
            if isinstance(port, Mapping):
                address, published = self._filled(port.get("host_ip", "")), self._filled(port.get("published", ""))
                target = self._filled(port.get("target", ""))
            else:
                written = self._filled(port).partition("/")[0]
                rest, _, target = written.rpartition(":")
                found = re.fullmatch(r"(?:(\[.*\]|[\d.]+|localhost):)?([\d-]*)", rest)
                address, published = ((found[1] or "").strip("[]"), found[2]) if found else ("", rest)
            if not address or address in ALL_ADDRESSES:
                yield f"{address or '0.0.0.0'}:{published or 'any'}:{target}"  # noqa: S104 - reported, not bound

    def other_files(self) -> Iterator[Power]:
        fix = "Copy their content into compose.override.yaml itself."
        if self.content.get("include"):
            yield Power("", "includes other files (include), which are not checked", fix)
        for name, definition in _mapping(self.content.get("services")).items():
            if _mapping(_mapping(definition).get("extends")).get("file"):
                said = f"takes {name} from another file (extends), which is not checked"
                yield Power(str(name), said, fix)

    def _filled(self, value: object) -> str:
        def of(found: re.Match[str]) -> str:
            return self.values.get(found[1] or found[2]) or found[3] or ""

        return re.sub(r"\$(?:(\w+)|\{(\w+)(?::?[-?+]([^${}]*))?\})", of, str("" if value is None else value))


def _is_at_or_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory}/")


def _is_true(value: object) -> bool:
    return value is True or str(value).lower() in ("true", "yes", "on")


def _inside(content: Mapping[str, Any], *keys: str) -> object:
    found: object = content
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[Any]:
    if isinstance(value, Mapping):
        return tuple(value)
    return value if isinstance(value, list | tuple) else () if value in (None, "") else (value,)

"""The stack that is shipped with graasp-local, and which of its services is in which group.

Finds the files, copies them into a site, and reads services and groups with nothing but a YAML parser, so that a plan
needs no engine. Refuses services without a group: no state would start or stop them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from graasp_local.errors import ConfigurationError
from graasp_local.planning.states import ServiceGroup
from graasp_local.settings.table import SETTINGS_PREFIX
from graasp_local.stack.secret_files import SECRET_FILES

GROUP_LABEL = "org.graasp.group"
VERSION_LABEL = "org.graasp.version"
SETTINGS_LABEL = "org.graasp.settings"
OPTIONAL_LABEL = "org.graasp.optional"
DATABASE_LABEL = "org.graasp.database"
NETWORKS_LABEL = "org.graasp.networks"
"""`overlay` on a container whose networks reach all machines of a Swarm."""
WRITES_LABEL = "org.graasp.writes"
"""`true` on a service that writes to Graasp's database by itself, like core. Whatever its group, it is off while that
database changes, and starts once core is verified.
"""


_NEEDED = ("core", "nginx")
"""Without these, no state of a site is what its name says."""

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_MOUNT = re.compile(r"\$\{GRAASP_STACK:-\.\.\}/((?:compose|nginx)/[\w./-]+)")


_GIVEN = ("configs", "secrets")
"""What the files define separately, for services to use."""


class ServiceDefinition(Struct, frozen=True):
    """A service of the compose files: its group, and the profiles that enable it (none: always enabled)."""

    name: str
    group: ServiceGroup
    profiles: tuple[str, ...] = ()
    image: str = ""
    """As written in the file, variables included: see `filled_in`."""
    database: str = ""
    """The database, and its owner, that the service needs on the site's database server; empty: none."""
    writes: bool = False
    """It writes to Graasp's database by itself, not through core."""
    variables: tuple[str, ...] = ()
    """The variables that its definition mentions, and the settings in its secret files."""
    mounts: tuple[str, ...] = ()
    """Files and directories of the stack that are mounted into it, relative to the stack's directory."""
    digest: str = ""
    """Changes when its definition does."""
    override: str = ""
    """Changes when what the site's own override says about it does; empty: it says nothing."""
    replicas: int | None = 1
    """How many containers the files ask for, unless `.env` sets it; None: set by a variable of the files' own."""


def stack_directory() -> Path:
    """The directory that contains `compose/` and `nginx/`: inside an installed package, else the checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "_stack"
    return packaged if packaged.is_dir() else package.parent


def copy_stack(target: Path) -> None:
    """Make `compose/` and `nginx/` in `target` identical to graasp-local's own; writes only what differs.

    A site has its own copy because the engine mounts these files into containers for as long as those live, even after
    graasp-local was upgraded or removed.
    """
    import filecmp
    import shutil

    for part in ("compose", "nginx"):
        source = stack_directory() / part
        for file in sorted(path for path in source.rglob("*") if path.is_file()):
            copy = target / part / file.relative_to(source)
            if copy.is_symlink():
                copy.unlink()
            if not copy.exists() or not filecmp.cmp(file, copy, shallow=False):
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
            _let_read(copy, executable=os.access(file, os.X_OK))
            _let_read(copy.parent, executable=True)
        # nginx would still read a template of an earlier version that no longer exists.
        for copy in (target / part).rglob("*"):
            if copy.is_file() and not (source / copy.relative_to(target / part)).exists():
                copy.unlink(missing_ok=True)


def _let_read(path: Path, executable: bool) -> None:
    """Make a mounted file readable under any umask, since nginx's workers and Postgres are other users.

    Other users still have no access, since only its owner may enter `.graasp-local`.
    """
    mode = 0o755 if executable else 0o644
    if path.stat().st_mode & 0o777 != mode:
        path.chmod(mode)


def mounts_digest(mounts: Iterable[str]) -> bytes:
    """Changes when any of these files of the stack does, or any file in these directories."""
    digest = hashlib.sha256()
    for mount in mounts:
        top = stack_directory() / mount
        files = [top] if top.is_file() else sorted(path for path in top.rglob("*") if path.is_file())
        for file in files:
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.digest()


def stack_digest() -> bytes:
    """Changes when any file of the stack does."""
    return mounts_digest(("compose", "nginx"))


def settings_variable(service: str) -> str:
    """The variable with which Compose gets the digest for a service's container label."""
    return f"{SETTINGS_PREFIX}{service.upper().replace('-', '_')}"


def settings_in(secrets: Iterable[str]) -> frozenset[str]:
    """The settings whose values are in these secret files."""
    return frozenset(SECRET_FILES[name] for name in secrets if name in SECRET_FILES)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _secret_names(secrets: object) -> Iterator[str]:
    for item in secrets if isinstance(secrets, list) else ():
        yield str(item.get("source", "")) if isinstance(item, dict) else str(item)


def read_services(files: Sequence[Path], profiles: Iterable[str] = ()) -> tuple[ServiceDefinition, ...]:
    """The services of these compose files, later ones overriding earlier, without those of inactive profiles.

    Raises ConfigurationError for a file that is not YAML, a service without a known group, or one that Graasp needs and
    that an inactive profile switches off.
    """
    merged: dict[str, dict[str, Any]] = {}
    shared: dict[tuple[str, str], str] = {}
    for file in files:
        if not file.is_relative_to(stack_directory() / "compose"):
            shared |= _given_to_services(file)
        for name, definition in services_in(file).items():
            known = merged.setdefault(name, {"labels": {}, "profiles": [], "image": "", "file": file})
            known["labels"] |= _as_mapping(definition.get("labels"))
            if definition.get("profiles"):
                known |= {"profiles": definition["profiles"], "file": file}
            known["image"] = str(definition.get("image") or known["image"])
            text = _as_text(file, name, definition)
            known["text"] = known.get("text", "") + text
            if file.parent != stack_directory() / "compose":
                known["override"] = known.get("override", "") + text
            known["secrets"] = (*known.get("secrets", ()), *_secret_names(definition.get("secrets")))
            known["configs"] = (*known.get("configs", ()), *_secret_names(definition.get("configs")))
            replicas = _replicas(definition)
            if str(replicas).lstrip("-").isdigit() and int(str(replicas)) < 1:
                raise ConfigurationError(
                    f"{file} sets the number of containers of {name} to {replicas}, so the site would wait for it "
                    "forever.",
                    "Nothing was changed.",
                    f"To switch {name} off, give it a profile that is off.",
                )
            known["replicas"] = known.get("replicas", 1) if replicas is None else replicas
    active = {*profiles}
    services = []
    for name, known in merged.items():
        group = _group(name, known)
        service_profiles = tuple(known["profiles"])
        if name in _NEEDED and service_profiles and not active.intersection(service_profiles):
            raise ConfigurationError(
                f"{known['file']} gives {name} the profile {service_profiles[0]}, which is off: Graasp needs {name}.",
                "Nothing was changed.",
                f"Remove `profiles` from {name} there.",
            )
        if group is ServiceGroup.MIGRATION or not service_profiles or active.intersection(service_profiles):
            database = known["labels"].get(DATABASE_LABEL, "")
            used = ((kind, each) for kind in _GIVEN for each in known[kind])
            text = known["text"] + "".join(shared.get(each, "") for each in used)
            services.append(
                ServiceDefinition(
                    name,
                    group,
                    service_profiles,
                    known["image"],
                    database,
                    known["labels"].get(WRITES_LABEL) == "true",
                    tuple(sorted({*_VARIABLE.findall(text), *settings_in(known["secrets"])})),
                    tuple(sorted({*_MOUNT.findall(text)})),
                    _digest(text),
                    _digest(known["override"]) if "override" in known else "",
                    known["replicas"] if isinstance(known["replicas"], int) else None,
                )
            )
    return tuple(services)


def _given_to_services(file: Path) -> dict[tuple[str, str], str]:
    """By kind and name, the definitions of the configs and secrets in a compose file."""
    content = content_of(file)
    return {
        (kind, str(name)): _as_text(file, str(name), definition)
        for kind in _GIVEN
        for name, definition in _as_dictionary(content.get(kind)).items()
        if isinstance(definition, Mapping)
    }


def _as_dictionary(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


def one_container_only(files: Sequence[Path], services: Collection[str]) -> Iterator[str]:
    """Why there cannot be several containers of these services, one sentence each."""
    for file in files:
        for name, definition in services_in(file).items():
            if name in services and definition.get("container_name"):
                yield f"{file} gives {name} a container_name, so there can be only one container of it."
            if name in services and any(_is_fixed(port) for port in definition.get("ports") or ()):
                yield f"{file} publishes a port of {name}, so there can be only one container of it."


def _is_fixed(port: object) -> bool:
    """Whether it is a port of the machine that only one container can have."""
    if isinstance(port, Mapping):
        return bool(port.get("published"))
    host, _, _ = str(port).rpartition(":")
    return bool(host) and not host.endswith(":")


def _replicas(definition: Mapping[str, Any]) -> object:
    deployed = definition.get("deploy")
    asked = [definition.get("scale"), deployed.get("replicas") if isinstance(deployed, Mapping) else None]
    return next((number for number in asked if number is not None), None)


def filled_in(text: str, values: Mapping[str, str]) -> str:
    """A text of a compose file with its `${NAME}` and `${NAME:-default}` filled in, as Compose does it."""
    # Innermost first, since a default may contain a variable.
    variable = re.compile(r"\$\{([A-Za-z0-9_]+)(?::?-([^${}]*))?\}")
    while variable.search(text):
        text = variable.sub(lambda found: values.get(found[1]) or found[2] or "", text)
    return text


def read_backup_volumes(files: Sequence[Path]) -> tuple[str, ...]:
    """The volumes that belong in a backup: what the compose files list under `x-backup-volumes`, taken together.

    Not a label on the volume, because Compose offers to recreate a volume whose labels have changed.
    """
    named = [str(name) for file in files for name in content_of(file).get("x-backup-volumes") or ()]
    return tuple(dict.fromkeys(named))


def read_backup_contents(files: Sequence[Path]) -> Mapping[str, tuple[str, ...]]:
    """The top-level directories of each volume that a backup keeps, as listed in `x-backup-only`.

    A volume that is not listed there is kept completely.
    """
    only: dict[str, tuple[str, ...]] = {}
    for file in files:
        listed = content_of(file).get("x-backup-only") or {}
        only |= {str(volume): tuple(map(str, names)) for volume, names in listed.items()}
    return only


def services_in(file: Path) -> dict[str, dict[str, Any]]:
    content = content_of(file)
    services = content.get("services") or {}
    if not (isinstance(services, dict) and all(isinstance(item, dict | None) for item in services.values())):
        raise _no_compose_file(file)
    return {str(name): definition or {} for name, definition in services.items()}


def volumes_in(file: Path) -> tuple[str, ...]:
    """The names of the volumes that a compose file defines. Raises ConfigurationError."""
    volumes = content_of(file).get("volumes") or {}
    if not isinstance(volumes, dict):
        raise _no_compose_file(file)
    return tuple(str(name) for name in volumes)


def content_of(file: Path) -> dict[str, Any]:
    """The content of a compose file, without Compose's own tags. Raises ConfigurationError."""
    import yaml

    # libyaml's loader if it is built in: parsing is a third of the start-up of `status`.
    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Understands Compose's own tags (!reset, !override) as far as services and groups need."""

    Loader.add_multi_constructor("!", lambda loader, _, node: _untagged(loader, node))
    try:
        content = yaml.load(file.read_text(), Loader=Loader)  # noqa: S506
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(getattr(error, "problem_mark", None), "line", None)
        line = f", line {where + 1}" if where is not None else ""
        raise ConfigurationError(
            f"{file}{line}: this is not valid YAML.", "Nothing was changed.", "Fix the file and try again."
        ) from error
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}.", "Nothing was changed.") from error
    if content is not None and not isinstance(content, dict):
        raise _no_compose_file(file)
    return content or {}


def _as_text(file: Path, name: str, definition: Mapping[str, Any]) -> str:
    """Raises ConfigurationError for what YAML allows and Compose does not: circular aliases, keys of mixed types."""
    try:
        return json.dumps(definition, sort_keys=True, default=str)
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigurationError(
            f"{file}: the service {name} contains itself, or has keys that are not text.",
            "Nothing was changed.",
            "Fix the file and try again.",
        ) from error


def _no_compose_file(file: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{file} is not a compose file: `services` should be a mapping of service names.",
        "Nothing was changed.",
        "Fix the file and try again.",
    )


def _untagged(loader: Any, node: Any) -> Any:
    import yaml

    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return None


def _as_mapping(labels: object) -> dict[str, str]:
    if isinstance(labels, dict):
        return {str(key): str(value) for key, value in labels.items()}
    if isinstance(labels, list):
        return {key: value for key, _, value in (str(label).partition("=") for label in labels)}
    return {}


def _group(name: str, known: dict[str, Any]) -> ServiceGroup:
    said = known["labels"].get(GROUP_LABEL)
    try:
        group = ServiceGroup(said)
        # The administration runs while Graasp's database changes, but services that write to it must not.
        writes = known["labels"].get(WRITES_LABEL) == "true"
        return ServiceGroup.GRAASP if writes and group is ServiceGroup.ADMINISTRATION else group
    except ValueError:
        groups = ", ".join(ServiceGroup)
        raise ConfigurationError(
            f"{known['file']}: the service {name} has {f'the unknown group {said!r}' if said else 'no group'}.",
            "No state would start or stop it.",
            f"Set its label {GROUP_LABEL} to one of: {groups}.",
        ) from None

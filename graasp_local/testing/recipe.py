"""What a stack is made of: what a test asked for, as one value, and the resulting settings and compose file. Pure.

The site of a stack has one compose.override.yaml. It combines the demo images' health checks, the ports that a test
needs, the labels of the test run, a shared network, and the test's own overrides.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from graasp_local.errors import UsageError
from graasp_local.planning.states import InfraState
from graasp_local.settings import ALL
from graasp_local.settings.table import OWN_VARIABLES
from graasp_local.wording import listed

CLAIM_LABEL = "org.graasp.testing.claim"
"""The directory of the claim that a stack belongs to."""
HOST_LABEL = "org.graasp.testing.host"
"""The machine that has this directory."""

PUBLISHED: Mapping[str, int] = {
    "umami": 3000,
    "etherpad": 9001,
    "iframely": 8061,
    "files": 8080,
    "admin": 4000,
    "mailpit": 8025,
}
"""Services that a test may reach without nginx, and the port that each listens on."""

_BY_ITSELF = frozenset({"mailpit"})
"""Services whose port the stack's own compose files publish."""

_ALWAYS_ON = frozenset({"umami"})
"""Services with such a port that belong to every stack."""

_ON_SHARED_NETWORK = ("nginx", "core", "workers")

_OURS = frozenset({"COMPOSE_PROJECT_NAME", "HTTP_BIND", "TLS", "COMPOSE_PROFILES"})
"""Settings that the stack decides itself, or that have a method of their own."""

_FORGETFUL_DATABASE = ("postgres", "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
"""Test data need not survive a crash of the machine, so Postgres does not wait for the disk."""

_REPLACED = frozenset({"command", "entrypoint", "test"})
"""Lists that Compose replaces; it appends to all others."""


def ports_of(profiles: Collection[str]) -> tuple[str, ...]:
    """The services for which the engine picks a port of this machine."""
    return ("db", *(name for name in PUBLISHED if name in _ALWAYS_ON or name in profiles))


class Source(StrEnum):
    """The source of images that a test does not name."""

    DEMO = "demo"
    REGISTRY = "registry"


class Recipe(Struct, frozen=True):
    """Everything that was asked for; stacks with equal recipes are interchangeable."""

    version: str = ""
    """Empty: the newest release whose images are on the engine."""
    state: InfraState = InfraState.RUNNING
    source: Source = Source.DEMO
    repository: str = ""
    images: dict[str, str] = {}
    """Custom images, by service."""
    settings: dict[str, str] = {}
    profiles: tuple[str, ...] = ()
    overrides: tuple[dict[str, Any], ...] = ()
    network: str = ""

    def fingerprint(self, stack: bytes, program: str) -> str:
        """The same for equal recipes with the same compose files and graasp-local."""
        told = msgspec.json.encode([self, stack.hex(), program], order="sorted")
        return hashlib.sha256(told).hexdigest()[:32]


def refuse_settings(settings: Mapping[str, str], overrides: Sequence[Mapping[str, Any]]) -> None:
    """Raises UsageError for a key that nothing would read, or that the stack sets itself."""
    mentioned = set(re.findall(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", str(overrides)))
    known = {item.key for item in ALL} | mentioned
    for key in settings:
        if key in _OURS or key in OWN_VARIABLES:
            raise UsageError(
                f"{key} is set by the stack itself.",
                "Nothing was started.",
                "Use with_profiles to switch parts on; the stack chooses its own project, port and address.",
            )
        if key not in known:
            raise UsageError(
                f"{key} is not a setting of graasp-local.{_perhaps(key, known)}",
                "Nothing was started.",
                "docs/reference.md lists them; with_override puts any variable into a service's environment.",
            )


def refuse_names(kind: str, given: Iterable[str], known: Collection[str]) -> None:
    """Raises UsageError for a service or profile that the compose files do not have."""
    for name in given:
        if name not in known:
            raise UsageError(
                f"There is no {kind} {name}.{_perhaps(name, known)}",
                "Nothing was started.",
                f"Use one of {listed(tuple(sorted(known)))}.",
            )


def _perhaps(name: str, known: Collection[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, sorted(known), 1)
    return f" Did you mean {near[0]}?" if near else ""


def image_variable(service: str) -> str:
    """The key of `.env` that names a service's image."""
    return f"{service.upper().replace('-', '_')}_IMAGE"


def read_override(given: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    """An override as a mapping, with absolute bind mounts. Raises UsageError if the file is not a compose file."""
    import yaml

    if isinstance(given, Mapping):
        return _anchored({**given}, Path.cwd())
    file = Path(given).resolve()
    try:
        content = yaml.load(file.read_text(), Loader=_loader())  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{file} is not a compose file that can be read: {error}.", "Nothing was started.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{file} is not a compose file.", "Nothing was started.")
    return _anchored(content, file.parent)


def _anchored(content: dict[str, Any], directory: Path) -> dict[str, Any]:
    services = content.get("services")
    for service in services.values() if isinstance(services, dict) else ():
        volumes = service.get("volumes") if isinstance(service, dict) else None
        if not isinstance(volumes, list):
            continue
        service["volumes"] = [_mount(mount, directory) for mount in volumes]
    return content


def _mount(mount: Any, directory: Path) -> Any:
    if isinstance(mount, str) and mount.startswith(("./", "../")):
        source, _, rest = mount.partition(":")
        return f"{(directory / source).resolve()}:{rest}"
    if isinstance(mount, dict) and str(mount.get("source", "")).startswith(("./", "../")):
        return {**mount, "source": str((directory / mount["source"]).resolve())}
    return mount


def override_of(
    recipe: Recipe,
    demo: Mapping[str, Any],
    labels: Mapping[str, str],
    services: Collection[str],
    volumes: Collection[str],
    networks: Mapping[str, str],
) -> dict[str, Any]:
    """The compose.override.yaml of a stack. `services`, `volumes` and `networks` are those of graasp-local's own files.

    `networks` has a subnet for each network, empty if the engine chooses; a network that the test defines is left
    alone. `demo` is the override of the demo images; it is not applied to services with a custom image.
    """
    content: dict[str, Any] = {"services": {}}
    if recipe.source is Source.DEMO:
        kept = {name: what for name, what in demo.get("services", {}).items() if name not in recipe.images}
        content["services"] = dict(kept)
    if "db" not in recipe.images:
        content["services"]["db"] = {"command": [*_FORGETFUL_DATABASE]}
    for override in recipe.overrides:
        content = merged(content, override)
    named = {*services, *(content.get("services") or {})}
    for name in named:
        ours: dict[str, Any] = {"labels": dict(labels)}
        if name in PUBLISHED and name not in _BY_ITSELF:
            ours["ports"] = [f"127.0.0.1::{PUBLISHED[name]}"]
        if recipe.network and name in _ON_SHARED_NETWORK:
            ours["networks"] = {"shared": {"aliases": ["graasp"]} if name == "nginx" else {}}
        content = merged(content, {"services": {name: ours}})
    for kind, names in (("volumes", volumes), ("networks", networks)):
        for name in {*names, *(content.get(kind) or {})}:
            definition = (content.get(kind) or {}).get(name) or {}
            if not (isinstance(definition, Mapping) and definition.get("external")):
                content = merged(content, {kind: {name: {"labels": dict(labels)}}})
            if kind == "networks" and networks.get(name) and not definition:
                content = merged(content, {kind: {name: {"ipam": {"config": [{"subnet": networks[name]}]}}}})
    if recipe.network:
        content = merged(content, {"networks": {"shared": {"external": True, "name": recipe.network}}})
    return content


def merged(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two compose files as Compose does: mappings are merged, lists appended to."""
    result = {**base}
    for key, value in other.items():
        known = result.get(key)
        if key in ("labels", "environment", "networks") and not isinstance(known, _Tagged):
            known, value = _as_mapping(known), _as_mapping(value) if isinstance(value, list) else value
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            result[key] = merged(known, value)
        elif isinstance(known, list) and isinstance(value, list) and key not in _REPLACED:
            result[key] = [*known, *(item for item in value if item not in known)]
        elif value is not None or key not in result:
            result[key] = value
    return result


def _as_mapping(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    parts = (str(item).partition("=") for item in value)
    return {name: text if equals else None for name, equals, text in parts}


class _Tagged:
    """A value with one of Compose's own tags, such as `!reset`, copied from one file to another."""

    def __init__(self, tag: str, node: Any) -> None:
        self.tag, self.node = tag, node


def _loader() -> Any:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    def tagged(_loader: Any, suffix: str, node: Any) -> _Tagged:
        return _Tagged(f"!{suffix}", node)

    Loader.add_multi_constructor("!", tagged)
    return Loader


def as_yaml(content: Mapping[str, Any]) -> str:
    """The text of a compose file."""
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - as PyYAML calls it
            return True

    def represent(_dumper: Any, value: _Tagged) -> Any:
        node = value.node
        node.tag = value.tag
        return node

    Dumper.add_representer(_Tagged, represent)
    return str(yaml.dump(dict(content), Dumper=Dumper, sort_keys=False))

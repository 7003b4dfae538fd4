"""Files of the machine that an override gives to services: mounted, as a config or secret, or as an env file.

Their content decides as much as the override itself whether a service comes up, so copies of small ones are kept with
it. An override is rewritten here to name the copies; everything else in it, Compose's own tags included, stays as it
is. Pure, apart from what is read from the files.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from graasp_local.errors import ConfigurationError
from graasp_local.stack.services import filled_in

LARGEST_BYTES = 1024 * 1024
"""Of a file, or of everything in a directory. Anything larger is data, and no copy of it is kept."""

_MOST_FILES = 200
_NOT_FILES = ("/dev", "/proc", "/run", "/sys", "/var/run")
_NAMES_FILES = re.compile(r"\b(volumes|env_file|configs|secrets)\b")
_WITHOUT_BRACES = re.compile(r"(?<!\$)\$([A-Za-z_][A-Za-z0-9_]*)")


class NamedFile(Struct, frozen=True):
    """A file or directory that an override names, and the services that get it."""

    named: str
    """As it is written there, variables filled in."""
    path: Path
    services: frozenset[str]
    read_only: bool
    """No service writes to it."""

    def content(self) -> bytes | None:
        """A digest of what is in it; None if it is not there, cannot be read, or is not what a person configures.

        A service's own data must not be replaced by an older copy. So a file that services may write to counts only if
        it is text, and a directory only if they may not write to it.
        """
        try:
            if self.path.is_dir():
                return _content_of_directory(self.path) if self.read_only else None
            if not self.path.is_file() or self.path.stat().st_size > LARGEST_BYTES:
                return None
            content = self.path.read_bytes()
        except OSError:
            return None
        return None if b"\0" in content and not self.read_only else _digest(content)

    def changed_at(self) -> float:
        """When it last changed, in seconds since 1970; putting an older file in its place counts. Raises OSError."""
        below = self.path.rglob("*") if self.path.is_dir() else ()
        return max((path.lstat().st_ctime for path in (self.path, *below)), default=0.0)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _content_of_directory(directory: Path) -> bytes | None:
    digest, size = hashlib.sha256(), 0
    for number, path in enumerate(sorted(directory.rglob("*"))):
        size += path.lstat().st_size if path.is_file() else 0
        if number >= _MOST_FILES or size > LARGEST_BYTES or not (path.is_file() or path.is_dir()):
            return None
        name = os.fsencode(path.relative_to(directory))
        digest.update(name + b"\0" + (_digest(path.read_bytes()) if path.is_file() else b"/"))
    return digest.digest()


class _Mention(Struct, frozen=True):
    """One place in an override that names a file."""

    node: Any
    named: str
    rest: str
    """What follows in the same text: where it is mounted, and how."""
    services: frozenset[str]
    read_only: bool


def files_named(override: str, values: Mapping[str, str], directory: Path, own: Path) -> tuple[NamedFile, ...]:
    """The files that the text of an override names, relative to `directory`; `values` fill in its variables.

    Those below `own` are graasp-local's. Raises ConfigurationError.
    """
    found: dict[Path, NamedFile] = {}
    for mention in _mentions(_tree(override), values):
        path = directory / Path(mention.named).expanduser()
        if path.is_relative_to(own) or str(path).startswith(tuple(f"{each}/" for each in _NOT_FILES)):
            continue
        other = found.get(path, NamedFile(mention.named, path, frozenset(), read_only=True))
        services, read_only = other.services | mention.services, other.read_only and mention.read_only
        found[path] = NamedFile(other.named, path, services, read_only)
    return tuple(found.values())


def with_others(override: str, values: Mapping[str, str], others: Mapping[str, Path]) -> str:
    """The override with each of these files, as it is named there, replaced by another. Raises ConfigurationError."""
    import yaml

    tree = _tree(override)
    for mention in tuple(_mentions(tree, values)):
        if mention.named in others:
            mention.node.value = f"{others[mention.named]}{mention.rest}".replace("$", "$$")
    return str(yaml.serialize(tree, Dumper=yaml.SafeDumper, allow_unicode=True))


def _tree(override: str) -> Any:
    import yaml

    if not _NAMES_FILES.search(override):
        return None
    try:
        return yaml.compose(override, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ConfigurationError("compose.override.yaml is not valid YAML.", "Nothing was changed.") from error


def _mentions(tree: Any, values: Mapping[str, str]) -> Iterator[_Mention]:
    def filled(node: Any) -> str:
        text = _WITHOUT_BRACES.sub(r"${\1}", node.value if _is_text(node) else "")
        return filled_in(text, values).replace("$$", "$")

    users: dict[tuple[str, str], set[str]] = {}
    for service, definition in _items(_value(tree, "services")):
        for kind in ("configs", "secrets"):
            for item in _sequence(_value(definition, kind)):
                users.setdefault((kind, filled(_value(item, "source") or item)), set()).add(service)
        yield from _of_service(service, definition, filled)
    for kind in ("configs", "secrets"):
        for name, definition in _items(_value(tree, kind)):
            file = _value(definition, "file")
            if filled(file):
                yield _Mention(file, filled(file), "", frozenset(users.get((kind, name), ())), read_only=True)


def _of_service(service: str, definition: Any, filled: Callable[[Any], str]) -> Iterator[_Mention]:
    alone = frozenset({service})
    for mount in _sequence(_value(definition, "volumes")):
        source, *rest = filled(mount).split(":") if _is_text(mount) else [filled(_value(mount, "source"))]
        if not source.startswith(("/", ".", "~")):
            continue  # a volume
        if _is_text(mount):
            read_only = len(rest) > 1 and "ro" in rest[1].split(",")
            yield _Mention(mount, source, "".join(f":{part}" for part in rest), alone, read_only)
        elif filled(_value(mount, "type")) == "bind":
            read_only = filled(_value(mount, "read_only")).lower() in ("true", "yes", "on")
            yield _Mention(_value(mount, "source"), source, "", alone, read_only)
    env_files = _value(definition, "env_file")
    for item in (env_files,) if _is_text(env_files) else _sequence(env_files):
        file = item if _is_text(item) else _value(item, "path")
        if filled(file):
            yield _Mention(file, filled(file), "", alone, read_only=True)


def _is_text(node: Any) -> bool:
    return getattr(node, "id", "") == "scalar"


def _sequence(node: Any) -> tuple[Any, ...]:
    return tuple(node.value) if getattr(node, "id", "") == "sequence" else ()


def _items(node: Any) -> Iterator[tuple[str, Any]]:
    """The keys and values of a mapping, its own before those that `<<` merges into it."""
    pairs = node.value if getattr(node, "id", "") == "mapping" else ()
    yield from ((str(key.value), value) for key, value in pairs if key.value != "<<")
    for key, value in pairs:
        if key.value == "<<":
            for merged in _sequence(value) or (value,):
                yield from _items(merged)


def _value(node: Any, wanted: str) -> Any:
    return next((value for key, value in _items(node) if key == wanted), None)

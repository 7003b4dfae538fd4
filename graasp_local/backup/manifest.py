"""A backup's description of itself: its parts, with size, sha256 and content, and the versions they belong to.

Decides how it is written and read, and refuses an incomplete manifest. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct, convert, to_builtins
from msgspec.structs import asdict

from graasp_local.backup.names import DATABASES
from graasp_local.ports.data import DatabaseProperties
from graasp_local.wording import listed, plain_text

FORMAT = 1
MANIFEST_FILE = "manifest.json"
_NAMED = 5
"""How many things one sentence names."""


class StoredFile(Struct, frozen=True):
    """A file of a backup: its name inside it, its size in bytes, and the sha256 of its content."""

    file: str
    bytes: int
    sha256: str


class DatabasePart(Struct, frozen=True):
    """A dump of one database. `rows` counts every table, at the same moment as the dump.

    `content_bytes` is roughly how much space the database takes on its server.
    """

    name: str
    stored: StoredFile
    rows: Mapping[str, int]
    content_bytes: int
    properties: DatabaseProperties | None = None
    """What belongs to the database but is in no dump; None in backups from before this was kept."""
    only_superusers: tuple[str, ...] = ()
    """What keeps the dump from being restored: only a superuser may create it, and a dump is loaded as its owner."""

    @property
    def warning(self) -> str:
        """Why it could not be restored, as a sentence; empty if nothing is known that would prevent it."""
        if not self.only_superusers:
            return ""
        first, more = self.only_superusers[:_NAMED], len(self.only_superusers) - _NAMED
        return (
            f"{self.stored.file} cannot be restored as it is, because only the server's superuser can create "
            f"{listed(first)}{f' and {more} more' if more > 0 else ''}. Drop what Graasp does not need, or create it "
            "without that, then take another backup."
        )


class VolumePart(Struct, frozen=True):
    """A tar archive of one volume; `files` counts the regular files in it, `content_bytes` sums their sizes."""

    name: str
    stored: StoredFile
    files: int
    content_bytes: int


class SettingsPart(Struct, frozen=True):
    """`.env`, encrypted with a passphrase in the age format."""

    name: str
    stored: StoredFile


Part = DatabasePart | VolumePart | SettingsPart

_KINDS: Mapping[str, type[Part]] = {"database": DatabasePart, "volume": VolumePart, "settings": SettingsPart}


class Manifest(Struct, frozen=True):
    """One backup. `at` is when it was begun, in UTC as ISO 8601; `version` is Graasp's, empty if none was deployed.

    `before` is the version whose deployment it was taken for; empty if a person or a timer asked for it.
    """

    name: str
    at: str
    project: str
    made_by: str
    version: str
    postgres: int
    """The major version of the server that the dumps come from."""
    parts: tuple[Part, ...]
    before: str = ""

    @property
    def taken_at(self) -> float:
        """Seconds since 1970."""
        return datetime.fromisoformat(self.at).timestamp()

    @property
    def bytes(self) -> int:
        return sum(part.stored.bytes for part in self.parts)

    @property
    def databases(self) -> tuple[DatabasePart, ...]:
        return tuple(part for part in self.parts if isinstance(part, DatabasePart))

    @property
    def volumes(self) -> tuple[VolumePart, ...]:
        return tuple(part for part in self.parts if isinstance(part, VolumePart))

    @property
    def settings(self) -> SettingsPart | None:
        return next((part for part in self.parts if isinstance(part, SettingsPart)), None)

    def database(self, name: str) -> DatabasePart | None:
        return next((part for part in self.databases if part.name == name), None)


def unknown_name(manifest: Manifest) -> str:
    """A name that none of our backups has, so that foreign names have no effect; empty if all are known."""
    seen: set[str] = set()
    for part in manifest.parts:
        match part:
            case DatabasePart():
                expected = f"{part.name}.dump" if part.name in DATABASES else ""
            case VolumePart():
                expected = f"{part.name}.tar" if re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", part.name) else ""
            case SettingsPart():
                expected = "env.age" if part.name == ".env" else ""
        if part.stored.file != expected or expected in seen:
            return f"{part.name} in {part.stored.file}"
        seen.add(expected)
    told = {"name": manifest.name, "project": manifest.project, "version": manifest.version, "before": manifest.before}
    return next((f"{what} {text}" for what, text in told.items() if not re.fullmatch(r"[\w.+-]*", text, re.A)), "")


class ManifestError(ValueError):
    """Why a text is not a manifest, as the end of a sentence."""


def as_json(manifest: Manifest) -> dict[str, Any]:
    """The manifest as one JSON object."""
    return {
        "format": FORMAT,
        **{key: value for key, value in asdict(manifest).items() if key != "parts"},
        "parts": [_part_as_json(part) for part in manifest.parts],
    }


def from_json(told: object) -> Manifest:
    """The manifest in a JSON object. Raises ManifestError."""
    if not isinstance(told, dict):
        raise ManifestError("it is not a JSON object")
    if told.get("format") != FORMAT:
        raise ManifestError(f"its format is {told.get('format')}, but this graasp-local reads format {FORMAT}")
    try:
        manifest = Manifest(
            name=str(told["name"]),
            at=str(told["at"]),
            project=str(told["project"]),
            made_by=str(told["made_by"]),
            version=str(told["version"]),
            postgres=int(told["postgres"]),
            parts=tuple(_part_from_json(part) for part in told["parts"]),
            before=str(told.get("before", "")),
        )
        _ = manifest.taken_at
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, OSError) as error:
        raise ManifestError(f"it is incomplete ({type(error).__name__}: {error})") from error
    for part in manifest.parts:
        # It may come from another machine: a name in it must not lead out of the backup's directory.
        if "/" in part.stored.file or part.stored.file.startswith("."):
            raise ManifestError(f"it names a file outside the backup ({part.stored.file})")
    return manifest


def _part_as_json(part: Part) -> dict[str, Any]:
    kind = next(kind for kind, cls in _KINDS.items() if isinstance(part, cls))
    told = asdict(part)
    if isinstance(part, DatabasePart):
        told["properties"] = to_builtins(part.properties)
    return {"kind": kind, **asdict(told.pop("stored")), **told}


def _part_from_json(told: Mapping[str, Any]) -> Part:
    stored = StoredFile(str(told["file"]), int(told["bytes"]), str(told["sha256"]))
    name = str(told["name"])
    match told["kind"]:
        case "database":
            rows = {str(table): int(count) for table, count in told["rows"].items()}
            properties = convert(told.get("properties"), DatabaseProperties | None)
            only_superusers = tuple(plain_text(str(each)) for each in told.get("only_superusers", ()))
            return DatabasePart(name, stored, rows, int(told["content_bytes"]), properties, only_superusers)
        case "volume":
            return VolumePart(name, stored, int(told["files"]), int(told["content_bytes"]))
        case "settings":
            return SettingsPart(name, stored)
        case kind:
            raise ValueError(f"a part of the unknown kind {kind!r}")

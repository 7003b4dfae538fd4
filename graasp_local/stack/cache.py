"""A cache of the parsed compose files, kept in the site, because reading YAML is half of a `status`.

It carries a digest of the files it was made from, and is ignored for any others. A cache that cannot be read or written
is not an error; then the files are read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from graasp_local import __version__
from graasp_local.files import json_in
from graasp_local.planning.states import ServiceGroup
from graasp_local.stack.services import ServiceDefinition, read_services


def services_of(files: Sequence[Path], profiles: Iterable[str], cache: Path) -> tuple[ServiceDefinition, ...]:
    """Like read_services, and raises its errors; `cache` is the file in which the result is kept."""
    active = sorted({*profiles})
    try:
        digest = _digest(files, active)
    except OSError:
        return read_services(files, active)  # raises the error that names the file and what to do
    kept = _kept(cache, digest)
    if kept is None:
        kept = read_services(files, active)
        _keep(cache, digest, kept)
    return kept


def _digest(files: Sequence[Path], profiles: Sequence[str]) -> str:
    digest = hashlib.sha256(json.dumps([__version__, *profiles]).encode())
    for file in files:
        digest.update(b"\0" + str(file).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _kept(cache: Path, digest: str) -> tuple[ServiceDefinition, ...] | None:
    try:
        text = cache.read_text()
        content = json_in(text)
        if content["digest"] != digest or "\\u0000" in text:
            return None
        rows = content["services"]
        return tuple(
            ServiceDefinition(
                name,
                ServiceGroup(group),
                tuple(profiles),
                image,
                database,
                writes,
                tuple(variables),
                tuple(mounts),
                own,
                override,
                replicas,
            )
            for name, group, profiles, image, database, writes, variables, mounts, own, override, replicas in rows
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # unusable: read the files again


def _keep(cache: Path, digest: str, services: tuple[ServiceDefinition, ...]) -> None:
    rows = [
        [
            item.name,
            item.group.value,
            [*item.profiles],
            item.image,
            item.database,
            item.writes,
            [*item.variables],
            [*item.mounts],
            item.digest,
            item.override,
            item.replicas,
        ]
        for item in services
    ]
    # Another command may be reading or writing it at the same time, so it is replaced as a whole.
    written = cache.with_name(f".{cache.name}.{os.getpid()}")
    try:
        written.unlink(missing_ok=True)
        with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(json.dumps({"digest": digest, "services": rows}))
        written.replace(cache)
    except OSError:
        return

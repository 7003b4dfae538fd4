"""The settings and the override with which the site was last known to work, kept next to those that a person changes.

A rollback starts the old version as it ran before: what is in `.env` now may be why the new version did not come up.
The same goes for files that the override gives to services: copies of them are kept, and named by the override that a
rollback uses; a person's own files are never changed. Decides which of them differ, and when the kept ones count.
Secrets that a rotation changes in the database are changed here too, since the old ones no longer work.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from graasp_local.errors import ConfigurationError
from graasp_local.files import text_if_there, write_atomically
from graasp_local.planning.states import ServiceGroup
from graasp_local.settings.rotation import with_values
from graasp_local.site.site import Site
from graasp_local.stack.mounted import NamedFile, files_named, with_others

UsedSince = Callable[[str], float]
"""When the oldest of a service's containers was created, in seconds since 1970; 0 if it has none."""


class OwnFiles(Struct, frozen=True):
    """What a person has written for a site: `.env`, and the override, empty if there is none."""

    env: str
    override: str


def own_files(site: Site) -> OwnFiles:
    """The files that count now. Raises OSError."""
    # A file that is not text never works: the command that reads it says so.
    texts = [file.read_bytes().decode(errors="replace") if file.exists() else "" for file in _files(site)]
    return OwnFiles(*texts)


def _files(site: Site) -> tuple[Path, Path]:
    return site.env_file, site.override_file


def keep(site: Site, files: OwnFiles, used_since: UsedSince) -> None:
    """Keep these as the files that the site was last known to work with. Raises OSError."""
    directory = site.proven_directory
    kept = Site(site.directory, directory)
    if not directory.is_dir() or own_files(kept) != files:
        directory.mkdir(mode=0o700, exist_ok=True)
        if files.override:
            write_atomically(kept.override_file, files.override, mode=0o600)
        else:
            kept.override_file.unlink(missing_ok=True)
        write_atomically(kept.env_file, files.env, mode=0o600)
    _keep_copies(kept, used_since)


def _keep_copies(kept: Site, used_since: UsedSince) -> None:
    """Copy the files that the override names, if services were created since they last changed.

    If a file has been changed since then, the copy of its earlier content stays.
    """
    for old in kept.proven_directory.glob("override-*.yaml"):
        old.unlink()
    wanted = set()
    for file in _named(kept):
        copy, content = _copy_of(kept, file), file.content()
        wanted.add(copy.name)
        if content is None or content == _content_of(copy, file):
            continue
        created = [since for since in map(used_since, sorted(file.services)) if since]
        with suppress(OSError):  # changed or removed at this moment
            if created and min(created) >= file.changed_at():
                _copy(file.path, copy)
    for copy in _copies(kept).glob("*"):
        if copy.name not in wanted:
            _remove(copy)


def _copy(source: Path, copy: Path) -> None:
    """With the owner and the mode of the original, since the service that reads it may be another user."""
    copy.parent.mkdir(mode=0o700, exist_ok=True)
    half = copy.with_name(f".{copy.name}")
    _remove(half)
    if source.is_dir():
        shutil.copytree(source, half)
    else:
        shutil.copy2(source, half)
    for path, original in ((half, source), *((half / below, source / below) for below in _below(half))):
        with suppress(PermissionError):  # only root may give files away
            os.chown(path, original.stat().st_uid, original.stat().st_gid)
    _remove(copy)
    half.replace(copy)


def _below(directory: Path) -> Iterator[Path]:
    return (path.relative_to(directory) for path in directory.rglob("*"))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _copies(kept: Site) -> Path:
    return kept.proven_directory / "files"


def _copy_of(kept: Site, file: NamedFile) -> Path:
    return _copies(kept) / f"{hashlib.sha256(os.fsencode(file.path)).hexdigest()[:12]}-{file.path.name}"


def _content_of(copy: Path, file: NamedFile) -> bytes | None:
    return NamedFile(file.named, copy, file.services, file.read_only).content()


def _named(kept: Site) -> tuple[NamedFile, ...]:
    """The files that the kept override names. Raises ConfigurationError."""
    override = text_if_there(kept.proven_directory / kept.override_file.name)
    values = {**kept.settings.values, "GRAASP_STACK": str(kept.stack_copy)}
    return files_named(override, values, kept.directory, kept.own_directory)


def _changed_files(kept: Site) -> tuple[NamedFile, ...]:
    """The files that differ from their kept copies. Raises ConfigurationError."""
    return tuple(
        file
        for file in _named(kept)
        if (then := _content_of(_copy_of(kept, file), file)) is not None and then != file.content()
    )


def files_that_were(site: Site) -> frozenset[Path]:
    """The files that services were given when the site was last known to work."""
    kept = Site(site.directory, site.proven_directory)
    try:
        return frozenset(Path(os.path.normpath(file.path)) for file in _named(kept) if _copy_of(kept, file).is_file())
    except (ConfigurationError, OSError):
        return frozenset()


def as_proven(site: Site) -> Site | None:
    """The same site with the files that it was last known to work with.

    None if they say the same as its current ones, if none are kept, or if they can no longer be used.
    """
    kept = Site(site.directory, site.proven_directory)
    if not kept.env_file.exists():
        return None
    try:
        changed = changed_since(site, kept)
        if not changed or "COMPOSE_PROJECT_NAME" in changed:
            return None  # containers of another project belong to another site
        kept = _with_copies(kept)
        _ = kept.services
        return kept
    except (ConfigurationError, OSError):
        return None  # a newer graasp-local needs more in them


def _with_copies(kept: Site) -> Site:
    """The kept site, with an override that names the copies of files that were changed. Raises OSError."""
    others = {file.named: _copy_of(kept, file) for file in _changed_files(kept)}
    if not others:
        return kept
    text = with_others(kept.override_file.read_text(), kept.settings.values, others)
    # Named after its content, so that a command that plans at the same time does not change the file in use here.
    file = kept.proven_directory / f"override-{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
    if text_if_there(file) != text:
        write_atomically(file, text, mode=0o600)
    return Site(kept.directory, kept.kept, file)


def changed_since(site: Site, kept: Site) -> tuple[str, ...]:
    """What a person has changed since: keys of `.env`, the name of the override, and files that it names.

    Raises ConfigurationError.
    """
    site = Site(site.directory)  # as it is now: it may have been changed during an operation
    then = Site(kept.directory, kept.kept)
    files = tuple(dict.fromkeys(_called(then, file.path) for file in _changed_files(then)))
    try:
        now: Mapping[str, str] = site.settings.values
    except ConfigurationError:
        return (site.env_file.name, *files)
    values = then.settings.values
    keys = sorted(key for key in {*now, *values} if now.get(key) != values.get(key))
    overrides = [file for file in (site.override_file, then.override_file) if file.exists()]
    same = len({file.read_bytes() for file in overrides}) == 1 if len(overrides) == 2 else not overrides
    return (*keys, *(() if same else (site.override_file.name,)), *files)


def _called(site: Site, path: Path) -> str:
    path = Path(os.path.normpath(path))
    return str(path.relative_to(site.directory) if path.is_relative_to(site.directory) else path)


def changed_unnoticed(site: Site, kept: Site) -> tuple[str, ...]:
    """Services that are made from something other than what the kept files say, though no running container shows it.

    If what graasp-local itself ships has changed, the database and umami stay as they are until they are next started.
    Raises ConfigurationError.
    """
    groups = (ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION)
    then = {name: digest for group in groups for name, digest in kept.whole_digests(group).items()}
    now = {name: digest for group in groups for name, digest in site.whole_digests(group).items()}
    return tuple(sorted(name for name, digest in now.items() if then.get(name) != digest))


def changed_at(site: Site) -> float:
    """When a person last changed the files that count now, in seconds since 1970."""
    times = [file.stat().st_mtime for file in (site.env_file, site.override_file) if file.exists()]
    with suppress(ConfigurationError, OSError):
        changed = _changed_files(Site(site.directory, site.proven_directory))
        times += [file.changed_at() for file in changed if file.path.exists()]
    return max(times)


def rotated(site: Site, values: Mapping[str, str]) -> None:
    """Give the kept files these new values too. Raises OSError."""
    kept = Site(site.directory, site.proven_directory)
    text = text_if_there(kept.env_file)
    if not text:
        return
    try:
        write_atomically(kept.env_file, with_values(text, values), mode=0o600)
    except KeyError:  # it is from before this secret existed
        forget(site)


def forget(site: Site) -> None:
    with suppress(FileNotFoundError):
        Path(site.proven_directory / ".env").unlink()
    shutil.rmtree(site.proven_directory, ignore_errors=True)

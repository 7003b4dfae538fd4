"""What graasp-local writes into a site for Compose: the copy of the stack, secrets as files, what is selected.

Commands that only read (a plan, the terminal UI) write these too, and must not disturb a running operation. So a
selection is never overwritten by one that was read before it, and each candidate has a file of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec.structs import replace

from graasp_local.errors import ConfigurationError
from graasp_local.files import open_own_file, text_if_there, write_atomically
from graasp_local.journal.read import refuse_unreachable
from graasp_local.planning.server import DatabaseServer
from graasp_local.settings import Tls
from graasp_local.site.ownership import refuse_strangers
from graasp_local.site.selection import VERSION_KEY, Release, Selection, selection_lines
from graasp_local.site.site import Site
from graasp_local.stack.external import write_ca
from graasp_local.stack.inside import write_inside_certificate
from graasp_local.stack.secret_files import write_secret_files
from graasp_local.stack.services import copy_stack, settings_variable
from graasp_local.version import Version
from graasp_local.wording import plain_line

_CANDIDATES_KEPT_SECONDS = 24 * 3600
"""Counted from their last use: longer than any Compose command needs the file that it was given."""

_FOUND_OURS: set[Path] = set()
"""Sites that no one else could change when this process first used them: an operation is not refused halfway."""

_PREPARING = threading.Lock()
"""During a deployment a second thread calls Compose, and prepares the site too."""


def refuse_if_not_ours(site: Site) -> None:
    """Raises Refused if anyone other than this user or root could change the site: they could decide what is run."""
    refuse_strangers(site.strangers())
    _FOUND_OURS.add(site.directory)


def refuse_unusable_name(directory: Path) -> None:
    """Raises ConfigurationError for a directory whose name Compose would misread, or could not read.

    The name is written into an env file and into mounts, where `$` begins a variable, `#` after a space begins a
    comment, and `:` ends a path.
    """
    name = str(directory)
    odd = [sign for sign in ("$", ":") if sign in name]
    odd += ["# after a space"] if re.search(r"\s#", name) else []
    odd += ["a line break, a tab or a control character"] if plain_line(name) != name else []
    if any(0xD800 <= ord(char) <= 0xDFFF for char in name):
        odd = ["bytes that are not UTF-8"]
    if odd:
        raise ConfigurationError(
            f"The directory {name!r} cannot be a site: its name contains {' and '.join(odd)}.",
            "Compose would look in the wrong place. Nothing was changed.",
            "Choose another name: letters, digits, -, _, . and spaces always work.",
        )


def prepare(site: Site) -> None:
    """Bring what graasp-local keeps in the site up to date. Raises ConfigurationError if it cannot be trusted.

    Raises Refused, the first time in a process, if another user could change the site.
    """
    refuse_unusable_name(site.directory)
    if site.directory not in _FOUND_OURS:
        refuse_if_not_ours(site)
    site.own_directory.mkdir(mode=0o700, exist_ok=True)
    refuse_unreachable(site.journal_directory)
    site.journal_directory.mkdir(mode=0o700, exist_ok=True)
    with _PREPARING:
        copy_stack(site.stack_copy)
        write_secret_files(site.secrets_directory, site.settings.values)
        used = Site(site.directory).secrets_directory if site.kept else None
        write_ca(site.secrets_directory, site.settings.external_database)
        write_inside_certificate(site.secrets_directory, site.settings.public_url, used)
        _prepare_tls(site)
        _remove_old_candidates(site)
        if text_if_there(site.version_file) != _text(site, site.selection):
            with _selecting(site):
                _bring_up_to_date(site)


def _bring_up_to_date(site: Site) -> None:
    selection = site.selection
    if selection.version is None and VERSION_KEY in text_if_there(site.version_file):
        raise ConfigurationError(
            f"{site.version_file} does not contain a readable version.",
            "Nothing was changed.",
            f"Write the deployed version into it as {VERSION_KEY}=X; {site.deployments_file} lists it.",
        )
    _write(site.version_file, _text(site, selection))


def select(site: Site, chosen: Version | Release | DatabaseServer) -> None:
    """Select this version, with its images if it has any, or this database server, for services started from now on."""
    with _selecting(site):
        _write(site.version_file, _text(site, _with(site, chosen)))


def deselect(site: Site) -> None:
    """Select no version, as on a site that nothing was deployed to. The database server stays as it is."""
    with _selecting(site):
        _write(site.version_file, _text(site, replace(site.selection, version=None, images=(), named=(), database="")))


def candidate_file(site: Site, candidate: Version | Release | DatabaseServer | None) -> Path:
    """The env file that Compose is given to work with something that is not selected yet; written if it is missing.

    None: for what is selected, but with settings other than the site's current ones.
    """
    text = _text(site, _with(site, candidate))
    file = site.own_directory / f"candidate-{hashlib.sha256(text.encode()).hexdigest()[:12]}.env"
    if file.exists():
        with suppress(OSError):
            os.utime(file)  # its age counts from its last use
    else:
        _remove_old_candidates(site)
    _write(file, text)
    return file


@contextmanager
def _selecting(site: Site) -> Iterator[None]:
    """Lock out other changes of what is selected between reading and writing it. Held briefly; others wait for it."""
    descriptor = open_own_file(site.own_directory / "selection.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _prepare_tls(site: Site) -> None:
    """Prepare what is mounted into nginx while TLS is on. Raises ConfigurationError if the named files are unusable."""
    if site.settings.tls is Tls.OFF:
        return
    from graasp_local.tls.certificate import have_certificate

    # nginx's workers run as another user, and must be able to read what a certificate authority asks for.
    site.challenge_directory.mkdir(exist_ok=True)
    site.challenge_directory.chmod(0o755)
    have_certificate(site.settings, site.certificate_file)


def _with(site: Site, chosen: Version | Release | DatabaseServer | None) -> Selection:
    match chosen:
        case None:
            return site.selection
        case Version():
            return replace(site.selection, version=chosen, images=(), named=(), database=site.database_kind)
        case Release(version=version, images=images):
            called = site.images_named_for(version)
            named = tuple((key, called[key]) for key, _ in images if key in called)
            kind = site.database_kind
            return replace(site.selection, version=version, images=images, named=named, database=kind)
        case DatabaseServer(image=image, volume=volume):
            return replace(site.selection, image=image, volume=volume, instead_of=site.db_image)


def _text(site: Site, selection: Selection) -> str:
    lines = ["# Written by graasp-local. `deploy` changes the version, `upgrade-database` the database server."]
    lines.append(f"GRAASP_STACK={site.stack_copy}")
    lines.append(f"GRAASP_SECRETS={site.secrets_directory}")
    lines.append(f"GRAASP_BIND={site.settings.published_on}")
    lines += [f"{settings_variable(name)}={digest}" for name, digest in site.settings_digests.items()]
    lines += [f"{key}={value}" for key, value in site.told_to_stack.items()]
    lines.append(f"GRAASP_NO_PROXY={names_past_proxies(os.environ)}")
    counting = selection.images_in_effect(site.images_named_for(selection.version))
    lines += selection_lines(replace(selection, images=counting), site.db_image)
    return "\n".join(lines) + "\n"


def names_past_proxies(environment: Mapping[str, str]) -> str:
    """What the docker client's configuration exempts from its proxies, each with a comma before it; empty if nothing.

    Compose passes those proxies to containers, with these exemptions unless a service has its own.
    """
    directory = Path(environment.get("DOCKER_CONFIG") or Path(environment.get("HOME", "/root")) / ".docker")
    try:
        excepted = json.loads((directory / "config.json").read_text())["proxies"]["default"]["noProxy"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # Docker itself complains about an unreadable file
    names = (name.strip() for name in excepted.split(",")) if isinstance(excepted, str) else ()
    return "".join(f",{name}" for name in names if name and name.isprintable() and not set(name) & set(" #$'\"\\"))


def _write(file: Path, text: str) -> None:
    if text_if_there(file) != text:
        write_atomically(file, text, mode=0o600)


def _remove_old_candidates(site: Site) -> None:
    """Remove old candidates, including those that a kill left half-written."""
    for old in (*site.own_directory.glob("candidate*.env"), *site.own_directory.glob(".candidate*")):
        with suppress(FileNotFoundError):  # another process was quicker
            if old.stat().st_mtime < time.time() - _CANDIDATES_KEPT_SECONDS:
                old.unlink()

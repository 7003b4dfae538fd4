"""The files of a site that containers mount, on the machine of an engine that is elsewhere.

An engine mounts files of its own machine. So before Compose makes containers there, the copy of the stack, the secrets
and the certificate are put into a directory over there, through the engine: by unpacking them into a container that
mounts the directory and never starts.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graasp_local.engine.containers.temporary import temporary_container
from graasp_local.engine.reach.addresses import chosen_address, is_on_this_machine
from graasp_local.engine.reach.client import connect, engine_refusals
from graasp_local.site.site import Site

ROOT = "/var/lib/graasp-local"
_MOUNT = "/graasp-local"

_sent: dict[tuple[str, str], str] = {}
"""By engine and project, a digest of what this process has sent."""


def directory_of(project: str) -> str:
    """Where a site's files are on the machine of an engine that is elsewhere."""
    return f"{ROOT}/{project}"


def where_mounted_from(site: Site) -> Mapping[str, str]:
    """Variables of the compose files that differ from the site's own if the engine is elsewhere."""
    if is_on_this_machine():
        return {}
    there = directory_of(site.settings.project)
    return {"GRAASP_STACK": f"{there}/stack", "GRAASP_SECRETS": f"{there}/secrets"}


def send(site: Site) -> None:
    """Bring the files on the engine's machine up to date, if it is another one. Raises NeedsYou, EngineUnreachable.

    An engine without any image cannot start a container either, so nothing is needed there yet.
    """
    if is_on_this_machine():
        return
    content = packed(site)
    digest, key = hashlib.sha256(content).hexdigest(), (chosen_address(), site.settings.project)
    if _sent.get(key) == digest:
        return
    client = connect()
    with engine_refusals():
        images = client.api.images(quiet=True)
        if not images:
            return
        host = client.api.create_host_config(binds=[f"{directory_of(site.settings.project)}:{_MOUNT}"])
        with temporary_container(client, images[0], "site-files", command=["true"], host_config=host) as container:
            client.api.put_archive(container, _MOUNT, content)
    _sent[key] = digest


def packed(site: Site) -> bytes:
    """A tar archive of what containers mount, the same for the same content."""
    parts = {"stack": site.stack_copy, "secrets": site.secrets_directory}
    parts |= {"tls": site.certificate_file.parent, "acme-challenges": site.challenge_directory}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, directory in parts.items():
            if directory.is_dir():
                tar.add(directory, arcname=name, filter=_anonymous)
    return buffer.getvalue()


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Owned by root over there, and without a time."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    return member


def local_mount(site: Site, config: Mapping[str, Any]) -> str | None:
    """A file of the site's own that a service would mount from this machine, as a sentence; None if there is none.

    `config` is Compose's rendering. An engine elsewhere would mount an empty directory instead.
    """
    if is_on_this_machine():
        return None
    for name, definition in config["services"].items():
        for mount in definition.get("volumes") or ():
            source = Path(str(mount.get("source", "")))
            if mount.get("type") == "bind" and source.is_relative_to(site.directory):
                return f"{name} mounts {source}, which is on this machine, not on the engine's."
    return None

"""Images: whether they can be had, for which platforms, their digests, and the migrations inside a migrate image."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING, Any

from graasp_local.errors import Refused
from graasp_local.migrations import ImageMigration
from graasp_local.ports import ImageFact

if TYPE_CHECKING:
    from docker import DockerClient

MIGRATIONS_DIRECTORY = "/usr/src/app/src/drizzle"
"""Where Graasp's migrate image keeps its SQL files and `meta/_journal.json`."""


def image_fact(client: DockerClient, service: str, image: str) -> ImageFact:
    """Look for an image here, then ask its registry for the manifest, without pulling anything."""
    from docker.errors import APIError, ImageNotFound

    try:
        local = client.api.inspect_image(image)  # type: ignore[no-untyped-call]
        return ImageFact(service, image, local=True, platforms=(f"{local['Os']}/{local['Architecture']}",))
    except ImageNotFound:
        pass
    try:
        distribution = client.api.inspect_distribution(image)  # type: ignore[no-untyped-call]
    except APIError as error:
        return ImageFact(service, image, local=False, platforms=(), problem=_why_not(image, error))
    platforms = tuple(
        f"{platform['os']}/{platform['architecture']}"
        for platform in distribution.get("Platforms", [])
        if platform.get("os") not in (None, "unknown")
    )
    return ImageFact(service, image, local=False, platforms=platforms)


def image_digest(client: DockerClient, image: str) -> str:
    """What identifies the content: the registry's digest where there is one, else the id on this machine."""
    found: dict[str, Any] = client.api.inspect_image(image)  # type: ignore[no-untyped-call]
    digests = found.get("RepoDigests") or [found["Id"]]
    return str(digests[0])


def read_migrations(client: DockerClient, image: str) -> tuple[ImageMigration, ...]:
    """Copy the migrations out of a container that is created for it and never started.

    Raises Refused if the image holds no readable journal.
    """
    from docker.errors import NotFound

    container = client.api.create_container(image, labels={"org.graasp.purpose": "read-migrations"})
    try:
        chunks, _ = client.api.get_archive(container["Id"], MIGRATIONS_DIRECTORY)
        return migrations_in(b"".join(chunks))
    except (NotFound, KeyError, ValueError, tarfile.TarError) as error:
        raise Refused(
            f"The image {image} holds no list of migrations that can be read ({error}).",
            "Nothing was touched: without it there would be no proof that the database was migrated.",
            "Check that it is a migrate image of Graasp 2 or newer.",
        ) from error
    finally:
        client.api.remove_container(container["Id"], force=True)


def migrations_in(archive: bytes) -> tuple[ImageMigration, ...]:
    """The migrations in a tar archive of the drizzle directory, in the journal's order. Pure."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {
            member.name.partition("/")[2]: stream.read()
            for member in tar
            if member.isfile() and (stream := tar.extractfile(member)) is not None
        }
    entries = json.loads(files["meta/_journal.json"])["entries"]
    return tuple(
        ImageMigration(entry["tag"], int(entry["when"]), hashlib.sha256(files[f"{entry['tag']}.sql"]).hexdigest())
        for entry in entries
    )


def _why_not(image: str, error: Exception) -> str:
    text = str(getattr(error, "explanation", None) or error)
    if "403" in text or "forbidden" in text.lower():
        registry = image.partition("/")[0]
        return f"the registry refuses (403), as it does for an expired login; `docker logout {registry}` mends that"
    if any(word in text.lower() for word in ("no such host", "connection refused", "timeout", "dial tcp")):
        return "it is not on this machine, and the registry does not answer"
    if any(word in text.lower() for word in ("not found", "unknown", "denied")):
        return "it is neither on this machine nor in the registry"
    return f"it is not on this machine, and the registry says: {text}"

"""The migrations inside a migrate image, read without starting it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from typing import TYPE_CHECKING

from graasp_local.engine.containers.temporary import temporary_container
from graasp_local.errors import Refused
from graasp_local.planning.migrations import ImageMigration

if TYPE_CHECKING:
    from docker import DockerClient

MIGRATIONS_DIRECTORY = "/usr/src/app/src/drizzle"
"""Where Graasp's migrate image keeps its SQL files and `meta/_journal.json`."""


class ImageMigrations:
    """Reads each image once: a tag may move to another image, but the content of an image id never changes.

    The check after a migration runs behind the closed gate, where reading time is downtime for visitors.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, tuple[ImageMigration, ...]] = {}

    def of(self, client: DockerClient, image: str) -> tuple[ImageMigration, ...]:
        """Raises Refused if the image contains no readable journal."""
        from docker.errors import APIError

        try:
            image_id: str = client.api.inspect_image(image)["Id"]  # type: ignore[no-untyped-call]
            if image_id not in self._by_id:
                self._by_id[image_id] = _copied_out(client, image_id)
            return self._by_id[image_id]
        except APIError as error:
            raise _unreadable(image, str(error.explanation or error)) from error
        except (KeyError, ValueError, tarfile.TarError) as error:
            raise _unreadable(image, str(error)) from error


def _copied_out(client: DockerClient, image: str) -> tuple[ImageMigration, ...]:
    with temporary_container(client, image, "read-migrations") as container:
        chunks, _ = client.api.get_archive(container, MIGRATIONS_DIRECTORY)
        return migrations_in(b"".join(chunks))


def _unreadable(image: str, reason: str) -> Refused:
    return Refused(
        f"The image {image} does not contain a readable list of migrations ({reason}).",
        "Nothing was changed: without it there would be no proof that the database was migrated.",
        "Check that it is a migrate image of Graasp 2 or newer.",
    )


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

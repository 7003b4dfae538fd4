"""The database server that a site runs on: an image and the volume with its files, and which major of Postgres each is.

Decides which major an image's name stands for, and what a change from one server to another is. Does not know how a
server is reached or started. Pure.
"""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct

GRAASP_DATABASE = "graasp"
"""Graasp's database on the server; umami and Etherpad have their own there."""

FIRST_VOLUME = "db-data"
"""Compose's name for the volume of a site that was never upgraded, after the project's name and a `_`."""

NEWEST_MAJOR = 17
"""The newest major that the stack knows. The official image of 18 keeps its data in another directory."""

_TAG_MAJOR = re.compile(r"(?:pg)?(\d{1,2})(?!\d)")


class DatabaseServer(Struct, frozen=True):
    """What the service of the group `database` is created from; `volume` is the engine's own name for it."""

    image: str
    volume: str


class Direction(StrEnum):
    """Whether an operation goes to something new (a newer server, the data of a backup), or back to what was before."""

    THERE = "there"
    BACK = "back"


class Upgrade(Struct, frozen=True):
    """A change of the database server from one major of Postgres to a newer one, or the rollback of it."""

    source: DatabaseServer
    source_major: int
    target: DatabaseServer
    target_major: int
    way: Direction = Direction.THERE

    @property
    def goal_major(self) -> int:
        """The major that the site is on after the operation."""
        return self.target_major if self.way is Direction.THERE else self.source_major


def first_volume(project: str) -> str:
    """The volume of a site that was never upgraded."""
    return f"{project}_{FIRST_VOLUME}"


def upgrade_volume(project: str, major: int) -> str:
    """The volume that an upgrade to this major fills."""
    return f"{project}_{FIRST_VOLUME}-{major}"


def major_of_image(image: str) -> int | None:
    """The major that an image's tag stands for: `postgres:16.11` is 16, `pgvector:pg17` is 17; None if it says none."""
    tag = _tag(image)
    found = _TAG_MAJOR.match(tag)
    return int(found.group(1)) if found else None


def image_of_major(image: str, major: int) -> str | None:
    """The same image for another major: for `postgres:15.8-alpine` and 17, `postgres:17-alpine`.

    None if the tag does not say its major, or a digest pins the content.
    """
    tag = _tag(image)
    if "@" in image or not _TAG_MAJOR.match(tag):
        return None
    kept = re.sub(r"^(pg)?\d+(\.\d+)*", lambda match: f"{match.group(1) or ''}{major}", tag)
    return f"{image.removesuffix(tag)}{kept}"


class OtherMajor(Struct, frozen=True):
    """Files of one major of Postgres, and an image of another major that cannot read them."""

    files: int
    image: int
    name: str

    @property
    def sentence(self) -> str:
        return (
            f"The database's files are those of Postgres {self.files}, but its image {self.name} is "
            f"Postgres {self.image}."
        )

    @property
    def fix(self) -> str:
        """What to type, or to set, as a sentence."""
        if self.files < self.image:
            return f"`{self.command}` upgrades them; or set DB_IMAGE back to Postgres {self.files}."
        return f"Set DB_IMAGE in .env to Postgres {self.files} or newer: a downgrade is not possible."

    @property
    def command(self) -> str | None:
        return f"graasp-local upgrade-database --to {self.image}" if self.files < self.image else None


def other_major(files: int | None, image: int | None, name: str) -> OtherMajor | None:
    """None if they match, or if one of them is not known."""
    if files is None or image is None or files == image:
        return None
    return OtherMajor(files, image, name)


def _tag(image: str) -> str:
    name = image.partition("@")[0].rpartition("/")[2]
    # The engine names an image by its id once its tag has moved to another image.
    return "" if name.startswith("sha256:") else name.partition(":")[2]

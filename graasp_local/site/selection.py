"""The small env file that says what a site's services are started with: a version, its images, the database server.

Compose reads it after `.env`. It is one file, so that everything changes in one atomic write. Decides when the image
that an upgrade of Postgres selected gives way to a `DB_IMAGE` set in `.env` since. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from graasp_local.version import Images, Version

VERSION_KEY = "GRAASP_VERSION"
IMAGE_KEY = "GRAASP_DB_IMAGE"
UPGRADED_KEY = "GRAASP_DB_UPGRADED_TO"
VOLUME_KEY = "GRAASP_DB_VOLUME"
INSTEAD_KEY = "GRAASP_DB_INSTEAD_OF"
DATABASE_KEY = "GRAASP_DATABASE_IS"
NAMED = "GRAASP_NAMED_"
"""Prefix for an image's variable: the image's name when it was selected. Compose files do not use these."""


class Release(Struct, frozen=True):
    """A version of Graasp with its exact images: a tag may move, these do not."""

    version: Version
    images: Images


class Selection(Struct, frozen=True):
    """What is selected; the rest is as `.env` and the stack say.

    `version` is None on a site that nothing was deployed to. `image` and `volume` are empty on one that was never
    upgraded. `image` counts as long as `DB_IMAGE` in `.env` is the one from when it was selected: `instead_of`.
    `images` is empty if the version's tags count.
    """

    version: Version | None = None
    image: str = ""
    volume: str = ""
    instead_of: str = ""
    images: Images = ()
    named: Images = ()
    """The names of those images in `.env` and the compose files when they were selected."""
    database: str = ""
    """`external` if the version was selected while the database was external; empty for the stack's own."""

    def images_in_effect(self, named: Mapping[str, str]) -> Images:
        """The images that count, given their names in `.env` now: one that is named differently there gives way.

        One that has no name now is kept, for when its service, whose profile is off, is back.
        """
        then = dict(self.named)
        return tuple(
            (key, image) for key, image in self.images if then.get(key) in (None, named.get(key, then.get(key)))
        )

    def image_in_effect(self, db_image: str) -> str:
        """The image that counts, given this `DB_IMAGE` in `.env` (empty: not set); empty if `.env` counts.

        A `DB_IMAGE` that was changed since the server was selected wins: that is how a minor upgrade is done. The
        volume stays selected, and so does the image, in case the change is undone.
        """
        return self.image if db_image == self.instead_of else ""


def read_selection(text: str) -> Selection:
    """What the text of the file selects; what is missing or malformed is not selected."""
    values = {key: value for key, _, value in (line.partition("=") for line in text.splitlines())}
    return Selection(
        Version.parse_or_none(values.get(VERSION_KEY, "")),
        values.get(UPGRADED_KEY, ""),
        values.get(VOLUME_KEY, ""),
        values.get(INSTEAD_KEY, ""),
        tuple(
            (key, value)
            for key, value in values.items()
            if key.endswith("_IMAGE") and key != IMAGE_KEY and NAMED not in key
        ),
        tuple((key.removeprefix(NAMED), value) for key, value in values.items() if key.startswith(NAMED)),
        values.get(DATABASE_KEY, ""),
    )


def selection_lines(selection: Selection, db_image: str) -> tuple[str, ...]:
    """The lines of the file for a selection, given the `DB_IMAGE` in `.env`."""
    told = {
        VERSION_KEY: str(selection.version or ""),
        **dict(selection.images),
        IMAGE_KEY: selection.image_in_effect(db_image),
        UPGRADED_KEY: selection.image,
        VOLUME_KEY: selection.volume,
        INSTEAD_KEY: selection.instead_of,
        DATABASE_KEY: selection.database,
        **{f"{NAMED}{key}": name for key, name in selection.named},
    }
    return tuple(f"{key}={value}" for key, value in told.items() if value)

"""The images of a version: whether they can be had, which exactly they are, and keeping them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from graasp_local.images.pins import Pin
    from graasp_local.planning.migrations import ImageMigration
    from graasp_local.version import Version

IS_NOWHERE = "neither on this machine nor in the registry"
"""How a problem ends where an image would have to be built."""


class ImageFact(Struct, frozen=True):
    """Whether an image can be had: `local` it is on the machine; `platforms` it is published for ("linux/amd64").

    `problem` says why it cannot be had, as the end of a sentence; empty if it can.
    """

    service: str
    image: str
    local: bool
    platforms: tuple[str, ...]
    problem: str = ""
    lacks: tuple[str, ...] = ()
    """Programs that the service calls and an image on this machine does not have."""


class Images(Protocol):
    """Every method raises EngineUnreachable when the engine does not answer."""

    def expect(self, version: Version) -> None:
        """Learn that a deployment of this version will be looked at: what takes long to read is begun."""
        ...

    def image_facts(self, version: Version) -> tuple[ImageFact, ...]: ...
    def has_image(self, reference: str) -> bool: ...
    def registry_has(self, reference: str) -> bool:
        """Whether a registry has this image, which is named by its digest; False where it does not answer."""
        ...

    def absent_images(self, services: Sequence[str]) -> Mapping[str, str]:
        """By service the images that `start` would need for these, as the site is now, and that are not here.

        One that has only lost its name is here: `start` gives it back.
        """
        ...

    def give_names_back(self) -> None:
        """Give images that were found to have lost their names those names again."""
        ...

    def keep_images(self, version: Version) -> None:
        """Keep the images of a version, of Graasp and of everything beside it, under tags of the site's own."""
        ...

    def keep_pins(self, pins: Sequence[Pin]) -> None:
        """The same for exactly these; those that are not here are passed over."""
        ...

    def let_images_go(self, version: Version, but: Sequence[Pin]) -> tuple[str, ...]:
        """Remove the site's own tags of what neither the version nor these pins need; returns the tags."""
        ...

    def pull_image(self, reference: str) -> Iterator[str]:
        """Yields how far it is. Raises Refused if the registry does not give it."""
        ...

    def pins(self, version: Version) -> tuple[Pin, ...]:
        """The exact images of the services that make up a version; they have to be on this machine."""
        ...

    def pin_of(self, service: str, image: str) -> Pin | None:
        """The exact image that has this name on this machine; None if none has."""
        ...

    def use_pins(self, version: Version, pins: Sequence[Pin]) -> None:
        """From here on these images stand for the version, whatever its tags lead to."""
        ...

    def image_migrations(self, version: Version) -> tuple[ImageMigration, ...]: ...

"""The images of a version: whether they are available, exactly which they are, and keeping them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from graasp_local.images.pins import Pin
    from graasp_local.planning.migrations import ImageMigration
    from graasp_local.version import Version

IS_NOWHERE = "neither on the engine nor in the registry"
"""How a problem ends if the image would have to be built."""


class ImageFact(Struct, frozen=True):
    """Whether an image is available: `local` if it is on this machine; `platforms` that it is published for.

    Platforms are like "linux/amd64". `problem` says why it is not available, as the end of a sentence; empty if it is.
    """

    service: str
    image: str
    local: bool
    platforms: tuple[str, ...]
    problem: str = ""
    lacks: tuple[str, ...] = ()
    """Programs that the service calls but the image on this machine does not have."""


class Images(Protocol):
    """Every method raises EngineUnreachable when the engine does not answer."""

    def expect(self, version: Version) -> None:
        """Announce that this version will be examined for a deployment, so that slow reads can begin."""
        ...

    def image_facts(self, version: Version) -> tuple[ImageFact, ...]: ...
    def has_image(self, reference: str) -> bool: ...
    def registry_has(self, reference: str) -> bool:
        """Whether a registry has this image, which is named by its digest; False if it does not answer."""
        ...

    def absent_images(self, services: Sequence[str]) -> Mapping[str, str]:
        """By service, the images that `start` would need for these, as the site is now, but that are missing here.

        One that has only lost its name is not missing: `start` restores the name.
        """
        ...

    def share_images(self, version: Version) -> Iterator[str]:
        """Get core's and the workers' images onto every machine of the site's Swarm; does nothing on one machine.

        Yields progress. Raises Refused, naming the machines that cannot run one.
        """
        ...

    def give_names_back(self) -> None:
        """Restore the names of images that were found to have lost them."""
        ...

    def keep_images(self, version: Version) -> None:
        """Keep the images of a version, Graasp's and all others, under the site's own tags."""
        ...

    def keep_pins(self, pins: Sequence[Pin]) -> None:
        """The same for exactly these; those that are not here are skipped."""
        ...

    def release_images(self, version: Version, but: Sequence[Pin]) -> tuple[str, ...]:
        """Remove the site's own tags from images that neither the version nor these pins need; returns the tags."""
        ...

    def pull_image(self, reference: str) -> Iterator[str]:
        """Yields progress. Raises Refused if the registry does not provide it."""
        ...

    def pins(self, version: Version) -> tuple[Pin, ...]:
        """The exact images of the services that make up a version; they have to be on this machine."""
        ...

    def pin_of(self, service: str, image: str) -> Pin | None:
        """The exact image that has this name on this machine; None if there is none."""
        ...

    def use_pins(self, version: Version, pins: Sequence[Pin]) -> None:
        """From now on use these images for the version, wherever its tags point."""
        ...

    def image_migrations(self, version: Version) -> tuple[ImageMigration, ...]: ...

"""Images: whether they are available, for which platforms, and their pins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from graasp_local.engine.images.programs import lacking_programs
from graasp_local.engine.images.refusals import why_not_had
from graasp_local.engine.reach.login import login_for
from graasp_local.errors import Refused
from graasp_local.images.pins import Pin, pin
from graasp_local.ports.images import ImageFact

if TYPE_CHECKING:
    from docker import DockerClient

VERSIONED_SERVICES = ("core", "workers", "migrate")
"""The services whose images make up a version of Graasp."""


def image_fact(client: DockerClient, service: str, image: str) -> ImageFact:
    """Look for an image locally, then ask its registry for the manifest, without pulling anything."""
    from docker.errors import APIError, ImageNotFound

    try:
        local = client.api.inspect_image(image)  # type: ignore[no-untyped-call]
        made_for = (f"{local['Os']}/{local['Architecture']}",)
        return ImageFact(
            service, image, local=True, platforms=made_for, lacks=lacking_programs(client, service, local["Id"])
        )
    except ImageNotFound:
        pass
    try:
        with login_for(image):
            distribution = client.api.inspect_distribution(image)  # type: ignore[no-untyped-call]
    except Refused as error:
        why = error.what.partition(": ")[2].rstrip(".")
        return ImageFact(service, image, local=False, platforms=(), problem=f"its registry could not be asked: {why}")
    except APIError as error:
        return ImageFact(
            service, image, local=False, platforms=(), problem=why_not_had(image, str(error.explanation or error))
        )
    platforms = tuple(
        f"{platform['os']}/{platform['architecture']}"
        for platform in distribution.get("Platforms", [])
        if platform.get("os") not in (None, "unknown")
    )
    return ImageFact(service, image, local=False, platforms=platforms)


def has_image(client: DockerClient, reference: str) -> bool:
    """Whether an image is on this machine, by tag, digest or id."""
    from docker.errors import ImageNotFound

    try:
        client.api.inspect_image(reference)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return False
    return True


def registry_has(client: DockerClient, reference: str) -> bool:
    """Whether a registry has this image. False if the registry does not answer: the image is then not available."""
    from docker.errors import APIError

    try:
        with login_for(reference):
            client.api.inspect_distribution(reference)  # type: ignore[no-untyped-call]
    except (APIError, Refused):
        return False
    return True


class ImageHere(Struct, frozen=True):
    """A service's image on this machine; if it is not here, `image_id` is empty and `bytes` is None."""

    service: str
    image: str
    image_id: str
    bytes: int | None


def image_here(client: DockerClient, service: str, image: str) -> ImageHere:
    from docker.errors import ImageNotFound

    try:
        found: dict[str, Any] = client.api.inspect_image(image)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        return ImageHere(service, image, "", None)
    return ImageHere(service, image, found["Id"], int(found["Size"]))


def image_pin(client: DockerClient, service: str, image: str) -> Pin:
    """The pin of a service whose image is on this machine. Raises Refused if it is not."""
    from docker.errors import ImageNotFound

    try:
        found: dict[str, Any] = client.api.inspect_image(image)  # type: ignore[no-untyped-call]
    except ImageNotFound:
        raise Refused(f"The image {image} is not on the engine any more.") from None
    return pin(service, image, found["Id"], found.get("RepoDigests") or ())

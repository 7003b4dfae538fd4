"""Exactly which image a service of a version is: its pin, and how deployments record it.

A tag can be moved or pushed again; a pin cannot. Decides what Compose is given instead of the tag, and in which
variable. Does not query anything: the engine knows its images, `deployed.py` keeps the record. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from msgspec import Struct

from graasp_local.version import Images

BUILT_FOR_SITE = ("client",)
"""Services whose image has the site's settings built in. It is rebuilt when these change, for the same version."""


class Pin(Struct, frozen=True):
    """The image of one service.

    `reference` is what Compose is given: `repository:tag@sha256:…`, or `image_id`, the engine's own id, for an image
    that was built or loaded here.
    """

    service: str
    reference: str
    image_id: str
    by_digest: str = ""
    """The `repository:tag@sha256:…` that a registry may have, if it is not already `reference`."""

    def is_same_image(self, other: Pin) -> bool:
        """Whether both are the same image under any name: an image built here gets a digest once it is pushed."""
        return self.reference == other.reference or "" != self.image_id == other.image_id

    @property
    def perhaps_in_registry(self) -> str:
        """The reference to try to pull, which only the registry can confirm; empty if there is none."""
        return self.by_digest or (self.reference if "@" in self.reference else "")


def pin(service: str, image: str, image_id: str, repository_digests: Collection[str]) -> Pin:
    """The pin of a service whose image is called `image` and has these `repository@sha256:…` on the engine.

    Only the digest of the image's own repository counts: the image may have been pushed elsewhere with another digest.

    In containerd's image store every image has such a digest, even one that was built here, and it equals the id. It
    does not prove that a registry has the image, so the pin is the id.
    """
    if "@" in image:
        return Pin(service, image, image_id)
    repository = repository_of(image)
    for known in repository_digests:
        name, _, digest = known.partition("@")
        if name == repository and digest == image_id:
            return Pin(service, image_id, image_id, f"{image}@{digest}")
        if name == repository:
            return Pin(service, f"{image}@{digest}", image_id)
    return Pin(service, image_id, image_id)


def repository_of(image: str) -> str:
    """`127.0.0.1:5000/graasp/graasp:core-v1.0.0` → `127.0.0.1:5000/graasp/graasp`."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return head + slash + last.partition(":")[0]


def is_image_id(reference: str) -> bool:
    """Whether this is the engine's own id of an image, which no registry knows."""
    return reference.startswith("sha256:")


def registry_of(image: str) -> str:
    """The registry's host, as `docker login` expects it; empty for Docker Hub."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def variable_of(service: str) -> str:
    """The variable with which compose.yaml lets the image of a service be replaced."""
    return f"{service.upper().replace('-', '_')}_IMAGE"


def as_images(pins: Iterable[Pin]) -> Images:
    """The variables and references for an env file that makes Compose start exactly these images."""
    return tuple((variable_of(each.service), each.reference) for each in pins)


def shortened(image: str) -> str:
    """An image in readable form: a digest or id is cut to twelve digits."""
    head, mark, digest = image.rpartition("sha256:")
    return f"{head}{mark}{digest[:12]}" if mark else image

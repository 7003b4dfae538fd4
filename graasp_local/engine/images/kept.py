"""The site's own tags, by which the engine keeps the images that the site was deployed with.

Any user can move or remove a tag, and containerd's image store deletes an image with its last tag, even if a container
runs from it. These tags belong to the site alone, so their images stay until `remove_tags` removes them. Also finds a
substitute for an image that is on the engine but has lost its name. Does not decide how long an image is needed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from graasp_local.images.pins import shortened

if TYPE_CHECKING:
    from docker import DockerClient

NAMESPACE = "graasp-local"


def kept_repository(project: str) -> str:
    """The repository of a site's own tags: `graasp-local/PROJECT`, if that is a valid name. Pure."""
    plain = re.sub(r"[^a-z0-9]+", "-", project).strip("-")
    if plain == project:
        return f"{NAMESPACE}/{project}"
    return f"{NAMESPACE}/{plain}.{hashlib.sha256(project.encode()).hexdigest()[:8]}"


def kept_tag(service: str, image_id: str) -> str:
    """The tag that keeps an image of a service. Pure."""
    return f"{service}-{image_id.removeprefix('sha256:')[:12]}"


def keep(client: DockerClient, project: str, images: Mapping[str, str], narrate: Callable[[str], None]) -> None:
    """Put a tag of the site's own on each of these images, by service; skip images that are not here."""
    from docker.errors import ImageNotFound

    repository = kept_repository(project)
    there = {tag for tag, _ in _kept(client, repository)}
    for service, image in images.items():
        try:
            image_id = str(client.api.inspect_image(image)["Id"])  # type: ignore[no-untyped-call]
            tag = kept_tag(service, image_id)
            if tag not in there:
                narrate(f"docker tag {shortened(image)} {repository}:{tag}")
                client.api.tag(image_id, repository, tag)
        except ImageNotFound:
            continue


def remove_tags(client: DockerClient, project: str, but: Collection[str]) -> tuple[str, ...]:
    """Remove the site's own tags from all images but those with these ids; images without another go with them."""
    from docker.errors import APIError

    repository = kept_repository(project)
    gone = []
    for tag, image_id in _kept(client, repository):
        if image_id in but:
            continue
        try:
            client.api.remove_image(f"{repository}:{tag}")
        except APIError:  # a container was created from it under this name: the next deployment tries again
            continue
        gone.append(f"{repository}:{tag}")
    return tuple(gone)


def kept_id(client: DockerClient, project: str, service: str) -> str:
    """The only image that is kept of a service; empty if there is none, or more than one."""
    tags = _kept(client, kept_repository(project))
    found = {image_id for tag, image_id in tags if tag == kept_tag(service, image_id)}
    return found.pop() if len(found) == 1 else ""


def id_behind(client: DockerClient, containers: Iterable[Mapping[str, Any]], image: str) -> str:
    """The id of the image from which one of these containers was created under this name; empty if none was."""
    from docker.errors import NotFound

    for container in containers:
        try:
            told = client.api.inspect_container(container["Id"])
        except NotFound:
            continue
        if told["Config"]["Image"] == image:
            return str(told["Image"])
    return ""


def _kept(client: DockerClient, repository: str) -> list[tuple[str, str]]:
    """Tag and id of each image that is kept."""
    found = client.api.images(name=repository)
    return [
        (name.removeprefix(f"{repository}:"), str(image["Id"]))
        for image in found
        for name in image.get("RepoTags") or ()
        if name.startswith(f"{repository}:")
    ]

"""Tags of a site's own, by which the engine keeps the images that the site was deployed with.

A tag can be moved or removed by anybody, and the image store of containerd drops an image with its last tag, even one
that a container runs of. These tags are nobody else's, so what they hold stays until it is let go here. Also what
stands in for an image whose name is gone though the engine has it. Decides nothing about how long it is needed.
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
    """The repository of a site's own tags: `graasp-local/PROJECT`, where that can be the name of one. Pure."""
    plain = re.sub(r"[^a-z0-9]+", "-", project).strip("-")
    if plain == project:
        return f"{NAMESPACE}/{project}"
    return f"{NAMESPACE}/{plain}.{hashlib.sha256(project.encode()).hexdigest()[:8]}"


def kept_tag(service: str, image_id: str) -> str:
    """Pure."""
    return f"{service}-{image_id.removeprefix('sha256:')[:12]}"


def keep(client: DockerClient, project: str, images: Mapping[str, str], narrate: Callable[[str], None]) -> None:
    """Have a tag of the site's own on each of these images, by service; one that is not here is passed over."""
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


def let_go(client: DockerClient, project: str, but: Collection[str]) -> tuple[str, ...]:
    """Remove the site's own tags of all images but those with these ids; what nothing else names goes with them."""
    from docker.errors import APIError

    repository = kept_repository(project)
    gone = []
    for tag, image_id in _kept(client, repository):
        if image_id in but:
            continue
        try:
            client.api.remove_image(f"{repository}:{tag}")
        except APIError:  # a container was made from it by this name: the next deployment asks again
            continue
        gone.append(f"{repository}:{tag}")
    return tuple(gone)


def kept_id(client: DockerClient, project: str, service: str) -> str:
    """The one image that is kept of a service; empty where there is none, or more than one."""
    tags = _kept(client, kept_repository(project))
    found = {image_id for tag, image_id in tags if tag == kept_tag(service, image_id)}
    return found.pop() if len(found) == 1 else ""


def id_behind(client: DockerClient, containers: Iterable[Mapping[str, Any]], image: str) -> str:
    """The id that a container was made from under this name of an image; empty where none was."""
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

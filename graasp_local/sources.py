"""From which sources each image of Graasp is built, for machines that no published image is made for. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from graasp_local.version import Version


class Repository(StrEnum):
    """Where sources are cloned from; a version is the tag `vX.Y.Z`."""

    BACKEND = "https://github.com/graasp/graasp"
    CLIENT = "https://github.com/graasp/client"


class Recipe(Struct, frozen=True):
    """How one image is built: its Dockerfile, below the top of the sources, which are the build's context."""

    service: str
    repository: Repository
    dockerfile: str


RECIPES = (
    Recipe("core", Repository.BACKEND, "docker/Dockerfile"),
    Recipe("workers", Repository.BACKEND, "docker/workers.Dockerfile"),
    Recipe("migrate", Repository.BACKEND, "docker/migrate.Dockerfile"),
    Recipe("client", Repository.CLIENT, "docker/client.Dockerfile"),
)

SERVICES_TO_BUILD = tuple(recipe.service for recipe in RECIPES)


def tag_of(version: Version) -> str:
    """The tag of the sources, and what core says it is: `v2.14.2`."""
    return f"v{version}"


def build_arguments(recipe: Recipe, version: Version, public_url: str) -> Mapping[str, str]:
    """What is built into an image: the version, and into the client the address of the site."""
    if recipe.repository is Repository.BACKEND:
        return {"APP_VERSION": tag_of(version)}
    parts = urlsplit(public_url)
    websocket_scheme = "wss" if parts.scheme == "https" else "ws"
    return {
        "VITE_VERSION": tag_of(version),
        "VITE_GRAASP_API_HOST": f"{public_url}/api",
        "VITE_GRAASP_WS_HOST": f"{websocket_scheme}://{parts.netloc}/api/ws",
        "VITE_GRAASP_LIBRARY_HOST": public_url,
        "VITE_GRAASP_H5P_INTEGRATION_URL": f"{public_url}/api/items/h5p-assets/integration.html",
    }

"""The sources of each Graasp image, for machines that have no published image. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from msgspec import Struct

from graasp_local.version import Version


class Repository(StrEnum):
    """Where sources are cloned from; a version is the tag `vX.Y.Z`."""

    BACKEND = "https://github.com/graasp/graasp"
    CLIENT = "https://github.com/graasp/client"


class Recipe(Struct, frozen=True):
    """How one image is built: its Dockerfile, relative to the top of the sources, which are the build's context."""

    service: str
    repository: Repository
    dockerfile: str


RECIPES = (
    Recipe("core", Repository.BACKEND, "docker/Dockerfile"),
    Recipe("workers", Repository.BACKEND, "docker/workers.Dockerfile"),
    Recipe("migrate", Repository.BACKEND, "docker/migrate.Dockerfile"),
    Recipe("client", Repository.CLIENT, "docker/client.Dockerfile"),
)

PROGRAMS: Mapping[str, Mapping[str, str]] = {
    service: {"gm": "graphicsmagick", "gs": "ghostscript"} for service in ("core", "workers")
}
"""The programs that a service calls besides its own code, and Debian's package of each. Both draw the thumbnail of a
PDF: without them core crashes when one is uploaded.
"""

SERVICES_TO_BUILD = tuple(recipe.service for recipe in RECIPES)


def tag_of(version: Version) -> str:
    """The tag of the sources, which is also the version that core reports: `v2.14.2`."""
    return f"v{version}"


CLIENT_VERSIONS: tuple[tuple[Version, Version], ...] = tuple(
    (Version.parse(core), Version.parse(client))
    for core, client in (
        ("2.9.0", "2.31.2"),
        ("2.10.0", "2.32.0"),
        ("2.10.4", "2.34.2"),
        ("2.11.0", "2.35.0"),
        ("2.12.0", "2.36.0"),
        ("2.13.0", "2.37.0"),
        ("2.13.2", "2.38.0"),
        ("2.13.9", "2.38.2"),
    )
)
"""The client has its own versions: from each version of core on, the client that was released with it. Derived from the
dates of both repositories; the pairs from 2.12.0 on are known to work.
"""

NEWEST_KNOWN = (2, 14)
"""The newest major and minor version of core in the table: a later one may need a newer client."""


def client_version(version: Version) -> Version | None:
    """The version of the client that goes with a version of core; None if unknown."""
    known = [client for core, client in CLIENT_VERSIONS if core <= version]
    return known[-1] if known and (version.major, version.minor) <= NEWEST_KNOWN else None


class BuildSettings(Struct, frozen=True):
    """What is built into images besides versions: the site's address, Google's key, umami's, and the build time."""

    public_url: str
    timestamp: str
    short_links: str = ""
    recaptcha_site_key: str = ""
    umami_host: str = ""
    umami_website: str = ""


def what_is_lacking(lacking: Mapping[str, Sequence[str]], version: str) -> tuple[str, str]:
    """A warning about images that lack programs their services call: what it means, and what adds the programs."""
    programs = sorted({program for names in lacking.values() for program in names})
    images = "The image of" if len(lacking) == 1 else "The images of"
    return (
        f"{images} {' and '.join(sorted(lacking))} {'lacks' if len(lacking) == 1 else 'lack'} "
        f"{' and '.join(programs)}: core crashes when a user uploads a PDF, and visitors see the maintenance page "
        "until it is back.",
        f"`graasp-local images complete {version}` adds what is missing.",
    )


def build_arguments(recipe: Recipe, tag: str, settings: BuildSettings) -> Mapping[str, str]:
    """Build arguments: the tag of the sources, and for the client what its production build needs."""
    if recipe.repository is Repository.BACKEND:
        return {"APP_VERSION": tag, "BUILD_TIMESTAMP": settings.timestamp}
    url = settings.public_url
    parts = urlsplit(url)
    websocket_scheme = "wss" if parts.scheme == "https" else "ws"
    return {
        "VITE_VERSION": tag,
        "VITE_BUILD_TIMESTAMP": settings.timestamp,
        "VITE_GRAASP_API_HOST": f"{url}/api",
        # Newer clients derive it from the one above.
        "VITE_GRAASP_WS_HOST": f"{websocket_scheme}://{parts.netloc}/api/ws",
        "VITE_GRAASP_LIBRARY_HOST": url,
        "VITE_GRAASP_REDIRECTION_HOST": settings.short_links or f"{url}/api/items/short-links",
        # Newer clients take it from the item.
        "VITE_GRAASP_H5P_INTEGRATION_URL": f"{url}/h5p-integration.html",
        "VITE_RECAPTCHA": settings.recaptcha_site_key,
        # Even if empty: a client built without these counts its visits at an address that begins with "undefined".
        "VITE_UMAMI_HOST": settings.umami_host,
        "VITE_UMAMI_WEBSITE_ID": settings.umami_website,
    }

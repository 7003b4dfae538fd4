"""Whether Meilisearch can open its data: it only opens what its own minor version wrote. Pure."""

from __future__ import annotations

import re

SEARCH_SERVICE = "meilisearch"

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:[.-]|$)")


def other_search_version(data: str, image: str) -> str | None:
    """A sentence if the image cannot open data of this version; None if it can, or if that is not known."""
    written = _VERSION.match(data.strip())
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    opened = _VERSION.match(tag)
    if not written or not opened or written.groups() == opened.groups():
        return None
    return (
        f"Meilisearch's data was written by {data.strip()}, but its image {image} opens only data of its own minor "
        "version."
    )

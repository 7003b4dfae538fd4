"""Pulling an image through the engine, with its progress in bytes.

Uses the user's docker login, as `docker pull` does. The engine keeps partly pulled images and continues from there the
next time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from graasp_local.engine.images.refusals import why_not_had
from graasp_local.engine.reach.login import login_for
from graasp_local.errors import Refused

if TYPE_CHECKING:
    from docker import DockerClient

SECONDS_BETWEEN_LINES = 2.0
_MB = 1_000_000


def pull(client: DockerClient, image: str) -> Iterator[str]:
    """Pull `image`; yields lines of progress. Raises Refused if the registry does not provide it."""
    from docker.errors import APIError

    repository, tag = _for_engine(image)
    try:
        with login_for(image):
            said = client.api.pull(repository, tag=tag, stream=True, decode=True)
        yield from progress(image, said, SECONDS_BETWEEN_LINES)
    except APIError as error:
        raise _refusal(image, str(error.explanation or error)) from error


def progress(image: str, said: Iterable[Mapping[str, Any]], seconds_between: float) -> Iterator[str]:
    """Progress lines from the engine's events, at most one in `seconds_between` seconds. Raises Refused."""
    done: dict[str, int] = {}
    total: dict[str, int] = {}
    last = time.monotonic()
    trying_again = False
    for event in said:
        if "error" in event:
            raise _refusal(image, str(event["error"]))
        layer, status, detail = event.get("id", ""), event.get("status", ""), event.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            done[layer], total[layer] = detail["current"], detail["total"]
        elif status in ("Download complete", "Pull complete") and layer in total:
            done[layer] = total[layer]
        if status.startswith("Retrying"):
            if not trying_again:
                yield f"{image}: lost the connection to the registry; the engine is trying again"
            trying_again = True
        elif time.monotonic() - last >= seconds_between and total:
            last = time.monotonic()
            trying_again = False
            yield f"{image}: {sum(done.values()) / _MB:.0f} of {sum(total.values()) / _MB:.0f} MB"


def _for_engine(image: str) -> tuple[str, str]:
    """An image's name as the engine's API expects it: by digest if it has one, whatever its tag."""
    name, _, digest = image.partition("@")
    head, slash, last = name.rpartition("/")
    base, _, tag = last.partition(":")
    return head + slash + base, digest or tag or "latest"


def _refusal(image: str, said: str) -> Refused:
    return Refused(
        f"{image} could not be pulled: {why_not_had(image, said)}.",
        "",
        "Fix this, then try again: what has been downloaded is kept.",
    )

"""Streaming images out of the engine and into it, as `docker save` and `docker load` do."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from graasp_local.engine.reach.client import engine_errors
from graasp_local.errors import NeedsYou

if TYPE_CHECKING:
    from docker import DockerClient

_CHUNK_BYTES = 1024 * 1024


def saved(images: Sequence[str], narrate: Callable[[str], None]) -> Iterator[bytes]:
    """A tar archive of these images, which must be on this machine; layers that they share are included once."""
    narrate(f"docker save {' '.join(images)}")
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE, stderr=complaints)
        assert process.stdout is not None  # noqa: S101
        try:
            while chunk := process.stdout.read(_CHUNK_BYTES):
                yield chunk
            if process.wait() != 0:
                complaints.seek(0)
                raise NeedsYou(f"The engine could not save the images: {complaints.read().decode().strip()}")
        finally:
            process.stdout.close()
            if process.poll() is None:
                process.terminate()
                process.wait()


def load(client: DockerClient, chunks: Iterable[bytes]) -> Iterator[str]:
    """Load a saved archive; yields what the engine says about each image. Raises NeedsYou if the engine refuses it."""
    from docker.errors import APIError

    with engine_errors():
        try:
            for event in client.api.load_image(chunks, quiet=True):  # type: ignore[no-untyped-call]
                if "error" in event:
                    raise NeedsYou(f"The engine could not load the images: {event['error']}")
                yield from str(event.get("stream", "")).strip().splitlines()
        except APIError as error:
            raise NeedsYou(f"The engine could not load the images: {error.explanation or error}") from error

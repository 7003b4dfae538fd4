"""A version's images as one file, for machines without a registry: its format, written and read.

It is a tar archive of two members: `images.tar`, the output of `docker save`, followed by `graasp-local.json`, which
says what is in it and gives its sha256. Being last, that member exists only if the file is complete. Streams in chunks;
a file is never in memory as a whole, and never under its final name before it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from graasp_local.errors import Refused

IMAGES_MEMBER = "images.tar"
MANIFEST_MEMBER = "graasp-local.json"
FORMAT = 1
_BLOCK = 512
CHUNK_BYTES = 1024 * 1024


class ImageFileManifest(Struct, frozen=True):
    """The file's content: images by service, their platform, and the size and sha256 of `images.tar`."""

    version: str
    platform: str
    images: Mapping[str, str]
    bytes: int
    sha256: str


def write_image_file(
    file: Path, version: str, platform: str, images: Mapping[str, str], chunks: Iterable[bytes]
) -> Iterator[int]:
    """Write the file; yields the bytes written so far. Raises OSError, after removing the incomplete file."""
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(bytes(_BLOCK))  # placeholder for the header: its size field is known at the end
            digest, size = hashlib.sha256(), 0
            for chunk in chunks:
                stream.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                yield size
            stream.write(bytes(-size % _BLOCK))
            manifest = ImageFileManifest(version, platform, dict(images), size, digest.hexdigest())
            text = json.dumps({"format": FORMAT, **asdict(manifest)}, indent=2).encode() + b"\n"
            stream.write(_header(MANIFEST_MEMBER, len(text)) + text + bytes(-len(text) % _BLOCK))
            stream.write(bytes(2 * _BLOCK))
            stream.seek(0)
            stream.write(_header(IMAGES_MEMBER, size))
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_manifest(file: Path) -> ImageFileManifest:
    """The file's own list of its content. Raises Refused if it is not such a file, or is incomplete."""
    try:
        with tarfile.open(file, "r:") as archive:
            member = archive.extractfile(MANIFEST_MEMBER)
            told = json.load(member) if member is not None else {}
            if told.pop("format") != FORMAT:
                raise Refused(f"{file} was made by a newer graasp-local.", "Nothing was loaded.")
            manifest = ImageFileManifest(**told)
            if archive.getmember(IMAGES_MEMBER).size != manifest.bytes:
                raise ValueError("sizes differ")
    except (tarfile.TarError, KeyError, TypeError, ValueError) as error:
        raise Refused(
            f"{file} is not a complete file of `graasp-local images save`.",
            "Nothing was loaded.",
            "Copy it again, or save it again on the machine that has the images.",
        ) from error
    return manifest


def image_chunks(file: Path) -> Iterator[bytes]:
    """`images.tar` of the file, in chunks."""
    with tarfile.open(file, "r:") as archive:
        member = archive.extractfile(IMAGES_MEMBER)
        while member is not None and (chunk := member.read(CHUNK_BYTES)):
            yield chunk


def check_content(file: Path, manifest: ImageFileManifest) -> Iterator[int]:
    """Read all of it; yields the bytes read so far. Raises Refused if the content is not what was saved."""
    digest, size = hashlib.sha256(), 0
    for chunk in image_chunks(file):
        digest.update(chunk)
        size += len(chunk)
        yield size
    if digest.hexdigest() != manifest.sha256:
        raise Refused(
            f"{file} was changed or damaged in transit: its sha256 is not the one it was saved with.",
            "Nothing was loaded.",
            "Copy it again.",
        )


def _header(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = size
    header = member.tobuf(tarfile.GNU_FORMAT)  # one block, even for more than 8 GB
    assert len(header) == _BLOCK  # noqa: S101
    return header

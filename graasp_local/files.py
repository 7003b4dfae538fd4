"""Small files: read if they are there, written so that they are there completely or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def text_if_there(file: Path) -> str:
    """The text of a file; empty where there is none. Raises OSError for one that may not be read."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def write_atomically(file: Path, text: str, mode: int) -> None:
    """Write a file that is there completely or not at all, also after a power cut."""
    import tempfile

    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)

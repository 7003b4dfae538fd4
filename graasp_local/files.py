"""Small files: read if they are there, written so that they are there completely or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def text_if_there(file: Path) -> str:
    """The text of a file; empty where there is none. Raises OSError for one that may not be read."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def json_in(text: str | bytes) -> Any:
    """What a JSON text says. Raises ValueError for one that is damaged, be it by nesting without end."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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

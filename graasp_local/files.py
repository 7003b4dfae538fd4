"""Small files: read if they exist, written completely or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def text_if_there(file: Path) -> str:
    """The text of a file; empty if it does not exist. Raises OSError if it cannot be read."""
    try:
        return file.read_text()
    except FileNotFoundError:
        return ""


def json_in(text: str | bytes) -> Any:
    """The content of a JSON text. Raises ValueError if it is damaged, including by endless nesting."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_atomically(file: Path, text: str, mode: int) -> None:
    """Write a file completely or not at all, even if the power fails."""
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

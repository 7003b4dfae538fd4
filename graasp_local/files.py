"""Files: read if they exist, written completely or not at all, opened only if they are what they seem.

Records are lines of JSON. The last line may be half a line, from a machine that lost power.
"""

from __future__ import annotations

import json
import os
import shlex
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from graasp_local.errors import ConfigurationError

_PIECE_BYTES = 1 << 18


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


def object_in(text: str | bytes) -> dict[str, Any]:
    """The JSON object of a text. Raises ValueError if it is damaged, or anything else than an object."""
    content = json_in(text)
    if not isinstance(content, dict):
        raise ValueError("it is not a JSON object")
    return content


def append_record(file: Path, record: Mapping[str, Any]) -> None:
    """Add a record to a file, on disk when this returns. Begins a line of its own even after half a line."""
    with file.open("a+b") as stream:
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                stream.write(b"\n")
        stream.write(json.dumps(record).encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def records_in(file: Path) -> list[dict[str, Any]]:
    """The records of a file, oldest first, without lines that are damaged; none if it does not exist.

    Raises OSError if it cannot be read.
    """
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    records = []
    for line in lines:
        with suppress(ValueError):
            records.append(object_in(line))
    return records


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
    sync_directory(file.parent)


def sync_directory(directory: Path) -> None:
    """Return when the directory's entries are on disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def chunks_of(file: Path) -> Iterator[bytes]:
    """The content of a file, one piece at a time."""
    with file.open("rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece


def open_own_file(file: Path, flags: int) -> int:
    """Open a file of ours, creating it with mode 0600 if it is missing; never follow a link of that name.

    Returns the descriptor. Raises ConfigurationError for a symbolic or hard link, or if it is not a regular file.
    """
    try:
        descriptor = os.open(file, flags | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if file.is_symlink() or file.is_dir():
            raise _no_own_file(file) from error
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise _no_own_file(file)
    return descriptor


def _no_own_file(file: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{file} is a symbolic or hard link, not the file that graasp-local creates there.",
        "It was not followed. Nothing was changed.",
        f"Find out who put it there, then `rm {shlex.quote(str(file))}`.",
    )


def current_directory() -> Path | None:
    """None if it was removed, like the workspace of a CI job that was cleaned up."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None

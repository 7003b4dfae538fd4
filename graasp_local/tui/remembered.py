"""What the UI remembers between runs: sites, theme, how logs and lists are shown.

One file per user without secrets, `graasp-local/tui.json` in $XDG_STATE_HOME (by default ~/.local/state). If it
cannot be read or written, the UI behaves as on its first run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from graasp_local.files import write_atomically

MOST_SITES = 20
_writing = threading.Lock()


class Remembered(msgspec.Struct, frozen=True):
    """Everything that is remembered; any field may be missing from the file."""

    sites: tuple[str, ...] = ()
    """Directories, the most recently opened first."""
    theme: str = ""
    log_times: bool = False
    log_wraps: bool = False
    log_range: int = 0
    """How far back a log is read, as an index into the list of choices."""
    wider: int = 0
    """How many cells to add to the default width of the name column, in lists and in logs."""


def state_file(environment: Mapping[str, str]) -> Path:
    """The path of the file. A relative $XDG_STATE_HOME is ignored, as the XDG specification requires."""
    given = environment.get("XDG_STATE_HOME", "")
    directory = Path(given) if given.startswith("/") else Path(environment.get("HOME", "/"), ".local", "state")
    return directory / "graasp-local" / "tui.json"


def recall() -> Remembered:
    """What was remembered, or the defaults."""
    with suppress(OSError, ValueError, msgspec.MsgspecError):
        return msgspec.json.decode(state_file(os.environ).read_bytes(), type=Remembered)
    return Remembered()


def remember(**changes: Any) -> None:
    """Save these changes on top of what another UI may have saved. May be called from any thread."""
    with _writing:
        _write(replace(recall(), **changes))


def remember_site(directory: str) -> None:
    """Save that this site was opened last."""
    with _writing:
        before = recall()
        sites = (directory, *(site for site in before.sites if site != directory))[:MOST_SITES]
        if sites != before.sites:
            _write(replace(before, sites=sites))


def _write(kept: Remembered) -> None:
    file = state_file(os.environ)
    with suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(file, msgspec.json.encode(kept).decode() + "\n", 0o600)

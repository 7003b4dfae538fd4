"""What the UI knows again when it is opened another time: sites, theme, how logs and lists are shown.

One file of the user's own, `graasp-local/tui.json` below $XDG_STATE_HOME (else ~/.local/state), without secrets.
Where it cannot be read or written, the UI is as at the first time.
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
    """Everything that is kept; each may be missing in the file."""

    sites: tuple[str, ...] = ()
    """Directories, the one that was opened last in front."""
    theme: str = ""
    log_times: bool = False
    log_wraps: bool = False
    log_range: int = 0
    """How far back a log is read, by the place in the list of what can be chosen."""
    wider: int = 0
    """By how many cells the column of names is wider than it would be by itself, in lists and in logs."""


def state_file(environment: Mapping[str, str]) -> Path:
    """Where it is kept. A relative $XDG_STATE_HOME counts for nothing, as the XDG specification has it."""
    given = environment.get("XDG_STATE_HOME", "")
    directory = Path(given) if given.startswith("/") else Path(environment.get("HOME", "/"), ".local", "state")
    return directory / "graasp-local" / "tui.json"


def recall() -> Remembered:
    """What is known from before."""
    with suppress(OSError, ValueError, msgspec.MsgspecError):
        return msgspec.json.decode(state_file(os.environ).read_bytes(), type=Remembered)
    return Remembered()


def remember(**changes: Any) -> None:
    """Keep this beside what another UI may have written meanwhile; from any thread."""
    with _writing:
        _write(replace(recall(), **changes))


def remember_site(directory: str) -> None:
    """This one was opened last."""
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

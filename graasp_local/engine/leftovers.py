"""Docker commands that a killed graasp-local left running on a site.

They would continue an old plan in the middle of a new one: start what the new one has just stopped, or migrate a
database that was restored. So the next operation on the site waits for them to end.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

MARK = "GRAASP_LOCAL_WORKS_ON"
"""Set to the site's directory in the environment of an operation's docker commands. Manually run commands lack it."""

_PATIENCE_SECONDS = 30.0
"""Longer than anything takes except a download or a container that ignores its signal."""
_GRACE_SECONDS = 5.0


def wait_for_leftovers(site: Path, patience_seconds: float = _PATIENCE_SECONDS) -> None:
    """Return when none of them is running; after `patience_seconds` the rest are terminated, then killed."""
    import psutil

    _, running = psutil.wait_procs(_commands_on(site), timeout=patience_seconds)
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in running:
            with suppress(psutil.NoSuchProcess):
                end(process)
        _, running = psutil.wait_procs(running, timeout=_GRACE_SECONDS)


def _commands_on(site: Path) -> list[psutil.Process]:
    import psutil

    found = []
    for process in psutil.process_iter(["name"]):
        # Filtered by name first: reading every process's environment would take long.
        if not str(process.info["name"]).startswith("docker"):
            continue
        try:
            if process.environ().get(MARK) == str(site):
                found.append(process)
        except (psutil.Error, OSError):  # has ended since, or belongs to another user
            continue
    return found

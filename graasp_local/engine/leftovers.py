"""Docker commands that a killed graasp-local left running on a site.

They would go on with an old plan in the middle of a new one: start what the new one has just stopped, or migrate a
database that was put back. So whoever works on the site next lets them end first.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil

MARK = "GRAASP_LOCAL_WORKS_ON"
"""In the environment of every docker command of an operation: the site's directory. A person's own commands lack it."""

_PATIENCE_SECONDS = 30.0
"""Longer than anything but a download or a container that ignores its signal takes."""
_GRACE_SECONDS = 5.0


def wait_for_leftovers(site: Path, patience_seconds: float = _PATIENCE_SECONDS) -> None:
    """Return when none of them runs any more; one that takes longer is told to end, and then made to."""
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
        # Asked by name first: reading every process's environment would take long.
        if not str(process.info["name"]).startswith("docker"):
            continue
        try:
            if process.environ().get(MARK) == str(site):
                found.append(process)
        except (psutil.Error, OSError):  # gone meanwhile, or somebody else's
            continue
    return found

"""The progress of a Postgres that replays its write-ahead log after a crash, from its log and its process names.

Newer versions log their progress every ten seconds; older ones show it in the name of the replaying process.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from graasp_local.engine.containers.inside import run_inside

if TYPE_CHECKING:
    from docker import DockerClient

_TELLING = re.compile(
    r"database system (was interrupted|was not properly shut down|is ready)|automatic recovery|"
    r"redo (starts|in progress|done)|syncing data directory|resetting unlogged relations|checkpoint (starting|complete)"
)
_READY = "database system is ready"
_REPLAYING = re.compile(r"postgres: startup\b.*")
_COMMAND = ["sh", "-c", r"for file in /proc/[0-9]*/cmdline; do tr '\0' ' ' <$file; echo; done 2>/dev/null"]


def processes_of(client: DockerClient, container: str) -> tuple[str, ...]:
    """The command lines of a container's processes, from the engine or from a command inside the container.

    An engine without control groups, as a rootless one often is, cannot tell which processes are a container's. Raises
    docker's APIError if the container does not run.
    """
    from docker.errors import APIError

    try:
        lines = [row[-1] for row in client.api.top(container)["Processes"] or ()]
    except APIError:
        _, written = run_inside(client, container, _COMMAND)
        lines = written.decode(errors="replace").splitlines()
    return tuple(" ".join(line.split()) for line in lines)


def progress_of_recovery(processes: Sequence[str], log: Sequence[str]) -> str:
    """One line that changes as recovery progresses; empty if there is none. `log` has the newest line last. Pure."""
    told = [line for line in log if _TELLING.search(line)]
    replaying = [found[0] for found in map(_REPLAYING.search, processes) if found]
    if not replaying or (told and _READY in told[-1]):
        return ""
    return ", ".join([*(told[-1:]), *replaying])

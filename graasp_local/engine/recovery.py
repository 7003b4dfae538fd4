"""The progress of a Postgres that replays its write-ahead log after a crash, from its log and its process names.

Newer versions log their progress every ten seconds; older ones show it in the name of the replaying process. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_TELLING = re.compile(
    r"database system (was interrupted|was not properly shut down|is ready)|automatic recovery|"
    r"redo (starts|in progress|done)|syncing data directory|resetting unlogged relations|checkpoint (starting|complete)"
)
_READY = "database system is ready"
_REPLAYING = re.compile(r"postgres: startup\b.*")


def progress_of_recovery(processes: Sequence[str], log: Sequence[str]) -> str:
    """One line that changes as recovery progresses; empty if there is none. `log` has the newest line last."""
    told = [line for line in log if _TELLING.search(line)]
    replaying = [found[0] for found in map(_REPLAYING.search, processes) if found]
    if not replaying or (told and _READY in told[-1]):
        return ""
    return ", ".join([*(told[-1:]), *replaying])

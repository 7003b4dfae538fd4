"""How far a Postgres is that was cut off and replays what it had not written yet: by its log and its processes' names.

Newer ones log every ten seconds how far they are; older ones say it in the name of the process that replays. Pure.
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
    """One line that changes while it gets on; empty where it does not recover. `log` has the newest line last."""
    told = [line for line in log if _TELLING.search(line)]
    replaying = [found[0] for found in map(_REPLAYING.search, processes) if found]
    if not replaying or (told and _READY in told[-1]):
        return ""
    return ", ".join([*(told[-1:]), *replaying])

"""What a killed graasp-local left under way on a site: docker commands, and containers that the engine is stopping.

They would continue an old plan in the middle of a new one: start what the new one has just stopped, stop what it takes
for running, or migrate a database that was restored. So the next operation on the site waits for them to end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psutil

MARK = "GRAASP_LOCAL_WORKS_ON"
"""Set to the site's directory in the environment of an operation's docker commands. Commands run by hand lack it."""

_PATIENCE_SECONDS = 30.0
"""Longer than anything takes except a download or a container that ignores its signal."""
_GRACE_SECONDS = 5.0

_SURELY_REMEMBERED_EVENTS = 128
"""An engine keeps 256 events (moby's daemon/events: eventsLimit) or a few less; with so few it has forgotten none."""
_STOPPING = frozenset({"2", "3", "9", "15"})
"""The signals that images ask to be stopped by, and the one that follows. Others, such as HUP, stop nothing."""
_LONGEST_STOP_SECONDS = 65.0
"""A little more than the longest `stop_grace_period` of the stack."""
_USUAL_STOP_SECONDS = 12.0
"""The same for all services but the database, whose stop takes a second: the wait if the engine cannot say."""
_POLL_SECONDS = 0.1


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


def wait_for_stops(
    events: Callable[[], Sequence[Mapping[str, Any]]],
    running: Callable[[], Collection[str]],
    since: float,
    clock_ahead: float = 0.0,
) -> None:
    """Return once no container is being stopped by a request from after `since`, in seconds since the epoch.

    The engine's clock, which dates its events, is ahead of this machine's by `clock_ahead` seconds.

    The engine carries out such a request even if its sender is gone, and lists the container as running until the end.
    """
    deadline = time.monotonic() + _LONGEST_STOP_SECONDS
    while time.monotonic() < deadline:
        stopping = being_stopped(events(), running(), since + clock_ahead)
        if stopping is None:
            if time.time() > since + _USUAL_STOP_SECONDS:
                return
        elif not stopping:
            return
        time.sleep(_POLL_SECONDS)


def being_stopped(events: Sequence[Mapping[str, Any]], running: Collection[str], since: float) -> frozenset[str] | None:
    """Those of the running containers that were told to stop after `since`, by the engine's events.

    None if the engine no longer knows all that has happened since then.
    """
    if len(events) > _SURELY_REMEMBERED_EVENTS and min(_moment(event) for event in events) > since:
        return None
    told: set[str] = set()
    for event in sorted(events, key=_moment):
        if event.get("Type") != "container" or _moment(event) < since:
            continue
        container, action = event["Actor"]["ID"], event.get("Action")
        if action == "kill" and event["Actor"].get("Attributes", {}).get("signal") in _STOPPING:
            told.add(container)
        elif action in ("start", "die"):
            told.discard(container)
    return frozenset(told) & frozenset(running)


def _moment(event: Mapping[str, Any]) -> float:
    return float(event["timeNano"]) / 1e9

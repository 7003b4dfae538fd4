"""A site's record of attempts to renew its certificate: when, with what result, and whether a person started it.

However renewal is scheduled (systemd, cron, another machine), an attempt without a terminal proves that it is. Decides
nothing and renews nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.errors import GraaspLocalError
from graasp_local.files import object_in, write_atomically


class StartedBy(StrEnum):
    """Who started an attempt: a person at a terminal, or something without one."""

    PERSON = "person"
    TIMER = "timer"


class RenewalRecord(Struct, frozen=True):
    """`problem` is what failed in the last attempt, empty if nothing; `by_timer` is when a timer last made one.

    Times are in UTC; an attempt that found nothing due counts like any other.
    """

    last: datetime
    problem: str = ""
    by_timer: datetime | None = None


def read_renewals(file: Path) -> RenewalRecord | None:
    """The record; None if there was no attempt yet. Raises ValueError for a damaged one."""
    try:
        told = object_in(file.read_text())
    except FileNotFoundError:
        return None
    try:
        by_timer = told.get("by_timer")
        return RenewalRecord(
            datetime.fromisoformat(told["last"]),
            str(told.get("problem", "")),
            datetime.fromisoformat(by_timer) if by_timer else None,
        )
    except (KeyError, TypeError) as error:
        raise ValueError("it is incomplete") from error


@contextmanager
def recorded(file: Path, started_by: StartedBy, now: Callable[[], datetime]) -> Iterator[None]:
    """Record the attempt made in this context, whether it succeeds or raises a GraaspLocalError."""
    problem = ""
    try:
        yield
    except GraaspLocalError as error:
        problem = error.what
        raise
    finally:
        _write(file, started_by, RenewalRecord(now(), problem))


def _write(file: Path, started_by: StartedBy, attempt: RenewalRecord) -> None:
    earlier = None
    with suppress(ValueError):  # a damaged record is replaced
        earlier = read_renewals(file)
    if started_by is StartedBy.TIMER:
        attempt = replace(attempt, by_timer=attempt.last)
    elif earlier is not None:
        attempt = replace(attempt, by_timer=earlier.by_timer)
    told = {
        "last": attempt.last.isoformat(timespec="seconds"),
        "problem": attempt.problem,
        "by_timer": attempt.by_timer.isoformat(timespec="seconds") if attempt.by_timer else None,
    }
    with suppress(OSError):  # the certificate matters more than the record of it
        write_atomically(file, json.dumps(told) + "\n", mode=0o600)

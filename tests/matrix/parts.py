"""The four parts of an operation, each with a point at which a test can cause a fault."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from tests.integration.demo_site import wait_for
from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import MatrixSite, Met

HANGING = ("deploy", "--version", "1.3.0-migration-hangs", "--migration-limit", "20", "--json")
WORKING = ("deploy", "--version", "1.1.0", "--json")


class Part(StrEnum):
    OPEN_BEFORE = "open before"
    CLOSED_BEFORE = "closed before migrating"
    MIGRATING = "migrating"
    CLOSED_AFTER = "closed after"


POINTS = {
    Part.OPEN_BEFORE: Point(When.BEFORE, "read-migrations"),
    Part.CLOSED_BEFORE: Point(When.BEFORE, "snapshot"),
    Part.MIGRATING: Point(When.DURING, "migrate"),
    Part.CLOSED_AFTER: Point(When.BEFORE, "start-graasp"),
}


@contextmanager
def deploying(site: MatrixSite, part: Part) -> Iterator[Met]:
    """A deployment of 1.1.0 that waits in a part; for the part of the migration, one whose migration never ends."""
    words = HANGING if part is Part.MIGRATING else WORKING
    with site.met(POINTS[part], *words) as met:
        if part is Part.MIGRATING:
            wait_for(site.migration_runs, "the migration runs")
        yield met

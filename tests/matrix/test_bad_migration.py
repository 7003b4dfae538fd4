"""A migration that goes wrong: the deployment is rolled back by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.demo_site import wait_for
from tests.matrix.faulty import Point, When
from tests.matrix.harm import crash, kill
from tests.matrix.matrix_site import MatrixSite
from tests.matrix.parts import HANGING
from tests.matrix.record import Record
from tests.matrix.verdict import ends_well, nothing_is_lost


@pytest.mark.parametrize(
    ("version", "did", "options"),
    [
        ("1.3.0-migration-fails", "it changes rows, then fails", ()),
        ("1.3.0-migration-hangs", "it runs into its limit of 3 s", ("--migration-limit", "3")),
        ("1.3.0-migration-lies", "it applies nothing and says success, exit code 0", ()),
    ],
)
def test_by_itself(site: MatrixSite, record: Record, version: str, did: str, options: tuple[str, ...]) -> None:
    record.did = did
    before = site.data()
    with site.visited() as visitor:
        ended = site.end("deploy", "--version", version, "--json", *options)
        record.saw = ends_well(site, ended, (20,))
    record.data = nothing_is_lost(site, before, visitor)


@pytest.mark.representative
@pytest.mark.parametrize(
    ("did", "harm"),
    [
        ("its container is killed in the middle", lambda site: crash(site, "migrate", one_off=True)),
        ("Postgres crashes in the middle and comes back", lambda site: crash(site, "db")),
        ("Postgres is killed in the middle and stays away", lambda site: kill(site, "db")),
    ],
)
def test_by_what_is_done_to_it(site: MatrixSite, record: Record, did: str, harm: Callable[[MatrixSite], None]) -> None:
    record.did = did
    before = site.data()
    with site.visited() as visitor, site.met(Point(When.DURING, "migrate"), *HANGING) as met:
        wait_for(site.migration_runs, "the migration runs")
        harm(site)
        record.saw = ends_well(site, met.go_on(), (20,))
    record.data = nothing_is_lost(site, before, visitor)

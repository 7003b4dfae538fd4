"""A part of the site crashes during a deployment: Postgres and nginx, in each part of the operation."""

from __future__ import annotations

import pytest

from tests.matrix.harm import crash, kill
from tests.matrix.matrix_site import MatrixSite
from tests.matrix.parts import Part, deploying
from tests.matrix.record import Record
from tests.matrix.verdict import ends_well, nothing_is_lost

CODES = {
    Part.OPEN_BEFORE: (0, 10),
    Part.CLOSED_BEFORE: (0, 20),
    Part.MIGRATING: (20,),
    Part.CLOSED_AFTER: (0, 20),
}
"""Whether it is back by its restart policy before the operation needs it is a race, and either end is a good one."""

SERVICES = [("db", "Postgres"), ("nginx", "nginx")]


@pytest.mark.parametrize(("service", "name", "part"), [(*service, part) for service in SERVICES for part in Part])
def test_it_crashes_and_comes_back(site: MatrixSite, record: Record, service: str, name: str, part: Part) -> None:
    record.did = f"{name} crashes: {part}"
    before = site.data()
    with site.visited() as visitor, deploying(site, part) as met:
        crash(site, service)
        ended = met.go_on()
        record.saw = ends_well(site, ended, CODES[part])
    record.data = nothing_is_lost(site, before, visitor)
    if ended.code == 0:
        site.back_to_1_0_0()


@pytest.mark.parametrize("part", [Part.CLOSED_BEFORE, Part.MIGRATING, Part.CLOSED_AFTER])
@pytest.mark.parametrize(("service", "name"), SERVICES)
def test_it_is_killed_and_stays_away(site: MatrixSite, record: Record, service: str, name: str, part: Part) -> None:
    record.did = f"{name} is killed and not started again: {part}"
    before = site.data()
    with site.visited() as visitor, deploying(site, part) as met:
        kill(site, service)
        ended = met.go_on()
        record.saw = ends_well(site, ended, (0, 20))
    record.data = nothing_is_lost(site, before, visitor)
    if ended.code == 0:
        site.back_to_1_0_0()
